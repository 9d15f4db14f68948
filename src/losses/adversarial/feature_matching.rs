//! [`FeatureMatchingLoss`].

use serde::{Deserialize, Serialize};
use tch::{Reduction, Tensor};

use super::predictions::{count, empty, same_kind_and_device};
use super::ListReduction;
use crate::base::precision::accumulation_kind;
use crate::base::{check, or_panic, setters};
use crate::{Error, FeatureCriterion, L1Loss, Loss, Result};

/// Feature matching: how far a discriminator's features of fake images are from those of real ones.
///
/// ```text
/// loss = factor * scales(layers(criterion(fake[scale][layer], real[scale][layer])))
/// ```
///
/// `scales` and `layers` are sums or means over the lists. The features are lists of lists: for each scale of the
/// discriminator, the output of each layer. The last one is the prediction itself, which [`GanLoss`](crate::GanLoss)
/// takes; `exclude_last` leaves it out.
///
/// - **Shapes**: any. `fake` and `real` have as many scales and layers each, and tensors of the same shapes. The loss
///   is a scalar.
/// - **Values**: any. f16 and bf16 are computed in f32. The mean of nothing is NaN.
/// - **Gradients**: to `fake`, of any order. `real` is a constant: with exchanged arguments, nothing reaches the generator.
/// - **Defaults**: `criterion` L1, `exclude_last` true, `scales` mean, `layers` sum, `factor` 1: SPADE's.
/// - **Errors**: lists of different lengths, without a scale, or with a scale without a layer to compare; tensors of
///   different shapes, kinds or devices; criteria other than L1 and MSE; a `factor` that is not positive and finite.
///
/// In a [`LossManager`](crate::manager::LossManager) it is a [term of features](crate::manager::Term::features), which is
/// computed from `(&fake, &real)`. An objective's file names it as any other loss.
///
/// Source: [`pix2pixHD_model.py`](https://github.com/NVIDIA/pix2pixHD/blob/master/models/pix2pixHD_model.py); T.-C.
/// Wang et al., *High-resolution image synthesis and semantic manipulation with conditional GANs* (2018).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::FeatureMatchingLoss;
///
/// // One scale with two layers and a prediction.
/// let features = |values: [f64; 3]| vec![Vec::from(values.map(|value| Tensor::from_slice(&[value])))];
/// let (fake, real) = (features([1.0, 2.0, 9.0]), features([1.5, 4.0, 0.0]));
/// let loss = FeatureMatchingLoss::spade().forward(&fake, &real);
/// assert_eq!(loss.double_value(&[]), 0.5 + 2.0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FeatureMatchingLoss {
    /// How the features of a layer are compared: `L1` or `Mse`.
    pub criterion: FeatureCriterion,
    /// Whether the last tensor of each scale is left out.
    pub exclude_last: bool,
    /// How the losses of the scales become one number.
    pub scales: ListReduction,
    /// How the losses of a scale's layers become one number.
    pub layers: ListReduction,
    /// What the loss is multiplied by.
    pub factor: f64,
}

impl Default for FeatureMatchingLoss {
    fn default() -> Self {
        FeatureMatchingLoss {
            criterion: FeatureCriterion::L1,
            exclude_last: true,
            scales: ListReduction::Mean,
            layers: ListReduction::Sum,
            factor: 1.0,
        }
    }
}

setters!(FeatureMatchingLoss {
    with_criterion(criterion: FeatureCriterion), with_exclude_last(exclude_last: bool),
    with_scales(scales: ListReduction), with_layers(layers: ListReduction), with_factor(factor: f64)
});

impl FeatureMatchingLoss {
    /// [pix2pixHD](https://github.com/NVIDIA/pix2pixHD): four times the mean over the layers. Its weight for each
    /// layer, `4 / (n_layers_D + 1)`, is that, as the discriminator has `n_layers_D + 1` layers before the last.
    /// `lambda_feat`, 10 there, is not in it.
    pub fn pix2pixhd() -> Self {
        FeatureMatchingLoss { layers: ListReduction::Mean, factor: 4.0, ..FeatureMatchingLoss::default() }
    }

    /// [SPADE](https://github.com/NVlabs/SPADE): the defaults. `lambda_feat`, 10 there, is not in it.
    pub fn spade() -> Self {
        FeatureMatchingLoss::default()
    }

    /// `FeatureMatchingLoss` of [imaginaire](https://github.com/NVlabs/imaginaire): all features that are given. Its
    /// discriminators give the predictions apart from them.
    pub fn imaginaire() -> Self {
        FeatureMatchingLoss { exclude_last: false, ..FeatureMatchingLoss::default() }
    }

