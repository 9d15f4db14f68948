//! Losses on distributions: [`KlDivLoss`], [`PoissonNllLoss`] and [`GaussianNllLoss`].

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};
use tch::{no_grad, Device, Reduction, Tensor};

use crate::base::check;
use crate::base::reduction::reduce;
use crate::{Error, Loss, Result};

/// How a [`KlDivLoss`] is reduced: tch's [`Reduction`] lacks [`BatchMean`](Self::BatchMean).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KlDivReduction {
    /// Not at all.
    None,
    /// The sum, divided by the first size: the mean divergence of a batch of distributions `[N, C]`.
    #[doc(alias = "batchmean")]
    BatchMean,
    /// The mean over all elements, which is no divergence; PyTorch's default nevertheless.
    #[default]
    Mean,
    /// The sum.
    Sum,
}

/// Kullback-Leibler divergence of log-probabilities from a target distribution.
///
/// ```text
/// l    = y * (log y - input)               y = target
///        exp(target) * (target - input)    with log_target
/// loss = reduce(l)
/// ```
///
/// For soft targets, as in distillation and variational methods. It is
/// [`CrossEntropyLoss`](crate::CrossEntropyLoss) with probabilities less the entropy of the target, of
/// log-probabilities in place of logits: the gradient is the same, and equal distributions cost 0. The order
/// is `(log q, p)` for `KL(p ‖ q)`.
///
/// - **Shapes**: any, equal; the loss is a scalar, or of that shape with [`KlDivReduction::None`].
/// - **Values**: `input` log-probabilities; `target` probabilities, 0 included (which cost 0), or
///   log-probabilities with `log_target`. Not checked, as in PyTorch. The mean of nothing is NaN.
/// - **Defaults**: `log_target` false, `reduction` mean. You most likely want
///   [`BatchMean`](KlDivReduction::BatchMean); PyTorch warns of its own default.
/// - **Errors**: arguments that differ in shape, kind or device.
///
/// Source: [`torch.nn.KLDivLoss`](https://pytorch.org/docs/stable/generated/torch.nn.KLDivLoss.html);
/// S. Kullback and R. A. Leibler, *On information and sufficiency* (1951).
///
/// ```
/// use tch::{Kind, Tensor};
/// use tch_losses::{KlDivLoss, KlDivReduction, Loss};
///
/// let kl = KlDivLoss { reduction: KlDivReduction::BatchMean, ..Default::default() };
/// let target = Tensor::from_slice(&[0.5, 0.5, 1.0, 0.0]).view([2, 2]);
/// let uniform = Tensor::from_slice(&[0.5, 0.5, 0.5, 0.5]).view([2, 2]);
/// // The first of the two is uniform, the second log 2 away from it.
/// let loss = kl.forward(&uniform.log(), &target);
/// assert!((loss - 2f64.ln() / 2.0).abs().double_value(&[]) < 1e-12);
/// ```
#[doc(alias = "KLDivLoss")]
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KlDivLoss {
    /// Whether `target` holds log-probabilities.
    pub log_target: bool,
    /// How the elements are reduced.
    pub reduction: KlDivReduction,
}

impl Loss for KlDivLoss {
    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        check::pair(input, target)?;
        let reduction = match self.reduction {
            KlDivReduction::None => Reduction::None,
            KlDivReduction::Mean => Reduction::Mean,
            KlDivReduction::BatchMean | KlDivReduction::Sum => Reduction::Sum,
        };
        let reduced = input.f_kl_div(target, reduction, self.log_target)?;
        match (self.reduction, input.size().first()) {
            (KlDivReduction::BatchMean, Some(&batch)) => Ok(reduced.f_div_scalar(batch)?),
            _ => Ok(reduced),
        }
    }
}

