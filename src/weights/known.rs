//! The published weights that this crate uses.

use super::Source;

/// A published `.pth` file, and what of it is kept.
///
/// ```
/// use tch_losses::weights::VGG19;
///
/// assert_eq!(VGG19.source.file_name(), "vgg19-dcbb9e9d.pth");
/// assert_eq!(VGG19.keep, "features.");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownFile {
    /// Where the file comes from.
    pub source: Source<'static>,
    /// What the names of the tensors that are kept begin with; `""` for all.
    pub keep: &'static str,
}

/// torchvision's weights `IMAGENET1K_V1`, of which the convolutional part is kept: of those of VGG19, 80 MB of 575.
const fn torchvision(url: &'static str, sha256: &'static str, size: Option<u64>) -> KnownFile {
    KnownFile { source: Source { url, sha256, size }, keep: "features." }
}

/// The constants, by torchvision's names.
macro_rules! files {
    ($($(#[$attribute:meta])* $constant:ident: $name:literal, $sha256:literal, $size:expr;)*) => {
        $(
            #[doc = concat!("torchvision's `", stringify!($constant), "`, the file `", $name, "`.")]
            ///
            $(#[$attribute])*
            pub const $constant: KnownFile =
                torchvision(concat!("https://download.pytorch.org/models/", $name), $sha256, $size);
        )*

        /// All files that this crate uses.
        pub const KNOWN_FILES: &[KnownFile] = &[$($constant),*];
    };
}

files! {
    /// Of its SHA-256, eight digits are published. Its size is not.
    VGG11: "vgg11-8a719046.pth", "8a719046", None;
    /// Of its SHA-256, eight digits are published. Its size is not.
    VGG11_BN: "vgg11_bn-6002323d.pth", "6002323d", None;
    /// Of its SHA-256, eight digits are published. Its size is not.
    VGG13: "vgg13-19584684.pth", "19584684", None;
    /// Of its SHA-256, eight digits are published. Its size is not.
    VGG13_BN: "vgg13_bn-abd245e5.pth", "abd245e5", None;
    VGG16: "vgg16-397923af.pth",
        "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0", Some(553_433_881);
    VGG16_BN: "vgg16_bn-6c64b313.pth",
        "6c64b3138f2f4fcb3bcc4cafde11619c4f440eb1631787e93a682fd88305888a", Some(553_507_836);
    VGG19: "vgg19-dcbb9e9d.pth",
        "dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44", Some(574_673_361);
    VGG19_BN: "vgg19_bn-c79401a0.pth",
        "c79401a0cf3cb42714e4182f5868c7a6f4f4534f5df9e956e2bb2098de41cbb6", Some(574_769_405);
    ALEXNET: "alexnet-owt-7be5be79.pth",
        "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02", Some(244_408_911);
    SQUEEZENET1_1: "squeezenet1_1-b8a52dc0.pth",
        "b8a52dc049b60e4b6ab68ad0df457362afab8b6304b2febdc1650a5dab4d7e7b", Some(4_958_839);
}
