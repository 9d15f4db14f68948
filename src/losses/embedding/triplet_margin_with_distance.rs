//! [`TripletMarginWithDistanceLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::triplets::{check_vectors, costs, named};
use crate::base::{chain, check, setters};
use crate::{Distance, Reduction, Result, TernaryLoss};

/// [`TripletMarginLoss`](crate::TripletMarginLoss) with a distance of your own.
///
/// ```text
/// l    = max(0, d(a, pos) - n + margin)      n = d(a, neg); with swap min(d(a, neg), d(pos, neg))
/// loss = reduce(l)
/// ```
///
/// `d` is [`distance_function`](Self::distance_function), a [`Distance`].
///
/// - **Shapes**: the shapes that the distance takes. All three have one number of dimensions; they are
///   broadcast if the distance broadcasts. The loss is a scalar, or has the shape of the distances with
///   [`Reduction::None`].
/// - **Values**: any, of any kind that the distance takes. The mean of nothing is NaN, as in PyTorch.
/// - **Gradients**: to all three, as far as the distance has them. With `swap`, two equal distances get one
///   half each.
/// - **Defaults**: the pairwise distance, `margin` 1, no swap, `reduction` mean.
/// - **Errors**: arguments that differ in dimensions; without a custom distance also arguments that differ in
///   kind or device, or do not broadcast; distances that are not floating, differ in kind or device, or do
///   not broadcast; an error of the distance, as it is; a `margin` that is not above 0, or not finite.
///
/// Source:
/// [`torch.nn.TripletMarginWithDistanceLoss`](https://pytorch.org/docs/stable/generated/torch.nn.TripletMarginWithDistanceLoss.html).
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::{Distance, TernaryLoss, TripletMarginWithDistanceLoss};
///
/// let loss = TripletMarginWithDistanceLoss {
///     distance_function: Distance::Cosine,
///     margin: 0.5,
///     ..Default::default()
/// };
/// let embeddings = || Tensor::randn([8, 16], (Kind::Float, Device::Cpu)).set_requires_grad(true);
/// let (anchor, positive, negative) = (embeddings(), embeddings(), embeddings());
/// let value = loss.try_forward(&anchor, &positive, &negative)?;
/// value.backward();
/// assert_eq!(anchor.grad().size(), [8, 16]);
/// # Ok::<(), tch_losses::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TripletMarginWithDistanceLoss {
    /// The distance.
    pub distance_function: Distance,
    /// The distance by which the negative shall be farther away.
    pub margin: f64,
    /// Whether the distance of the negative is measured from the nearer of anchor and positive.
    pub swap: bool,
    /// How the triplets are reduced.
    pub reduction: Reduction,
}

impl Default for TripletMarginWithDistanceLoss {
    fn default() -> Self {
        TripletMarginWithDistanceLoss {
            distance_function: Distance::Pairwise,
            margin: 1.0,
            swap: false,
            reduction: Reduction::Mean,
        }
    }
}

setters!(TripletMarginWithDistanceLoss {
    with_distance_function(distance_function: Distance), with_margin(margin: f64), with_swap(swap: bool),
    with_reduction(reduction: Reduction)
});

impl TernaryLoss for TripletMarginWithDistanceLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        check::positive("margin", self.margin)
    }

    fn try_forward(&self, anchor: &Tensor, positive: &Tensor, negative: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        match self.distance_function {
            // Of what it is given, only the distance knows what it takes.
            Distance::Custom(_) => {
                let arguments = named(anchor, positive, negative);
                for (argument, tensor) in arguments {
                    check::dense(argument, tensor)?;
                }
                check::same_dimensions(&arguments)?;
                self.of_triplets([anchor, positive, negative], self.reduction)
            }
            _ => {
                check_vectors(anchor, positive, negative)?;
                chain::of_rows([anchor, positive, negative], self.reduction, |triplets, reduction| {
                    self.of_triplets(triplets, reduction)
                })
            }
        }
    }
}

impl TripletMarginWithDistanceLoss {
    fn of_triplets(
        &self,
        [anchor, positive, negative]: [&Tensor; 3],
        reduction: Reduction,
    ) -> Result<Tensor> {
        let to_positive = self.distance_function.between(anchor, positive)?;
        let named_positive = ("distance(anchor, positive)", &to_positive);
        check::floating(named_positive.0, &to_positive)?;
        let mut to_negative = self.distance_function.between(anchor, negative)?;
        let named_negative = ("distance(anchor, negative)", &to_negative);
        check::partners(named_positive, named_negative)?;
        check::broadcast(&[named_positive, named_negative])?;
        if self.swap {
            let swapped = self.distance_function.between(positive, negative)?;
            let named_swapped = ("distance(positive, negative)", &swapped);
            check::partners(named_positive, named_swapped)?;
            check::broadcast(&[named_positive, named_negative, named_swapped])?;
            to_negative = to_negative.f_minimum(&swapped)?;
        }
        costs(&to_positive, &to_negative, self.margin, reduction)
    }
}
