//! Names of the places in a network where features are taken.

use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The name of a place in a [`Network`](crate::Network) where features are taken.
///
/// Each network has a table of its layers. A tap names the output of one of them:
///
/// | network | tap | features after |
/// |---|---|---|
/// | VGG | `conv3_2` | the second convolution of the third block |
/// | | `bn3_2` | its batch norm, in networks that have one |
/// | | `relu3_2` | its ReLU |
/// | | `pool3` | the pooling that ends the third block |
/// | AlexNet | `conv3`, `relu3` | the third convolution, its ReLU |
/// | | `pool1`, `pool2`, `pool5` | the pooling after the convolution of this number |
/// | SqueezeNet | `conv1`, `relu1` | the convolution, its ReLU |
/// | | `fire2` to `fire9` | a fire module, which ends with ReLUs |
/// | | `pool1`, `pool3`, `pool5` | the pooling after `conv1`, `fire3` and `fire5` |
/// | any | `features.12` | the layer with this index in torchvision's `features` |
///
/// The layers of SqueezeNet have the numbers of its paper. A pooling has that of the layer before it, as in
/// the authors' own files; those of version 1.1 come after other layers than the paper's.
///
/// The deeper the tap, the coarser and the more abstract the features: each pooling halves height and width.
///
/// A tap is only a name. The network looks it up when it is used, and an unknown name is an
/// [`Error::Option`](crate::Error::Option) that lists what the network has.
/// [`Architecture`](crate::Architecture) tells [all taps](crate::Architecture::taps) and the
/// [place](crate::Architecture::place) of each. The constants are the ReLUs of VGG19; the smaller VGGs have a
/// part of them.
///
/// ```
/// use tch_losses::{Architecture, Tap};
///
/// let taps = [Tap::RELU3_3, "conv3_3".into(), "pool3".into()];
/// assert_eq!(taps[0].to_string(), "relu3_3");
/// let place = Architecture::VGG19.place(&Tap::RELU3_3)?;
/// assert_eq!((place.index, place.channels, place.stride), (15, 256, 4));
/// assert!(Architecture::VGG19.place(&"relu6_1".into()).is_err());
/// # Ok::<(), tch_losses::Error>(())
/// ```
#[doc(alias = "layer")]
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tap(Cow<'static, str>);

/// The constants, by the names of the literature.
macro_rules! constants {
    ($($constant:ident = $name:literal,)*) => {
        #[allow(missing_docs)] // the names say it all
        impl Tap {
            $(pub const $constant: Tap = Tap::new($name);)*
        }
    };
}

constants! {
    RELU1_1 = "relu1_1",
    RELU1_2 = "relu1_2",
    RELU2_1 = "relu2_1",
    RELU2_2 = "relu2_2",
    RELU3_1 = "relu3_1",
    RELU3_2 = "relu3_2",
    RELU3_3 = "relu3_3",
    RELU3_4 = "relu3_4",
    RELU4_1 = "relu4_1",
    RELU4_2 = "relu4_2",
    RELU4_3 = "relu4_3",
    RELU4_4 = "relu4_4",
    RELU5_1 = "relu5_1",
    RELU5_2 = "relu5_2",
    RELU5_3 = "relu5_3",
    RELU5_4 = "relu5_4",
}

impl Tap {
    /// The tap with this name. `Tap::from` takes names that are not constants.
    ///
    /// ```
    /// use tch_losses::Tap;
    ///
    /// const DEEP: Tap = Tap::new("conv5_4");
    /// assert_eq!(DEEP, Tap::from(String::from("conv5_4")));
    /// ```
    pub const fn new(name: &'static str) -> Tap {
        Tap(Cow::Borrowed(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Tap {
    fn from(name: &str) -> Tap {
        Tap(Cow::Owned(name.into()))
    }
}

impl From<String> for Tap {
    fn from(name: String) -> Tap {
        Tap(Cow::Owned(name))
    }
}

/// Takes any name: whether a network has it is found out when it is used.
impl FromStr for Tap {
    type Err = Infallible;

    fn from_str(name: &str) -> Result<Tap, Infallible> {
        Ok(name.into())
    }
}

impl fmt::Display for Tap {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        // Honours a width.
        fmt::Display::fmt(&self.0, formatter)
    }
}

impl fmt::Debug for Tap {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        fmt::Debug::fmt(&self.0, formatter)
    }
}
