//! [`NegativeBinomialNllLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::base::gradient::Wanted;
use crate::base::pointwise::sum_of_rows;
use crate::base::precision::{accumulation_kind, smallest_normal};
use crate::base::reduction::reduce;
use crate::base::{check, or_panic, setters};
use crate::{Reduction, Result, TernaryLoss};

/// Negative log-likelihood of counts under negative binomial distributions: counts that vary more than those of
/// [`PoissonNllLoss`](crate::PoissonNllLoss), such as reads of genes.
///
/// ```text
/// m, t = input + eps, theta + eps
/// s    = log(theta + input + eps)
/// l    = theta * (s - log t) + y * (s - log m)      y = target
///        + log Γ(theta) + log Γ(y + 1) - log Γ(y + theta)
/// loss = reduce(l)
/// ```
///
/// As a [`TernaryLoss`] it takes `input`, the expected counts, `target`, the counts, and `theta`, the inverse
/// dispersion: the variance is `input + input² / theta`. [`forward_zero_inflated`](Self::forward_zero_inflated) is the
/// loss of counts with too many zeros.
///
/// - **Shapes**: `input` and `target` any, equal; `theta` broadcasts to that shape: `[G]` for a dispersion of each gene.
///   The loss is a scalar, or has `input`'s shape with [`Reduction::None`].
/// - **Values**: `input` and `theta` positive, `target` 0 or more; not checked. f16 and bf16 are computed in f32. The
///   mean of nothing is NaN.
/// - **Gradients**: to all arguments. If the loss is reduced and only `input` requires one, forward computes it, and
///   second derivatives come out as zero. For second derivatives, take [`Reduction::None`] and reduce its result.
/// - **Defaults**: `eps` 1e-8, `reduction` mean. scvi-tools adds up the genes of a cell: take [`Reduction::None`].
/// - **Errors**: shapes other than these, different kinds or devices; an `eps` that is not positive and finite.
///
/// Source: `log_nb_positive` of [scvi-tools](https://github.com/scverse/scvi-tools); R. Lopez et al., *Deep generative
/// modeling for single-cell transcriptomics* (2018).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{NegativeBinomialNllLoss, TernaryLoss};
///
/// // With a theta of 1 it is the geometric distribution: 1/4, 1/8, ... for an expected count of 1.
/// let one = Tensor::from_slice(&[1.0]);
/// let loss = NegativeBinomialNllLoss::default().forward(&one, &one, &one);
/// assert!((loss.double_value(&[]) - 4f64.ln()).abs() < 1e-7);
/// ```
#[doc(alias = "log_nb_positive")]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NegativeBinomialNllLoss {
    /// What is added within logarithms.
    pub eps: f64,
    /// How the elements are reduced.
    pub reduction: Reduction,
}

impl Default for NegativeBinomialNllLoss {
    fn default() -> Self {
        NegativeBinomialNllLoss { eps: 1e-8, reduction: Reduction::Mean }
    }
}

setters!(NegativeBinomialNllLoss { with_eps(eps: f64), with_reduction(reduction: Reduction) });

impl NegativeBinomialNllLoss {
    /// The loss of counts of which some are 0 for another reason, such as a gene that was missed: `σ(logits)` is the
    /// probability of that.
    ///
    /// ```text
    /// l    = -log(σ(logits) + σ(-logits) * exp(-nll))      where target is 0
    ///        nll - log σ(-logits)                          elsewhere; nll = the loss of one element
    /// loss = reduce(l)
    /// ```
    ///
    /// `logits` has `input`'s shape. Source: `log_zinb_positive` of scvi-tools.
    ///
    /// # Errors
    /// As [`try_forward`](TernaryLoss::try_forward), and for `logits` of another shape, kind or device than `input`.
    ///
    /// ```
    /// use tch::Tensor;
    /// use tch_losses::NegativeBinomialNllLoss;
    ///
    /// let (one, zero) = (Tensor::from_slice(&[1.0]), Tensor::from_slice(&[0.0]));
    /// // Half of the zeros are drawn, and half of the counts, of which half are 0.
    /// let loss = NegativeBinomialNllLoss::default().forward_zero_inflated(&one, &zero, &one, &zero);
    /// assert!((loss.double_value(&[]) + 0.75f64.ln()).abs() < 1e-7);
    /// ```
    pub fn try_forward_zero_inflated(
        &self,
        input: &Tensor,
        target: &Tensor,
        theta: &Tensor,
        logits: &Tensor,
    ) -> Result<Tensor> {
        self.check_options()?;
        check_arguments(input, target, theta)?;
        check::partners(("input", input), ("logits", logits))?;
        check::same_shape(("input", input), ("logits", logits))?;
        let likelihood = self.elements(input, target, theta)?.f_neg()?;
        let wide = logits.f_to_kind(likelihood.kind())?;
        let counted = likelihood.f_add(&wide.f_neg()?.f_log_sigmoid()?)?;
        let zero = wide.f_log_sigmoid()?.f_logaddexp(&counted)?;
        let loss = zero.f_where_self(&target.f_eq(0.0)?, &counted)?.f_neg()?;
        reduce(&loss, self.reduction, input.kind())
    }

