//! [`JsdCrossEntropyLoss`].

use serde::{Deserialize, Serialize};
use tch::{no_grad, Tensor};

use super::rows::finish;
use super::CLASSES;
use crate::base::exponential::exp;
use crate::base::gradient::{numbers_at_once, pieces, with_gradient, Wanted};
use crate::base::heap::keep_freed_blocks;
use crate::base::precision::accumulation_kind;
use crate::base::{check, setters};
use crate::{Error, Loss, Reduction, Result};

/// The least probability of the mixture in a logarithm.
const LEAST: f64 = 1e-7;

/// Cross entropy of clean images, and how far the distributions of their augmented copies are from each other: the loss
/// of AugMix.
///
/// ```text
/// p[k] = softmax(input of split k)      the first split is the clean one
/// m    = clamp(mean of p[k] over the splits, 1e-7, 1)
/// l    = cross entropy of the clean split, with label smoothing
///        + alpha * mean over k of Σ p[k] * log(p[k] / m)
/// loss = reduce(l)
/// ```
///
/// The second term is the Jensen-Shannon divergence.
///
/// - **Shapes**: `input` `[K * N, C]`: N clean samples, and the same samples in the same order `K - 1` times, augmented.
///   `target` `[K * N]`, classes of kind Int64 or Uint8, of which the first N are read. The loss is a scalar, or `[N]`
///   with [`Reduction::None`].
/// - **Values**: `input` any logits. Classes are in `[0, C)`; a wrong one is [`Error::Torch`] on the CPU and a failed
///   device-side assertion on CUDA. f16 and bf16 are computed in f32. The mean of nothing is NaN.
/// - **Gradients**: to `input`; finite where a probability is 0, too. If the loss is reduced, forward computes the
///   gradient, and second derivatives come out as zero. For second derivatives, take [`Reduction::None`] and reduce its
///   result.
/// - **Defaults**: `num_splits` 3, `alpha` 12, `label_smoothing` 0.1, `reduction` mean: timm's. The paper has no label
///   smoothing.
/// - **Errors**: shapes, kinds or devices other than these; a `num_splits` below 1; an `alpha` that is negative or not
///   finite; a `label_smoothing` outside `[0, 1]`.
///
/// Source: `JsdCrossEntropy` of [timm](https://github.com/huggingface/pytorch-image-models) 1.0.31; D. Hendrycks et
/// al., [*AugMix*](https://arxiv.org/abs/1912.02781) (2019).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{JsdCrossEntropyLoss, Loss};
///
/// // A network that sees no difference between the three copies.
/// let logits = Tensor::from_slice2(&[[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]);
/// let loss = JsdCrossEntropyLoss::default().forward(&logits, &Tensor::from_slice(&[1i64, 1, 1]));
/// assert!((loss.double_value(&[]) - 2f64.ln()).abs() < 1e-12);
/// ```
#[doc(alias = "JsdCrossEntropy")]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JsdCrossEntropyLoss {
    /// How many copies of each sample there are, the clean one included.
    pub num_splits: i64,
    /// The weight of the divergence.
    pub alpha: f64,
    /// The share of the target that is spread evenly over all classes, in `[0, 1]`.
    pub label_smoothing: f64,
    /// How the samples are reduced.
    pub reduction: Reduction,
}

impl Default for JsdCrossEntropyLoss {
    fn default() -> Self {
        JsdCrossEntropyLoss { num_splits: 3, alpha: 12.0, label_smoothing: 0.1, reduction: Reduction::Mean }
    }
}

setters!(JsdCrossEntropyLoss {
    with_num_splits(num_splits: i64), with_alpha(alpha: f64), with_label_smoothing(label_smoothing: f64),
    with_reduction(reduction: Reduction)
});

/// What the loss is made of, `[K, N, C]`.
struct Mixture {
    logs: Tensor,
    probabilities: Tensor,
    mean: Tensor,
    /// `log p - log m`.
    ratios: Tensor,
}

impl JsdCrossEntropyLoss {
    fn check_arguments(&self, input: &Tensor, target: &Tensor) -> Result<()> {
        check::floating("input", input)?;
        let given = input.size();
        if given.len() != 2 || given[1] == 0 || given[0] % self.num_splits != 0 {
            let expected = format!("[{} * N, C] with C at least 1", self.num_splits);
            return Err(Error::Shape { argument: "input", given, expected });
        }
        check::class_targets(&given, input, target)
    }

    fn mixture(&self, scores: &Tensor) -> Result<Mixture> {
        let logs = scores.f_log_softmax(2, None)?;
        let probabilities = exp(&logs)?;
        let mean = probabilities.f_mean_dim([0i64].as_slice(), false, None)?;
        // Of a class that cannot be, `p * log p` is 0. Below, the exponential is 0 in f64, too.
        let finite = logs.f_clamp_min(-1e3)?;
        let ratios = finite.f_sub(&mean.f_clamp(LEAST, 1.0)?.f_log()?)?;
        Ok(Mixture { logs, probabilities, mean, ratios })
    }