/// Negative log-likelihood of counts, given their expected values (Poisson distribution).
///
/// ```text
/// l    = exp(x) - y * x              with log_input        x = input, y = target
///        x - y * log(x + eps)        without
///      + y * log y - y + log(2π y)/2 with full, where y > 1
/// loss = reduce(l)
/// ```
///
/// For counts (photons, events), whose variance grows with their mean; [`GaussianNllLoss`] has a variance of
/// its own. `full` adds Stirling's approximation of `log y!`, which depends on the target alone.
///
/// - **Shapes**: any, equal; the loss is a scalar, or of that shape with [`Reduction::None`].
/// - **Values**: `input` the logarithm of the expected value, or without `log_input` the expected value, 0 or
///   more; `target` counts, 0 or more. Not checked, as in PyTorch. The mean of nothing is NaN.
/// - **Defaults**: `log_input` true, `full` false, `eps` 1e-8, `reduction` mean.
/// - **Errors**: arguments that differ in shape, kind or device; an `eps` that is negative or not finite.
///
/// Source:
/// [`torch.nn.PoissonNLLLoss`](https://pytorch.org/docs/stable/generated/torch.nn.PoissonNLLLoss.html).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{Loss, PoissonNllLoss};
///
/// let counts = Tensor::from_slice(&[2.0, 5.0]);
/// let at = |log_mean: &[f64]| PoissonNllLoss::default().forward(&Tensor::from_slice(log_mean), &counts);
/// // The likeliest expected values are the counts themselves.
/// let best = at(&[2f64.ln(), 5f64.ln()]);
/// assert!(best.double_value(&[]) < at(&[2f64.ln(), 4f64.ln()]).double_value(&[]));
/// ```
#[doc(alias = "PoissonNLLLoss")]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PoissonNllLoss {
    /// Whether `input` is the logarithm of the expected value.
    pub log_input: bool,
    /// Whether Stirling's term is added.
    pub full: bool,
    /// What is added to the expected value under the logarithm; of no use with `log_input`.
    pub eps: f64,
    /// How the elements are reduced.
    #[serde(with = "crate::base::reduction::name")]
    pub reduction: Reduction,
}

impl Default for PoissonNllLoss {
    fn default() -> Self {
        PoissonNllLoss { log_input: true, full: false, eps: 1e-8, reduction: Reduction::Mean }
    }
}

impl Loss for PoissonNllLoss {
    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        check::reduction(self.reduction)?;
        check::non_negative("eps", self.eps)?;
        check::pair(input, target)?;
        Ok(input.f_poisson_nll_loss(target, self.log_input, self.full, self.eps, self.reduction)?)
    }
}

/// The variance that a [`GaussianNllLoss`] is given: a tensor, or one number for all.
#[derive(Debug, Clone, Copy)]
pub enum Variance<'a> {
    /// One for each expected value, or for each group of them that shares an axis; see [`GaussianNllLoss`].
    Tensor(&'a Tensor),
    /// The same everywhere, and a constant.
    Constant(f64),
}

impl<'a> From<&'a Tensor> for Variance<'a> {
    fn from(variance: &'a Tensor) -> Self {
        Variance::Tensor(variance)
    }
}

impl From<f64> for Variance<'_> {
    fn from(variance: f64) -> Self {
        Variance::Constant(variance)
    }
}

/// Negative log-likelihood of values, given their expected values and variances (normal distribution).
///
/// ```text
/// v    = max(var, eps)
/// l    = (log v + (input - target)² / v) / 2
///      + log(2π) / 2                             with full
/// loss = reduce(l)
/// ```
///
/// For networks that say how sure they are: `var` is a second output of theirs, made positive (by an
/// exponential, say). With a constant variance it is [`MseLoss`](crate::MseLoss) up to scale and offset;
/// [`PoissonNllLoss`] is for counts.
///
/// It has three inputs, hence a `forward` of its own in place of the trait [`Loss`].
///
/// - **Shapes**: `input` any; `target` the same, or with one size of 1 in place of another, which is
///   broadcast; `var` either of these, or `input`'s shape without its last axis, or a number. The loss is a
///   scalar, or of `input`'s shape with [`Reduction::None`].
/// - **Values**: `input` and `target` any; `var` 0 or more. What is smaller than `eps` is replaced by it, and
///   its gradient is that at `eps` (not 0: a variance that is too small can grow again), as in PyTorch. A
///   negative variance is an error on the CPU; on CUDA, where to look would be to wait for the device, it
///   makes the loss NaN. The mean of nothing is NaN.
/// - **Defaults**: `full` false, `eps` 1e-6, `reduction` mean.
/// - **Errors**: arguments of other shapes, or that differ in kind or device; an `eps` that is negative or
///   not finite.
///
/// Source:
/// [`torch.nn.GaussianNLLLoss`](https://pytorch.org/docs/stable/generated/torch.nn.GaussianNLLLoss.html); D.
/// A. Nix and A. S. Weigend, *Estimating the mean and variance of the target probability distribution*
/// (1994).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::GaussianNllLoss;
///
/// let (input, target) = (Tensor::from_slice(&[1.0, 2.0]), Tensor::from_slice(&[1.0, 4.0]));
/// // The network knows that its second value is a guess.
/// let var = Tensor::from_slice(&[1.0, 4.0]);
/// let loss = GaussianNllLoss::default().forward(&input, &target, &var);
/// assert!((loss - (4f64.ln() + 1.0) / 4.0).abs().double_value(&[]) < 1e-12);
/// let unsure = GaussianNllLoss::default().forward(&input, &target, 1.0);
/// assert_eq!(unsure.double_value(&[]), 1.0);
/// ```
#[doc(alias = "GaussianNLLLoss")]
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GaussianNllLoss {
    /// Whether the constant term is added.
    pub full: bool,
    /// The least variance.
    pub eps: f64,
    /// How the elements are reduced.
    pub reduction: Reduction,
}

