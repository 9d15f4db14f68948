//! [`CoralLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::ordered::{check_classes, check_input, levels};
use crate::base::precision::accumulation_kind;
use crate::base::reduction::reduce;
use crate::base::weight::{check_weight, placed};
use crate::base::{check, setters};
use crate::{Error, Loss, Reduction, Result, WeightTensor};

/// CORAL: ordered classes, such as ages or grades, as a chain of questions "is it more than this one?".
///
/// ```text
/// y    = 1 where the class is above i, 0 elsewhere      i = 0 to K - 2, one logit for each
/// l    = -Σ w[i] * (y * log σ(input[i]) + (1 - y) * log(1 - σ(input[i])))
/// loss = reduce(l)
/// ```
///
/// `w` is [`weight`](Self::weight), 1 unless given. The class is the number of probabilities above 1/2. The method has
/// one weight vector in the last layer, shared by all logits, and a bias for each; then the answers do not contradict
/// each other. [`CornLoss`](crate::CornLoss) needs no such layer.
///
/// - **Shapes**: `input` `[N, K - 1]`. `target` is classes `[N]`, of kind Int64 or Uint8, or the levels `y`, in
///   `input`'s shape and kind. The loss is a scalar, or `[N]` with [`Reduction::None`].
/// - **Values**: `input` any logits. Classes are in `[0, K)`, levels 0 or 1; neither is checked. f16 and bf16 are computed
///   in f32. The mean of nothing is NaN.
/// - **Gradients**: to `input` and to levels.
/// - **Defaults**: no `weight`, `reduction` mean, over the rows.
/// - **Errors**: shapes, kinds or devices other than these; a `weight` that is not `[K - 1]`.
///
/// Source: `CoralLoss` of [coral-pytorch](https://github.com/Raschka-research-group/coral-pytorch) 1.4.0; W. Cao et al.,
/// [*Rank consistent ordinal regression for neural networks*](https://arxiv.org/abs/1901.07884) (2019).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{CoralLoss, Loss};
///
/// let logits =
///     Tensor::from_slice2(&[[2.1, 1.8, -2.1, -1.8], [1.9, -1.0, -1.5, -1.3], [1.9, 1.8, 1.7, 1.6]]);
/// let loss = CoralLoss::default().forward(&logits, &Tensor::from_slice(&[2i64, 1, 4]));
/// assert!((loss.double_value(&[]) - 0.6920).abs() < 5e-5);
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CoralLoss {
    /// The weight of each question, `[K - 1]`: coral-pytorch's `importance_weights`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<WeightTensor>,
    /// How the rows are reduced.
    pub reduction: Reduction,
}

setters!(CoralLoss { with_reduction(reduction: Reduction); with_weight(weight: WeightTensor) });

impl Loss for CoralLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        check_weight("weight", self.weight.as_ref())
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check_input(input)?;
        let wide = input.f_to_kind(accumulation_kind(input.kind()))?;
        check::dense("target", target)?;
        let target = if target.is_floating_point() {
            check::pair(input, target)?;
            target.f_to_kind(wide.kind())?
        } else {
            check_classes(input, target)?;
            levels(input, target)?.f_to_kind(wide.kind())?
        };
        let weight = placed("weight", self.weight.as_ref(), &wide)?;
        if let Some(weight) = weight.as_ref().filter(|weight| weight.size() != input.size()[1..]) {
            let expected = format!("{:?}, a weight for each logit of a row", &input.size()[1..]);
            return Err(Error::Shape { argument: "weight", given: weight.size(), expected });
        }
        let (weight, positives) = (weight.as_ref(), None::<&Tensor>);
        let entropy =
            |reduction| wide.f_binary_cross_entropy_with_logits(&target, weight, positives, reduction);
        if self.reduction == Reduction::None {
            let rows = entropy(tch::Reduction::None)?.f_sum_dim_intlist([1i64].as_slice(), false, None)?;
            return reduce(&rows, self.reduction, input.kind());
        }
        let rows = if self.reduction == Reduction::Mean { input.size()[0] as f64 } else { 1.0 };
        Ok(entropy(tch::Reduction::Sum)?.f_div_scalar(rows)?.f_to_kind(input.kind())?)
    }
}