    /// The same in the manner of tch's own operations.
    ///
    /// # Panics
    /// Where [`try_forward_zero_inflated`](Self::try_forward_zero_inflated) returns an error, with the error's message.
    #[track_caller]
    pub fn forward_zero_inflated(
        &self,
        input: &Tensor,
        target: &Tensor,
        theta: &Tensor,
        logits: &Tensor,
    ) -> Tensor {
        or_panic(self.try_forward_zero_inflated(input, target, theta, logits))
    }

    /// The losses of the elements, in f32 at least.
    fn elements(&self, input: &Tensor, target: &Tensor, theta: &Tensor) -> Result<Tensor> {
        let kind = accumulation_kind(input.kind());
        let (mean, count, theta) = (input.f_to_kind(kind)?, target.f_to_kind(kind)?, theta.f_to_kind(kind)?);
        let both = theta.f_add(&mean)?.f_add_scalar(self.eps)?.f_log()?;
        let of_theta = both.f_sub(&theta.f_add_scalar(self.eps)?.f_log()?)?.f_mul(&theta)?;
        let of_count = both.f_sub(&mean.f_add_scalar(self.eps)?.f_log()?)?.f_mul(&count)?;
        // Of 0, the logarithm of the gamma function is infinite.
        let positive = theta.f_clamp_min(smallest_normal(theta.kind()))?;
        let ways = count.f_add_scalar(1.0)?.f_lgamma()?.f_sub(&count.f_add(&positive)?.f_lgamma()?)?;
        Ok(of_theta.f_add(&of_count)?.f_add(&ways)?.f_add(&positive.f_lgamma()?)?)
    }
}

impl NegativeBinomialNllLoss {
    /// The sum of the elements, and their slopes with respect to the mean.
    fn sum_and_slopes(&self, mean: &Tensor, count: &Tensor, theta: &Tensor) -> Result<(Tensor, Tensor)> {
        let theta = theta.f_clamp_min(smallest_normal(theta.kind()))?;
        let total = count.f_add(&theta)?;
        let (below, mean) = (mean.f_add(&theta)?.f_add_scalar_(self.eps)?, mean.f_add_scalar(self.eps)?);
        let both = below.f_log()?;
        let of_count = both.f_sub(&mean.f_log()?)?.f_mul_(count)?;
        let mut sum = { both }.f_sub_(&theta.f_add_scalar(self.eps)?.f_log_()?)?.f_mul_(&theta)?;
        sum = sum.f_add_(&of_count)?.f_add_(&count.f_add_scalar(1.0)?.f_lgamma_()?)?;
        sum = sum.f_sub_(&total.f_lgamma()?)?.f_add_(&theta.f_lgamma()?)?;
        let mut slopes = { total }.f_div_(&below)?;
        slopes = slopes.f_sub_(&count.f_div(&mean)?)?;
        Ok((sum.f_sum(None)?, slopes))
    }
}

fn check_arguments(input: &Tensor, target: &Tensor, theta: &Tensor) -> Result<()> {
    check::pair(input, target)?;
    check::partners(("input", input), ("theta", theta))?;
    check::element_weight(("theta", theta), input)
}

/// Of `input`, `target` and `theta`.
impl TernaryLoss for NegativeBinomialNllLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        check::positive("eps", self.eps)
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor, theta: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check_arguments(input, target, theta)?;
        let kind = accumulation_kind(input.kind());
        let (mean, count, theta) = (input.f_to_kind(kind)?, target.f_to_kind(kind)?, theta.f_to_kind(kind)?);
        let constant = if count.requires_grad() { &count } else { &theta };
        let in_graph = Wanted::of(&mean, Some(constant))? != Wanted::InputGradient;
        if self.reduction == Reduction::None || in_graph || mean.dim() == 0 || mean.numel() == 0 {
            return reduce(&self.elements(&mean, &count, &theta)?, self.reduction, input.kind());
        }
        let mean = mean.f_contiguous()?;
        // One for each sample, or the same for all.
        let of_samples = theta.dim() == mean.dim() && theta.size()[0] == mean.size()[0];
        let mut constants = vec![count];
        if of_samples {
            constants.push(theta.shallow_clone());
        }
        let sum = sum_of_rows(&mean, &constants, &|mean, constants| {
            self.sum_and_slopes(mean, &constants[0], constants.get(1).unwrap_or(&theta))
        })?;
        let elements = if self.reduction == Reduction::Mean { mean.numel() as f64 } else { 1.0 };
        Ok(sum.f_div_scalar(elements)?.f_to_kind(input.kind())?)
    }
}
