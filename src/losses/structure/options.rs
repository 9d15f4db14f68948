//! Options that the losses of this family share.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::base::image::window::Window;
use crate::{Error, Result};

/// The window in which structure is compared: the weights of the pixels around a place.
///
/// In an objective's file it is a table with a name: `window = { gaussian = { size = 11, sigma = 1.5 } }`.
///
/// - **Default**: the Gaussian of 11 by 11 pixels with a standard deviation of 1.5, which all libraries have.
/// - **Errors**: a size that is even or less than 1, a `sigma` that is not positive and finite.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(into = "Form", from = "Form")]
pub enum SsimWindow {
    /// Weights that fall with the distance.
    Gaussian {
        /// How many pixels it has along each axis.
        size: i64,
        /// The standard deviation, in pixels.
        sigma: f64,
    },
    /// The same weight for all pixels.
    Uniform {
        /// How many pixels it has along each axis.
        size: i64,
    },
}

impl Default for SsimWindow {
    fn default() -> Self {
        SsimWindow::from(Form::Gaussian(GaussianForm::default()))
    }
}

/// How a file has it: what is left out is that of the default.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Form {
    Gaussian(GaussianForm),
    Uniform(UniformForm),
}

#[derive(Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct GaussianForm {
    size: i64,
    sigma: f64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct UniformForm {
    size: i64,
}

impl Default for GaussianForm {
    fn default() -> Self {
        GaussianForm { size: 11, sigma: 1.5 }
    }
}

impl From<SsimWindow> for Form {
    fn from(window: SsimWindow) -> Form {
        match window {
            SsimWindow::Gaussian { size, sigma } => Form::Gaussian(GaussianForm { size, sigma }),
            SsimWindow::Uniform { size } => Form::Uniform(UniformForm { size }),
        }
    }
}

impl From<Form> for SsimWindow {
    fn from(form: Form) -> SsimWindow {
        match form {
            Form::Gaussian(GaussianForm { size, sigma }) => SsimWindow::Gaussian { size, sigma },
            Form::Uniform(UniformForm { size }) => SsimWindow::Uniform { size },
        }
    }
}

/// What happens at the border of the image.
///
/// In an objective's file it is a word: `padding = "reflect"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SsimPadding {
    /// The window stays within the image: it has fewer places than the image has pixels.
    #[default]
    Valid,
    /// The image is mirrored at its border (without the outermost pixels): each pixel has a window.
    Reflect,
}

impl SsimWindow {
    pub(super) fn size(self) -> i64 {
        match self {
            SsimWindow::Gaussian { size, .. } | SsimWindow::Uniform { size } => size,
        }
    }

    pub(super) fn check(self) -> Result<()> {
        let refuse = |given: String, expected: &str| {
            Err(Error::Option { option: "window", given, expected: expected.into() })
        };
        match self {
            _ if self.size() < 1 || self.size() % 2 == 0 => {
                refuse(format!("of the size {}", self.size()), "an odd size of at least 1")
            }
            SsimWindow::Gaussian { sigma, .. } if !(sigma.is_finite() && sigma > 0.0) => {
                refuse(format!("with a sigma of {sigma}"), "a finite sigma greater than 0")
            }
            _ => Ok(()),
        }
    }

    /// The weights for images of this kind; rounded to f32 unless they are to be `exact`.
    pub(super) fn weights(self, exact: bool, kind: Kind) -> Window {
        let kind = if exact { kind } else { Kind::Float };
        match self {
            SsimWindow::Gaussian { size, sigma } => Window::gaussian(size, sigma, kind),
            SsimWindow::Uniform { size } => Window::uniform(size),
        }
    }
}

impl SsimPadding {
    /// How many pixels of each side the window needs.
    pub(super) fn least_size(self, window: SsimWindow) -> i64 {
        match self {
            SsimPadding::Valid => window.size(),
            SsimPadding::Reflect => window.size() / 2 + 1,
        }
    }

    /// The planes with what lies beyond their border.
    pub(super) fn pad(self, planes: &Tensor, window: SsimWindow) -> Result<Tensor> {
        match self {
            SsimPadding::Valid => Ok(planes.shallow_clone()),
            SsimPadding::Reflect => Ok(planes.f_reflection_pad2d([window.size() / 2; 4])?),
        }
    }

    /// The gradient with respect to what [`pad`](Self::pad) was given.
    pub(super) fn back(self, gradient: Tensor, planes: &Tensor, window: SsimWindow) -> Result<Tensor> {
        match self {
            SsimPadding::Valid => Ok(gradient),
            SsimPadding::Reflect => {
                Ok(planes.f_reflection_pad2d_backward(&gradient, [window.size() / 2; 4])?)
            }
        }
    }
}
