//! [`Style`]: features compared by their Gram matrices.

use serde::{Deserialize, Serialize};
use tch::{autocast, Tensor};

use super::comparison::{AcrossImages, Comparison, Other};
use super::engine::check_weights;
use super::FeatureCriterion;
use crate::base::precision::accumulation_kind;
use crate::{Architecture, Error, Result, Tap};

/// The part of [`PerceptualLoss`](crate::PerceptualLoss) that compares style: which features occur together, wherever
/// in the image they are.
///
/// ```text
/// loss = Σ over taps of  weight * criterion(G_tap(input), G_tap(target))
/// G[i, j] = Σ over positions of  F[i] * F[j] / divisor
/// ```
///
/// `F` are the features at a tap, one row for each channel. `G` is their Gram matrix, `[C, C]`, one for each image. The
/// criterion compares the matrices as it compares features: its mean runs over their `C²` elements and over the batch.
///
/// Gram matrices are computed in f32 at least. Those of a network in f16 would overflow.
///
/// Source: L. A. Gatys, A. S. Ecker and M. Bethge, [*A neural algorithm of artistic
/// style*](https://arxiv.org/abs/1508.06576) (2015).
///
/// ```
/// use tch::{nn, Device, Kind, Tensor};
/// use tch_losses::{Architecture, Loss, Network, PerceptualLoss, Style, Tap};
///
/// # tch::manual_seed(0);
/// # let vs = nn::VarStore::new(Device::Cpu);
/// let network = Network::new(&vs.root(), &Architecture::VGG19);
/// let loss = PerceptualLoss {
///     taps: vec![], // nothing but style
///     style: Some(Style::new([(Tap::RELU1_1, 1.0), (Tap::RELU2_1, 0.5)])),
///     ..PerceptualLoss::new(network)
/// };
/// let image = Tensor::rand([1, 3, 16, 16], (Kind::Float, Device::Cpu));
/// assert!(loss.forward(&image, &image.flip([3])).double_value(&[]) > 0.0);
/// ```
#[doc(alias = "StyleLoss")]
#[doc(alias = "GramLoss")]
#[doc(alias = "style_weight")]
#[derive(Debug, Clone, PartialEq)]
pub struct Style {
    /// Where Gram matrices are compared, and with what weight.
    pub taps: Vec<(Tap, f64)>,
    /// How they are compared.
    pub criterion: FeatureCriterion,
    /// What they are divided by.
    pub gram: GramNormalization,
}

/// What a Gram matrix is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GramNormalization {
    /// The number of the features' elements, `C·H·W`: BasicSR, J. Johnson.
    #[default]
    Elements,
    /// The number of their positions, `H·W`: L. Gatys.
    Positions,
    /// Nothing: piq. Such matrices grow with the size of the images.
    None,
}

impl GramNormalization {
    /// The divisor for features `[N, C, H, W]`.
    fn divisor(self, feature_size: &[i64]) -> f64 {
        let product = |sizes: &[i64]| sizes.iter().product::<i64>() as f64;
        match self {
            GramNormalization::Elements => product(&feature_size[1..]),
            GramNormalization::Positions => product(&feature_size[2..]),
            GramNormalization::None => 1.0,
        }
    }
}

impl Style {
    /// Of these taps, with the default options.
    pub fn new(taps: impl Into<Vec<(Tap, f64)>>) -> Style {
        Style { taps: taps.into(), criterion: Default::default(), gram: Default::default() }
    }

    /// Checks the taps without a network's parameters.
    pub(super) fn check(&self, architecture: &Architecture) -> Result<()> {
        let taps = || {
            check_weights(&self.taps)?;
            self.taps.iter().try_for_each(|(tap, _)| architecture.place(tap).map(drop))
        };
        taps().map_err(|error| match error {
            Error::Option { given, expected, .. } => Error::Option { option: "style.taps", given, expected },
            error => error,
        })
    }

    /// The Gram matrices of rows, `[N, 1, C, C]`.
    fn grams(&self, rows: &Tensor, feature_size: &[i64]) -> Result<Tensor> {
        // libtorch's autocast would round the products, and those of f16 overflow.
        let products = autocast(false, || rows.f_bmm(&rows.f_transpose(1, 2)?))?;
        Ok(products.f_mul_scalar(1.0 / self.gram.divisor(feature_size))?.f_unsqueeze(1)?)
    }

    fn grams_of(&self, features: &Tensor) -> Result<Tensor> {
        self.grams(&rows(features)?, &features.size())
    }
}

/// Features as `[N, C, H·W]`, in f32 at least.
fn rows(features: &Tensor) -> Result<Tensor> {
    Ok(features.f_to_kind(accumulation_kind(features.kind()))?.f_flatten(2, 3)?)
}

/// The criterion on Gram matrices.
impl Comparison for Style {
    fn count(&self, feature_size: &[i64]) -> f64 {
        let (images, channels) = (feature_size[0], feature_size[1]);
        self.criterion.count(&[images, 1, channels, channels])
    }

    fn sums(&self, own: &Tensor, other: &Tensor) -> Result<Tensor> {
        self.criterion.sums(&self.grams_of(own)?, &self.grams_of(other)?)
    }

    fn piece(&self, own: &Tensor, other: Other, share: Option<f64>) -> Result<(Tensor, Option<Tensor>)> {
        let (size, own) = (own.size(), rows(own)?);
        let features = self.grams_of(&other.features)?;
        let others = Other { features, is_free: true, statistics: None };
        let (sums, slope) = self.criterion.piece(&self.grams(&own, &size)?, others, share)?;
        // The matrix and so its slope S are symmetric: S F + Sᵀ F is 2 S F.
        let of_features = |slope: Tensor| -> Result<Tensor> {
            let slope = slope.f_squeeze_dim(1)?.f_mul_scalar(2.0 / self.gram.divisor(&size))?;
            Ok(autocast(false, || slope.f_bmm(&own))?.f_view(size.as_slice())?)
        };
        Ok((sums, slope.map(of_features).transpose()?))
    }

    fn across_images(&self) -> AcrossImages {
        self.criterion.across_images()
    }

    fn is_unbounded(&self) -> bool {
        true
    }

    /// None: a Gram matrix has no place in the image.
    fn map(&self, _: &Tensor, _: &Tensor) -> Result<Option<Tensor>> {
        Ok(None)
    }
}
