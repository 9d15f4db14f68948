//! What losses see and what they are blind to, measured on photos.

mod agreement;
mod curves;
mod distortion;
mod grid;
mod measure;
mod sensitivity;
mod words;

use serde::Serialize;

pub use distortion::Distortion;

use crate::Loss;

/// A loss that an [`Atlas`] is made of.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// What it is called in the pictures.
    pub name: &'a str,
    /// Losses of one family that follow each other are drawn as a group.
    pub family: &'a str,
    /// The loss itself, with its options.
    pub loss: &'a dyn Loss,
}

/// How losses answer to photos that are distorted more and more: an answer in numbers and pictures to "which loss
/// when".
///
/// - **Answers to strengths**: for each [`Distortion`] and each of its five
///   [`strengths`](Distortion::strengths), the loss's value, the length of its gradient, and whether the gradient
///   leads back to the photo ([`Point`]).
/// - **Sensitivity**: how much a loss sees of each distortion, compared at the strength at which all distortions
///   have the same mean squared difference, that of a PSNR of 26 dB. The unit is the median of the loss's own nine
///   values. So every number of [`MseLoss`](crate::MseLoss) is 1, and 0.1 is a distortion of which a loss sees a tenth
///   of what it sees of the others.
/// - **Agreement**: the cosine between the gradients of two losses, the mean over photos and distortions at that same
///   difference. Losses that agree pull the picture the same way, and one of them is enough.
///
/// `docs/atlas` in the repository has the atlas of three photos and of all losses of two images that need no network, as
/// `tch-losses atlas` draws it. What can be read there:
///
/// - **Checkerboards**, the artefact of transposed convolutions, cancel out where a loss looks at means of 2x2 pixels
///   first, as most of the similarity family does, and in [`Sobel`](crate::Sobel). [`Laplacian`](crate::Laplacian) and
///   [`GradientDifferenceLoss`](crate::GradientDifferenceLoss) see them above all.
/// - **Colour casts** are nothing to losses of edges and of luminance. They need a loss of pixels beside them.
/// - **A missing patch** of the same mean squared difference is a fifth to [`L1Loss`](crate::L1Loss): large differences
///   in few places count less than small ones everywhere.
/// - **Gradients**: the pixel family has two directions, that of [`MseLoss`](crate::MseLoss) and that of
///   [`L1Loss`](crate::L1Loss), whatever the names.
///
/// All numbers are means over the photos. They depend on the photos and the seed, and on nothing else but rounding.
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::visual::{Atlas, Distortion, Subject};
/// use tch_losses::{L1Loss, MseLoss};
///
/// let (mse, l1) = (MseLoss::default(), L1Loss::default());
/// let subjects = [
///     Subject { name: "MseLoss", family: "pixel", loss: &mse },
///     Subject { name: "L1Loss", family: "pixel", loss: &l1 },
/// ];
/// # tch::manual_seed(0);
/// let photo = Tensor::rand([1, 3, 32, 32], (Kind::Float, Device::Cpu));
/// let atlas = Atlas::measure(&subjects, &[photo.shallow_clone()], 0, |_, _| ())?;
/// // All distortions are compared at the same mean squared difference.
/// let noise = &atlas.losses[0].answers[2];
/// assert_eq!(noise.distortion, Distortion::Noise);
/// assert!((noise.sensitivity.unwrap() - 1.0).abs() < 1e-3);
/// // The gradient of the squared difference leads straight back.
/// assert!((noise.points[0].way_back - 1.0).abs() < 1e-3);
///
/// let heat_map = atlas.draw_sensitivity(&photo)?;
/// let sheet = atlas.draw_curves(Distortion::Blur, &photo)?;
/// # Ok::<(), tch_losses::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Atlas {
    /// How many photos were measured.
    pub photos: usize,
    /// What noise and the place of the patch came from.
    pub seed: u64,
    /// The root of the mean squared difference at which distortions are compared: 0.05.
    pub error: f64,
    /// The losses, as they were given.
    pub losses: Vec<LossAnswers>,
    /// The cosine between the gradients of each two losses, in the order of `losses`. 0 stands for a gradient that is 0.
    pub agreement: Vec<Vec<f64>>,
}

/// What one loss answers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LossAnswers {
    /// The name of the [`Subject`].
    pub name: String,
    /// Its family.
    pub family: String,
    /// One for each of [`Distortion::ALL`], in that order.
    pub answers: Vec<Answers>,
}

/// What one loss answers to one distortion.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answers {
    /// The distortion.
    pub distortion: Distortion,
    /// One for each of its [`strengths`](Distortion::strengths).
    pub points: Vec<Point>,
    /// At the strength at which all distortions have the same mean squared difference; the mean over the photos that
    /// have one.
    pub at_equal_error: Option<Point>,
    /// The value of `at_equal_error` as a multiple of the median over the distortions. Below 0, the loss takes the
    /// distorted photo for better than the photo itself.
    pub sensitivity: Option<f64>,
}

/// What one loss answers to one strength of a distortion, the mean over the photos.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Point {
    /// The strength.
    pub strength: f64,
    /// The loss, less what it says to the photo itself.
    pub value: f64,
    /// The length of the gradient with respect to the picture.
    pub gradient: f64,
    /// The cosine between the step down the gradient and the way back to the photo: 1 is straight back, 0 is across.
    pub way_back: f64,
}
