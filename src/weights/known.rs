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

/// torchvision's VGG19 with the weights `IMAGENET1K_V1`, of which the convolutional part is kept: 80 MB of 575.
///
/// Source: [`torchvision.models.vgg19`](https://pytorch.org/vision/stable/models/generated/torchvision.models.vgg19.html).
pub const VGG19: KnownFile = KnownFile {
    source: Source {
        url: "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
        sha256: "dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44",
        size: 574_673_361,
    },
    keep: "features.",
};

/// All files that this crate uses.
pub const KNOWN_FILES: &[KnownFile] = &[VGG19];
