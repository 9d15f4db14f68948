//! The loss of an overlap, and the options that such losses share.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::entropy::Entropy;
use super::sums::{Reading, Sums};
use super::{Intersection, SegmentationMode};
use crate::base::check;
use crate::base::weight::{check_weight, placed};
use crate::{Error, Reduction, Result, WeightTensor};

/// What has a score of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverlapScore {
    /// Each class, over all samples: segmentation-models-pytorch, and MONAI's `batch`.
    #[default]
    PerClass,
    /// Each class of each sample: MONAI.
    PerSampleAndClass,
    /// Each sample, over all classes: kornia's `micro`. Weights of classes multiply the sums.
    PerSample,
}

/// What becomes of scores without anything to find: no place has the class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AbsentClasses {
    /// Their loss is 0, and counts in the mean: segmentation-models-pytorch.
    #[default]
    Zero,
    /// Their loss is what the formula gives: MONAI.
    Count,
    /// They are left out of the mean: kornia. If all are, the loss is 1.
    Exclude,
}

/// The options of a loss on overlaps.
pub(super) struct Overlap<'a> {
    pub reading: Reading,
    pub score: OverlapScore,
    pub absent: AbsentClasses,
    pub include_background: bool,
    pub classes: Option<&'a [i64]>,
    pub weight: Option<&'a WeightTensor>,
    pub normalize_weight: bool,
    pub log_loss: bool,
    pub smooth_nr: f64,
    pub smooth_dr: f64,
    pub eps: f64,
    pub reduction: Reduction,
    /// How much false positives and false negatives count.
    pub alpha: f64,
    pub beta: f64,
    /// The exponents of each loss and of their mean.
    pub focus: f64,
    pub gamma: f64,
}

/// What a divisor and a logarithm are at least.
const TINY: f64 = f32::MIN_POSITIVE as f64;