impl Default for GaussianNllLoss {
    fn default() -> Self {
        GaussianNllLoss { full: false, eps: 1e-6, reduction: Reduction::Mean }
    }
}

impl GaussianNllLoss {
    /// The loss of `input` against `target`, whose variance is `var`: a tensor or a number.
    ///
    /// # Errors
    /// An argument that the loss does not accept gives the [`Error`] that names it.
    pub fn try_forward<'a>(
        &self,
        input: &Tensor,
        target: &Tensor,
        var: impl Into<Variance<'a>>,
    ) -> Result<Tensor> {
        check::reduction(self.reduction)?;
        check::non_negative("eps", self.eps)?;
        check::floating("input", input)?;
        check::partners(("input", input), ("target", target))?;
        if target.size() != input.size() && !has_one_size_of_1(target, input) {
            let expected = format!("{:?}, the shape of `input`, or that with one size of 1", input.size());
            return Err(Error::Shape { argument: "target", given: target.size(), expected });
        }
        let var = match var.into() {
            Variance::Tensor(var) => clamped(&broadcastable(var, input)?, self.eps)?,
            Variance::Constant(var) => {
                check::non_negative("var", var)?;
                input.f_full_like(var.max(self.eps))?
            }
        };
        let squares = input.f_sub(target)?.f_square()?;
        let mut loss = var.f_log()?.f_add(&squares.f_div(&var)?)?.f_mul_scalar(0.5)?;
        if self.full {
            loss = loss.f_add_scalar(0.5 * (2.0 * PI).ln())?;
        }
        reduce(&loss, self.reduction, input.kind())
    }

    /// The loss of `input` against `target`, whose variance is `var`: a tensor or a number.
    ///
    /// # Panics
    /// Where [`try_forward`](Self::try_forward) returns an error, with the error's message.
    #[track_caller]
    pub fn forward<'a>(&self, input: &Tensor, target: &Tensor, var: impl Into<Variance<'a>>) -> Tensor {
        match self.try_forward(input, target, var) {
            Ok(loss) => loss,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Whether `tensor` has the shape of `input` but for one size, which is 1.
fn has_one_size_of_1(tensor: &Tensor, input: &Tensor) -> bool {
    let (own, others) = (tensor.size(), input.size());
    let mut different = own.iter().zip(&others).filter(|(own, other)| own != other);
    own.len() == others.len() && matches!((different.next(), different.next()), (Some((1, _)), None))
}

/// The variance in a shape that broadcasts to that of `input`.
fn broadcastable(var: &Tensor, input: &Tensor) -> Result<Tensor> {
    check::partners(("input", input), ("var", var))?;
    let (given, shape) = (var.size(), input.size());
    if given == shape || has_one_size_of_1(var, input) {
        return Ok(var.shallow_clone());
    }
    match shape.split_last() {
        Some((_, rest)) if given == rest => Ok(var.f_unsqueeze(-1)?),
        _ => {
            let expected =
                format!("{shape:?}, the shape of `input`, or that with one size of 1 or without the last");
            Err(Error::Shape { argument: "var", given, expected })
        }
    }
}

/// The variance, at least `eps`, with the gradient passing as if it were not.
fn clamped(var: &Tensor, eps: f64) -> Result<Tensor> {
    let negative = var.f_lt(0.0)?;
    // A copy that keeps the graph.
    let mut clamped = var.f_mul_scalar(1.0)?;
    if var.device() == Device::Cpu {
        if negative.f_any()?.f_int64_value(&[])? != 0 {
            let (given, expected) = ("negative values".into(), "0 or more".into());
            return Err(Error::Value { argument: "var", given, expected });
        }
        let _ = no_grad(|| clamped.f_clamp_min_(eps))?;
    } else {
        let _ = no_grad(|| clamped.f_clamp_min_(eps)?.f_masked_fill_(&negative, f64::NAN))?;
    }
    Ok(clamped)
}
