//! [`TripletMarginLoss`].

use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

use super::distance::pairwise;
use super::triplets::{check_vectors, costs};
use crate::base::{chain, check, setters};
use crate::{Error, Reduction, Result, TernaryLoss};

/// Brings an anchor nearer to a positive example than to a negative one, by a margin.
///
/// ```text
/// d(u, v) = (Σ |u - v + eps|^p)^(1/p)                           over the last axis
/// l       = max(0, d(a, pos) - n + margin)                      n = d(a, neg)
/// loss    = reduce(l)                                           with swap: min(d(a, neg), d(pos, neg))
/// ```
///
/// It learns from comparisons alone: no distance by itself is too far or too near, unlike in
/// [`HingeEmbeddingLoss`](crate::HingeEmbeddingLoss).
/// [`TripletMarginWithDistanceLoss`](crate::TripletMarginWithDistanceLoss) takes distances other than
/// p-norms.
///
/// - **Shapes**: `[N, D]`, `[D]`, or any others with the features last. All three have one number of
///   dimensions and are broadcast, as in PyTorch. The loss is a scalar, or has the common shape without the
///   features with [`Reduction::None`].
/// - **Values**: any. `eps` is added to each difference with its sign, so that the difference of equal
///   vectors has a direction. Hence `d` is not quite symmetric. The mean of nothing is NaN, as in PyTorch.
/// - **Gradients**: to all three.
/// - **Defaults**: `margin` 1, `p` 2, `eps` 1e-6, no swap, `reduction` mean.
/// - **Errors**: arguments that differ in dimensions, kind or device, or do not broadcast; a `margin` that is
///   not above 0, or not finite; a `p` that is NaN; an `eps` that is negative or not finite.
///
/// Source:
/// [`torch.nn.TripletMarginLoss`](https://pytorch.org/docs/stable/generated/torch.nn.TripletMarginLoss.html);
/// V. Balntas et al., *Learning local feature descriptors with triplets and shallow convolutional neural
/// networks* (2016), also for the swap.
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{TernaryLoss, TripletMarginLoss};
///
/// let anchor = Tensor::from_slice2(&[[0.0, 0.0]]);
/// let positive = Tensor::from_slice2(&[[3.0, 4.0]]);
/// let negative = Tensor::from_slice2(&[[0.0, 5.5]]);
/// // 5 - 5.5 + 1: the negative is farther off, but not far enough.
/// let loss = TripletMarginLoss::default().forward(&anchor, &positive, &negative);
/// assert!((loss.double_value(&[]) - 0.5).abs() < 1e-5);
/// // And it is nearer to the positive, √11.25 from it, than to the anchor.
/// let swap = TripletMarginLoss { swap: true, ..Default::default() };
/// let loss = swap.forward(&anchor, &positive, &negative);
/// assert!((loss.double_value(&[]) - (6.0 - 11.25f64.sqrt())).abs() < 1e-5);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TripletMarginLoss {
    /// The distance by which the negative shall be farther away.
    pub margin: f64,
    /// The degree of the norm, `f64::INFINITY` for the largest difference. In an objective's file that is `"inf"`.
    #[serde(with = "degree")]
    pub p: f64,
    /// The number added to each difference.
    pub eps: f64,
    /// Whether the distance of the negative is measured from the nearer of anchor and positive.
    pub swap: bool,
    /// How the triplets are reduced.
    pub reduction: Reduction,
}

impl Default for TripletMarginLoss {
    fn default() -> Self {
        TripletMarginLoss { margin: 1.0, p: 2.0, eps: 1e-6, swap: false, reduction: Reduction::Mean }
    }
}

setters!(TripletMarginLoss {
    with_margin(margin: f64), with_p(p: f64), with_eps(eps: f64), with_swap(swap: bool),
    with_reduction(reduction: Reduction)
});

impl TernaryLoss for TripletMarginLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        check::positive("margin", self.margin)?;
        check::non_negative("eps", self.eps)?;
        if self.p.is_nan() {
            let expected = "the degree of a norm".into();
            return Err(Error::Option { option: "p", given: self.p.to_string(), expected });
        }
        Ok(())
    }

    fn try_forward(&self, anchor: &Tensor, positive: &Tensor, negative: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check_vectors(anchor, positive, negative)?;
        if anchor.device() != Device::Cpu {
            // Under autocast, libtorch computes all of it in f32.
            let TripletMarginLoss { margin, p, eps, swap, reduction } = *self;
            let reduction = reduction.torch();
            let loss =
                Tensor::f_triplet_margin_loss(anchor, positive, negative, margin, p, eps, swap, reduction);
            return Ok(loss?);
        }
        chain::of_rows(
            [anchor, positive, negative],
            self.reduction,
            |[anchor, positive, negative], reduction| {
                let distance = |a, b| pairwise(a, b, self.p, self.eps);
                let mut to_negative = distance(anchor, negative)?;
                if self.swap {
                    to_negative = to_negative.f_minimum(&distance(positive, negative)?)?;
                }
                costs(&distance(anchor, positive)?, &to_negative, self.margin, reduction)
            },
        )
    }
}

/// The degree of a norm in a file: a number, `"inf"` or `"-inf"`, as JSON has no infinity.
mod degree {
    use std::fmt;

    use serde::de::{Deserializer, Error, Unexpected, Visitor};
    use serde::ser::Serializer;

    pub fn serialize<S: Serializer>(degree: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        match *degree {
            f64::INFINITY => serializer.serialize_str("inf"),
            f64::NEG_INFINITY => serializer.serialize_str("-inf"),
            finite => serializer.serialize_f64(finite),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        struct Degree;
        impl Visitor<'_> for Degree {
            type Value = f64;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("a number, \"inf\" or \"-inf\"")
            }

            fn visit_f64<E: Error>(self, degree: f64) -> Result<f64, E> {
                Ok(degree)
            }

            fn visit_i64<E: Error>(self, degree: i64) -> Result<f64, E> {
                Ok(degree as f64)
            }

            fn visit_u64<E: Error>(self, degree: u64) -> Result<f64, E> {
                Ok(degree as f64)
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<f64, E> {
                match word {
                    "inf" => Ok(f64::INFINITY),
                    "-inf" => Ok(f64::NEG_INFINITY),
                    _ => Err(E::invalid_value(Unexpected::Str(word), &self)),
                }
            }
        }
        deserializer.deserialize_any(Degree)
    }
}