    /// The losses of the samples, `[N]`. `classes` are `[N, 1]`.
    fn samples(&self, mixture: &Mixture, classes: &Tensor) -> Result<Tensor> {
        let Mixture { logs, probabilities, ratios, .. } = mixture;
        let clean = logs.f_select(0, 0)?;
        let right = clean.f_gather(1, classes, false)?.f_squeeze_dim(1)?;
        let share = self.label_smoothing;
        let mut entropy = right.f_mul_scalar(share - 1.0)?;
        if share > 0.0 {
            let even = clean.f_mean_dim([1i64].as_slice(), false, None)?;
            entropy = entropy.f_sub(&even.f_mul_scalar(share)?)?;
        }
        let divergences =
            probabilities.f_mul(ratios)?.f_sum_dim_intlist([0i64, 2].as_slice(), false, None)?;
        Ok(entropy.f_add(&divergences.f_mul_scalar(self.alpha / self.num_splits as f64)?)?)
    }

    /// The sum of the losses of the samples, of which there is one at least, and its slopes with respect to the scores.
    fn sum_and_slopes(&self, scores: &Tensor, classes: &Tensor) -> Result<(Tensor, Tensor)> {
        keep_freed_blocks();
        let of = |scores: &Tensor, classes: &Tensor| -> Result<(Tensor, Tensor)> {
            let mixture = self.mixture(scores)?;
            let sum = self.samples(&mixture, classes)?.f_sum(None)?;
            Ok((sum, self.slopes(mixture, classes)?))
        };
        let size = scores.size();
        let most = numbers_at_once(scores.device(), size[0] * size[2]);
        if size[1] <= most {
            return of(scores, classes);
        }
        let (gradient, mut sums) = (scores.f_empty_like()?, Vec::new());
        for (start, samples) in pieces(size[1], most) {
            let part = scores.f_narrow(1, start, samples)?;
            let (sum, slopes) = of(&part, &classes.f_narrow(0, start, samples)?)?;
            gradient.f_narrow(1, start, samples)?.f_copy_(&slopes)?;
            sums.push(sum);
        }
        Ok((Tensor::f_stack(&sums, 0)?.f_sum(None)?, gradient))
    }

    /// The slopes of the samples' losses with respect to the scores.
    fn slopes(&self, mixture: Mixture, classes: &Tensor) -> Result<Tensor> {
        let Mixture { probabilities, mean, ratios, .. } = mixture;
        // Of the divergences: log(p / m), and 1 more where the clamp holds m; behind the soft-max, p * (it - Σ p * it).
        let steep = { ratios }.f_add_(&mean.f_lt(LEAST)?.f_to_kind(mean.kind())?)?;
        let weighted = probabilities.f_mul(&steep)?;
        let total = weighted.f_sum_dim_intlist([2i64].as_slice(), true, None)?;
        let mut slopes = { weighted }.f_sub_(&probabilities.f_mul(&total)?)?;
        slopes = slopes.f_mul_scalar_(self.alpha / self.num_splits as f64)?;
        // Of the cross entropy.
        let share = self.label_smoothing;
        let even = share / probabilities.size()[2] as f64;
        let mut clean = slopes.f_select(0, 0)?;
        let _ = clean.f_add_(&probabilities.f_select(0, 0)?)?.f_sub_scalar_(even)?;
        let right = classes.f_to_kind(slopes.kind())?.f_fill_(share - 1.0)?;
        let _ = clean.f_scatter_add_(1, classes, &right)?;
        Ok(slopes)
    }
}

impl Loss for JsdCrossEntropyLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        check::at_least_1("num_splits", self.num_splits)?;
        check::non_negative("alpha", self.alpha)?;
        check::fraction("label_smoothing", self.label_smoothing)
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        self.check_arguments(input, target)?;
        let (splits, size) = (self.num_splits, input.size());
        let samples = size[0] / splits;
        let scores = input.f_to_kind(accumulation_kind(input.kind()))?.f_contiguous()?;
        let scores = scores.f_view([splits, samples, size[1]].as_slice())?;
        let classes = target.f_narrow(0, 0, samples)?.f_to_kind(CLASSES)?.f_unsqueeze(1)?;
        let in_graph = Wanted::of(&scores, None)? != Wanted::InputGradient;
        if in_graph || self.reduction == Reduction::None || samples == 0 {
            return finish(self.samples(&self.mixture(&scores)?, &classes)?, self.reduction, samples, input);
        }
        let (sum, slopes) = no_grad(|| self.sum_and_slopes(&scores.f_detach()?, &classes))?;
        let factor = if self.reduction == Reduction::Mean { 1.0 / samples as f64 } else { 1.0 };
        let loss = with_gradient(&sum.f_mul_scalar(factor)?, &scores, &slopes, factor)?;
        Ok(loss.f_to_kind(input.kind())?)
    }
}
