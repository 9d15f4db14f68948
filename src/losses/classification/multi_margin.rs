//! [`MultiMarginLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::class_weight;
use crate::base::precision::accumulation_kind;
use crate::base::reduction::reduce;
use crate::base::weight::check_weight;
use crate::base::{check, setters};
use crate::{Error, Loss, Reduction, Result, WeightTensor};

/// Multi-class hinge loss: ranks the score of the true class above all others by a margin.
///
/// ```text
/// l    = w[y] * Σ max(0, margin - x[y] + x[i])^p / C      over the classes i ≠ y; x = input, y = target
/// loss = reduce(l)
/// ```
///
/// `w` is [`weight`](Self::weight), 1 unless given. A sample that keeps the margin costs nothing; cross
/// entropy goes on separating. [`MultiLabelMarginLoss`](crate::MultiLabelMarginLoss) is for samples with
/// several classes.
///
/// - **Shapes**: `input` `[N, C]` and `target` `[N]`, or `[C]` and a scalar (or `[1]`). The loss is a scalar,
///   or has the shape of `target` with [`Reduction::None`].
/// - **Values**: `target` from 0 to C - 1. libtorch checks it; on CUDA a device assertion fails, and the host waits. A term of
///   NaN counts as 0, as in PyTorch. Without samples the mean is NaN and the sum 0. (PyTorch returns whatever
///   its memory held.)
/// - **Gradients**: to `input`, 0 on the kink; and to a `weight` that requires one (PyTorch refuses it).
/// - **Defaults**: `p` 1, `margin` 1, no weights, `reduction` mean (over the samples, whatever their
///   weights).
/// - **Errors**: other shapes; a `target` that is not Int64 or on another device; a weight that is not `[C]`,
///   or that [`WeightTensor`] refuses; a `p` other than 1 and 2; a `margin` that is not finite.
///
/// Source:
/// [`torch.nn.MultiMarginLoss`](https://pytorch.org/docs/stable/generated/torch.nn.MultiMarginLoss.html).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{Loss, MultiMarginLoss};
///
/// let scores = Tensor::from_slice2(&[[0.1, 0.2, 0.4, 0.8]]);
/// let target = Tensor::from_slice(&[3i64]);
/// // ((1 - 0.8 + 0.1) + (1 - 0.8 + 0.2) + (1 - 0.8 + 0.4)) / 4
/// let loss = MultiMarginLoss::default().forward(&scores, &target);
/// assert!((loss.double_value(&[]) - 0.325).abs() < 1e-12);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MultiMarginLoss {
    /// The exponent of each term, 1 or 2.
    pub p: i64,
    /// The lead that the true class shall have.
    pub margin: f64,
    /// The weight of each class, `[C]`. It counts for the samples whose true class it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<WeightTensor>,
    /// How the samples are reduced.
    pub reduction: Reduction,
}

impl Default for MultiMarginLoss {
    fn default() -> Self {
        MultiMarginLoss { p: 1, margin: 1.0, weight: None, reduction: Reduction::Mean }
    }
}

setters!(MultiMarginLoss {
    with_p(p: i64), with_margin(margin: f64), with_reduction(reduction: Reduction);
    with_weight(weight: WeightTensor)
});

impl Loss for MultiMarginLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        check::finite("margin", self.margin)?;
        check_weight("weight", self.weight.as_ref())?;
        match self.p {
            1 | 2 => Ok(()),
            other => Err(Error::Option { option: "p", given: other.to_string(), expected: "1 or 2".into() }),
        }
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        let (samples, classes) = check::samples_and_classes(input)?;
        check::class_indices(("input", input), ("target", target))?;
        let given = target.size();
        if given.len() > 1 || given.iter().product::<i64>() != samples {
            let expected = format!("[{samples}], one class for each sample of `input`");
            return Err(Error::Shape { argument: "target", given, expected });
        }
        let weight = class_weight(self.weight.as_ref(), input, classes)?;
        // tch has no binding of libtorch's own forward function.
        let scores = input.f_to_kind(accumulation_kind(input.kind()))?.f_reshape([samples, classes])?;
        let index = target.f_reshape([samples, 1])?;
        let of_target = scores.f_gather(1, &index, false)?;
        let terms = of_target.f_neg()?.f_add_scalar(self.margin)?.f_add(&scores)?;
        let counted = terms.f_gt(0.0)?.f_scatter_value(1, &index, 0i64)?;
        let terms = if self.p == 2 { terms.f_square()? } else { terms };
        let sum =
            terms.f_where_scalarother(&counted, 0.0)?.f_sum_dim_intlist([1i64].as_slice(), false, None)?;
        let mut loss = sum.f_div_scalar(classes as f64)?;
        if let Some(weight) = &weight {
            loss = loss.f_mul(&weight.f_index_select(0, &index.f_view([samples])?)?)?;
        }
        reduce(&loss.f_reshape(given)?, self.reduction, input.kind())
    }
}
