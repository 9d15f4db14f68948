//! [`GaussianNllLoss`].

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};
use tch::{no_grad, Device, Tensor};

use crate::base::precision::accumulation_kind;
use crate::base::reduction::reduce;
use crate::base::{chain, check, or_panic, setters};
use crate::{Error, Reduction, Result, TernaryLoss};

/// The variance that a [`GaussianNllLoss`] is given: a tensor, or one number for all.
#[derive(Debug, Clone, Copy)]
pub enum Variance<'a> {
    /// One variance for each expected value, or for each group of values that shares an axis; see
    /// [`GaussianNllLoss`].
    Tensor(&'a Tensor),
    /// The same variance everywhere, as a constant.
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

/// Negative log-likelihood of values under normal distributions, given their expected values and variances.
///
/// ```text
/// v    = max(var, eps)
/// l    = (log v + (input - target)² / v) / 2
///      + log(2π) / 2                             with full
/// loss = reduce(l)
/// ```
///
/// It is for networks that say how sure they are: `var` is a second output, made positive (by an exponential,
/// say). With a constant variance the loss is [`MseLoss`](crate::MseLoss) up to scale and offset.
/// [`PoissonNllLoss`](crate::PoissonNllLoss) is for counts.
///
/// As a [`TernaryLoss`] it takes tensors. Its inherent `forward` also takes a number as `var`.
///
/// - **Shapes**: `input` any. `target` has the same shape, or one size of 1 instead, which is broadcast.
///   `var` is like either of these, or has `input`'s shape without the last axis, or is a number. The loss is
///   a scalar, or has `input`'s shape with [`Reduction::None`].
/// - **Values**: `input` and `target` any; `var` 0 or more. A `var` below `eps` counts as `eps`, with the
///   gradient at `eps` instead of 0, so that it can grow again, as in PyTorch. A negative `var` is an error
///   on the CPU; on CUDA it makes the loss NaN, because a check would wait for the device. f16 and bf16 are
///   computed in f32. The mean of nothing is NaN.
/// - **Defaults**: `full` false, `eps` 1e-6, `reduction` mean.
/// - **Errors**: arguments of other shapes, or of different kinds or devices; an `eps` that is negative or
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
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
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

setters!(GaussianNllLoss { with_full(full: bool), with_eps(eps: f64), with_reduction(reduction: Reduction) });

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
        self.check_options()?;
        check::floating("input", input)?;
        check::partners(("input", input), ("target", target))?;
        if target.size() != input.size() && !has_one_size_of_1(target, input) {
            let expected = format!("{:?}, the shape of `input`, or that with one size of 1", input.size());
            return Err(Error::Shape { argument: "target", given: target.size(), expected });
        }
        let kind = input.kind();
        let wide = |tensor: &Tensor| tensor.f_to_kind(accumulation_kind(kind));
        let (wide_input, wide_target) = (wide(input)?, wide(target)?);
        let loss = match var.into() {
            Variance::Tensor(var) => {
                let arguments = [&wide_input, &wide_target, &wide(&broadcastable(var, input)?)?];
                chain::of_numbers(arguments, self.reduction, |[input, target, var], reduction| {
                    self.of_clamped(input, target, &clamped(var, self.eps)?, reduction)
                })
            }
            Variance::Constant(var) => {
                check::non_negative("var", var)?;
                chain::of_numbers(
                    [&wide_input, &wide_target],
                    self.reduction,
                    |[input, target], reduction| {
                        self.of_clamped(input, target, &input.f_full_like(var.max(self.eps))?, reduction)
                    },
                )
            }
        };
        Ok(loss?.f_to_kind(kind)?)
    }

    /// The loss where the variance is `eps` at least.
    fn of_clamped(
        &self,
        input: &Tensor,
        target: &Tensor,
        var: &Tensor,
        reduction: Reduction,
    ) -> Result<Tensor> {
        // One operation forward and one back, which takes arguments of one shape.
        let squares = input.f_mse_loss(&target.f_expand_as(input)?, tch::Reduction::None)?;
        let mut twice = var.f_log()?.f_add(&squares.f_div(var)?)?;
        if self.full {
            twice = twice.f_add_scalar((2.0 * PI).ln())?;
        }
        Ok(reduce(&twice, reduction, input.kind())?.f_mul_scalar(0.5)?)
    }

    /// The loss of `input` against `target`, whose variance is `var`: a tensor or a number.
    ///
    /// # Panics
    /// Where [`try_forward`](Self::try_forward) returns an error, with the error's message.
    #[track_caller]
    pub fn forward<'a>(&self, input: &Tensor, target: &Tensor, var: impl Into<Variance<'a>>) -> Tensor {
        or_panic(self.try_forward(input, target, var))
    }
}

/// Of `input`, `target` and the variance `var`.
impl TernaryLoss for GaussianNllLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        check::non_negative("eps", self.eps)
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor, var: &Tensor) -> Result<Tensor> {
        GaussianNllLoss::try_forward(self, input, target, var)
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
    // A copy that keeps the graph. libtorch's own clamp would not let the gradient pass.
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