    /// Checks whether each option is in its range. [`try_forward`](Self::try_forward) does so as well.
    ///
    /// # Errors
    /// [`Error::Option`] for the first option that is out of its range.
    pub fn check_options(&self) -> Result<()> {
        if !matches!(self.criterion, FeatureCriterion::L1 | FeatureCriterion::Mse) {
            let given = format!("{:?}", self.criterion).to_lowercase();
            return Err(Error::Option { option: "criterion", given, expected: "l1 or mse".into() });
        }
        check::positive("factor", self.factor)
    }

    /// The loss of the features of fake images against those of real ones.
    ///
    /// # Panics
    /// Where [`try_forward`](Self::try_forward) returns an error, with the error's message.
    #[track_caller]
    pub fn forward(&self, fake: &[Vec<Tensor>], real: &[Vec<Tensor>]) -> Tensor {
        or_panic(self.try_forward(fake, real))
    }

    /// The loss of the features of fake images against those of real ones.
    ///
    /// # Errors
    /// An argument or an option that the loss does not accept gives the [`Error`] that names it.
    pub fn try_forward(&self, fake: &[Vec<Tensor>], real: &[Vec<Tensor>]) -> Result<Tensor> {
        self.check_options()?;
        let pairs = self.pairs(fake, real)?;
        let kind = pairs[0][0].0.kind();
        let mut total: Option<Tensor> = None;
        for layers in &pairs {
            let share = self.factor * self.scales.share(pairs.len()) * self.layers.share(layers.len());
            for (own, other) in layers {
                let term = self.compared(own, other)?.f_mul_scalar(share)?;
                total = Some(match total {
                    Some(total) => total.f_add(&term)?,
                    None => term,
                });
            }
        }
        Ok(total.expect("no list is empty").f_to_kind(kind)?)
    }

    /// What is compared with what, by scale: one pair of tensors at least in each.
    fn pairs<'a>(
        &self,
        fake: &'a [Vec<Tensor>],
        real: &'a [Vec<Tensor>],
    ) -> Result<Vec<Vec<(&'a Tensor, &'a Tensor)>>> {
        if fake.is_empty() {
            return Err(empty("fake", "no scale", "one scale at least"));
        }
        same_length(fake.len(), real.len(), "scale", "")?;
        let mut pairs = Vec::with_capacity(fake.len());
        for (scale, (own, other)) in fake.iter().zip(real).enumerate() {
            same_length(own.len(), other.len(), "layer", &format!(" in scale {scale}"))?;
            let compared = own.len().saturating_sub(usize::from(self.exclude_last));
            if compared == 0 {
                let expected = match self.exclude_last {
                    true => "one at least beside the last, which `exclude_last` leaves out",
                    false => "one at least",
                };
                return Err(empty(
                    "fake",
                    &format!("{} in scale {scale}", count(own.len(), "layer")),
                    expected,
                ));
            }
            pairs.push(own.iter().zip(other).take(compared).collect::<Vec<_>>());
        }
        for (scale, layers) in pairs.iter().enumerate() {
            for (layer, (own, other)) in layers.iter().enumerate() {
                check::floating("fake", own)?;
                same_kind_and_device("fake", own, pairs[0][0].0, "the first layer")?;
                check::partners(("fake", own), ("real", other))?;
                if other.size() != own.size() {
                    let expected =
                        format!("{:?}, the shape of `fake`, in layer {layer} of scale {scale}", own.size());
                    return Err(Error::Shape { argument: "real", given: other.size(), expected });
                }
            }
        }
        Ok(pairs)
    }

    /// The distance of a layer's features, in [`accumulation_kind`].
    fn compared(&self, own: &Tensor, other: &Tensor) -> Result<Tensor> {
        let kind = accumulation_kind(own.kind());
        let (own, other) = (own.f_to_kind(kind)?, other.f_detach()?.f_to_kind(kind)?);
        match self.criterion {
            FeatureCriterion::Mse => Ok(own.f_mse_loss(&other, Reduction::Mean)?),
            _ => L1Loss::default().try_forward(&own, &other),
        }
    }
}

fn same_length(fake: usize, real: usize, what: &str, place: &str) -> Result<()> {
    if real == fake {
        return Ok(());
    }
    let expected = format!("{fake}, as many as `fake`");
    Err(Error::Value { argument: "real", given: format!("{}{place}", count(real, what)), expected })
}