impl Overlap<'_> {
    /// MONAI's Dice loss of logits, the mean.
    pub fn monai(
        mode: SegmentationMode,
        intersection: Intersection,
        score: OverlapScore,
        ignore_index: Option<i64>,
    ) -> Overlap<'static> {
        Overlap {
            reading: Reading { mode, from_logits: true, intersection, ignore_index },
            score,
            absent: AbsentClasses::Count,
            include_background: true,
            classes: None,
            weight: None,
            normalize_weight: false,
            log_loss: false,
            smooth_nr: 0.0,
            smooth_dr: 0.0,
            eps: 0.0,
            reduction: Reduction::Mean,
            alpha: 0.5,
            beta: 0.5,
            focus: 1.0,
            gamma: 1.0,
        }
    }

    pub fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        for (option, value) in
            [("smooth_nr", self.smooth_nr), ("smooth_dr", self.smooth_dr), ("eps", self.eps)]
        {
            check::non_negative(option, value)?;
        }
        let refuse = |option, expected: &str| {
            Err(Error::Option { option, given: "set".into(), expected: expected.into() })
        };
        let binary = self.reading.mode == SegmentationMode::Binary;
        if self.weight.is_some() && binary {
            return refuse("weight", "none with the mode binary, which has one class");
        }
        if self.classes.is_some() && binary {
            return refuse("classes", "none with the mode binary, which has one class");
        }
        if self.classes.is_some_and(|classes| classes.iter().any(|class| *class < 0) || classes.is_empty()) {
            let given = format!("{:?}", self.classes.unwrap_or_default());
            return Err(Error::Option {
                option: "classes",
                given,
                expected: "at least one, from 0 on".into(),
            });
        }
        check_weight("weight", self.weight)
    }

    pub fn forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        Ok(self.forward_wide(input, target)?.f_to_kind(input.kind())?)
    }

    /// The loss in the kind of the computation.
    pub fn forward_wide(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let in_graph =
            self.reduction == Reduction::None || self.weight.is_some_and(|own| own.requires_grad());
        self.reading.forward(input, target, in_graph, |sums| self.loss(sums))
    }

    /// The same and the cross entropy, without weights. `None` where only the graph has the gradient.
    pub fn forward_with_entropy(
        &self,
        input: &Tensor,
        target: &Tensor,
        factor: f64,
        entropy: &Entropy,
    ) -> Result<Option<Tensor>> {
        let loss = |sums: &Sums| Ok(self.loss(sums)?.f_mul_scalar(factor)?);
        self.reading.forward_with_entropy(input, target, entropy, loss)
    }

    /// The classes of the last axis that count.
    fn pick(&self, of_classes: &Tensor) -> Result<Tensor> {
        let last = of_classes.dim() as i64 - 1;
        let count = of_classes.size()[last as usize];
        if let Some(classes) = self.classes {
            if let Some(class) = classes.iter().find(|class| **class >= count) {
                let expected = format!("classes of {count}, from 0 to {}", count - 1);
                return Err(Error::Option { option: "classes", given: class.to_string(), expected });
            }
            // A tensor of indices would have to be copied to the device.
            let picked: std::result::Result<Vec<Tensor>, _> =
                classes.iter().map(|class| of_classes.f_select(last, *class)).collect();
            return Ok(Tensor::f_stack(&picked?, last)?);
        }
        match self.include_background || count == 1 {
            true => Ok(of_classes.shallow_clone()),
            false => Ok(of_classes.f_narrow(last, 1, count - 1)?),
        }
    }

    /// The loss of the sums, reduced.
    fn loss(&self, sums: &Sums) -> Result<Tensor> {
        let weight = placed("weight", self.weight, &sums.both)?;
        if let Some(weight) = &weight {
            check::class_weight(weight, sums.both.size()[1])?;
        }
        let weight = weight.map(|weight| self.pick(&weight)).transpose()?;
        let total = |sum: &Tensor| -> Result<Tensor> {
            let sum = self.pick(sum)?;
            Ok(match (self.score, &weight) {
                (OverlapScore::PerClass, _) => sum.f_sum_dim_intlist([0i64].as_slice(), false, None)?,
                (OverlapScore::PerSampleAndClass, _) => sum,
                (OverlapScore::PerSample, Some(weight)) => {
                    sum.f_mul(weight)?.f_sum_dim_intlist([1i64].as_slice(), false, None)?
                }
                (OverlapScore::PerSample, None) => sum.f_sum_dim_intlist([1i64].as_slice(), false, None)?,
            })
        };
        let (both, predicted, actual) = (total(&sums.both)?, total(&sums.predicted)?, total(&sums.actual)?);
        let false_positives = predicted.f_sub(&both)?.f_mul_scalar(self.alpha)?;
        let false_negatives = actual.f_sub(&both)?.f_mul_scalar(self.beta)?;
        let whole = both.f_add(&false_positives)?.f_add(&false_negatives)?.f_add_scalar(self.smooth_dr)?;
        let score = both.f_add_scalar(self.smooth_nr)?.f_div(&whole.f_clamp_min(self.eps.max(TINY))?)?;
        let losses = match self.log_loss {
            true => score.f_clamp_min(self.eps.max(TINY))?.f_log()?.f_neg()?,
            false => score.f_neg()?.f_add_scalar(1.0)?,
        };
        let losses = power(losses, self.focus)?;
        let present = actual.f_detach()?.f_gt(0.0)?.f_to_kind(losses.kind())?;
        let losses = match self.absent {
            AbsentClasses::Count => losses,
            AbsentClasses::Zero | AbsentClasses::Exclude => losses.f_mul(&present)?,
        };
        let weight = weight.filter(|_| self.score != OverlapScore::PerSample);
        let losses = match &weight {
            Some(weight) => losses.f_mul(weight)?,
            None => losses,
        };
        match self.reduction {
            Reduction::Mean => power(self.mean(&losses, &present, weight.as_ref())?, self.gamma),
            Reduction::None => Ok(losses),
            Reduction::Sum | Reduction::BatchMean => Ok(losses.f_sum(None)?),
        }
    }

    /// The mean of weighted losses: over the last axis, then over all.
    fn mean(&self, losses: &Tensor, present: &Tensor, weight: Option<&Tensor>) -> Result<Tensor> {
        let over_last = |tensor: &Tensor| tensor.f_sum_dim_intlist([-1i64].as_slice(), false, None);
        if self.absent == AbsentClasses::Exclude {
            let shares = match weight {
                Some(weight) => present.f_mul(weight)?,
                None => present.shallow_clone(),
            };
            let shares = over_last(&shares)?;
            let nothing = shares.f_detach()?.f_eq(0.0)?;
            let means = over_last(losses)?.f_div(&shares.f_masked_fill(&nothing, 1.0)?)?;
            return Ok(means.f_masked_fill(&nothing, 1.0)?.f_mean(None)?);
        }
        match weight {
            Some(weight) if self.normalize_weight => {
                Ok(over_last(losses)?.f_div(&weight.f_sum(None)?)?.f_mean(None)?)
            }
            _ => Ok(losses.f_mean(None)?),
        }
    }
}

/// Losses to a power. Those of 0, and those that rounding has made negative, cost 0, and have the gradient 0, not an
/// infinite one.
fn power(losses: Tensor, exponent: f64) -> Result<Tensor> {
    match exponent == 1.0 {
        true => Ok(losses),
        false => {
            let powers = losses.f_clamp_min(TINY)?.f_pow_tensor_scalar(exponent)?;
            Ok(powers.f_masked_fill(&losses.f_le(0.0)?, 0.0)?)
        }
    }
}

/// Checks an option that not all of these losses have.
pub(super) fn check_own(option: &'static str, value: f64) -> Result<()> {
    match option {
        "gamma" => check::positive(option, value),
        _ => check::non_negative(option, value),
    }
}
