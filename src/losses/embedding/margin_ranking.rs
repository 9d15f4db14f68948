//! [`MarginRankingLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::base::{chain, check, setters};
use crate::{Reduction, Result, TernaryLoss};

/// Ranks one score above another, or below it, by a margin.
///
/// ```text
/// l    = max(0, -y * (x1 - x2) + margin)      x1 = input1, x2 = input2, y = target
/// loss = reduce(l)
/// ```
///
/// `y = 1` asks for `x1 > x2`, `y = -1` for `x1 < x2`. The two scores belong to two things of one list.
/// [`MultiMarginLoss`](crate::MultiMarginLoss) ranks the true class above all others.
/// [`TripletMarginLoss`](crate::TripletMarginLoss) ranks distances.
///
/// - **Shapes**: any with one number of dimensions. They are broadcast, as in PyTorch. The loss is a scalar,
///   or has the common shape with [`Reduction::None`].
/// - **Values**: `target` 1 or -1, not checked. The mean of nothing is NaN, as in PyTorch.
/// - **Gradients**: to both inputs and to a floating `target`. On the kink they are those of the cost, not 0.
/// - **Defaults**: `margin` 0, `reduction` mean.
/// - **Errors**: arguments that differ in dimensions, do not broadcast or are on different devices; inputs of
///   different kinds; a `target` that is neither of their kind nor a signed integer; a `margin` that is not
///   finite.
///
/// Source:
/// [`torch.nn.MarginRankingLoss`](https://pytorch.org/docs/stable/generated/torch.nn.MarginRankingLoss.html).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{MarginRankingLoss, TernaryLoss};
///
/// let (better, worse) = (Tensor::from_slice(&[2.0, 0.5]), Tensor::from_slice(&[1.0, 1.0]));
/// let target = Tensor::from_slice(&[1i64, 1]);
/// // The first pair is ranked well; the second is wrong by 0.5.
/// let loss = MarginRankingLoss::default().forward(&better, &worse, &target);
/// assert_eq!(loss.double_value(&[]), 0.25);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MarginRankingLoss {
    /// The difference that the scores shall have.
    pub margin: f64,
    /// How the elements are reduced.
    pub reduction: Reduction,
}

setters!(MarginRankingLoss { with_margin(margin: f64), with_reduction(reduction: Reduction) });

impl TernaryLoss for MarginRankingLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        check::finite("margin", self.margin)
    }

    fn try_forward(&self, input1: &Tensor, input2: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check::floating("input1", input1)?;
        check::partners(("input1", input1), ("input2", input2))?;
        check::signs(("input1", input1), ("target", target))?;
        let arguments = [("input1", input1), ("input2", input2), ("target", target)];
        check::same_dimensions(&arguments)?;
        check::broadcast(&arguments)?;
        chain::of_numbers([input1, input2, target], self.reduction, |[input1, input2, target], reduction| {
            Ok(Tensor::f_margin_ranking_loss(input1, input2, target, self.margin, reduction.torch())?)
        })
    }
}
