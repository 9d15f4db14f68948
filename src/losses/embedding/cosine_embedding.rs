//! [`CosineEmbeddingLoss`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::base::{chain, check, setters};
use crate::{Error, Reduction, Result, TernaryLoss};

/// Turns embeddings of similar things to one direction, and those of dissimilar things apart.
///
/// ```text
/// cos  = x1·x2 / sqrt((|x1|² + 1e-12) * (|x2|² + 1e-12))      x1 = input1, x2 = input2
/// l    = 1 - cos                      where y = 1             y = target
///        max(0, cos - margin)         where y = -1
/// loss = reduce(l)
/// ```
///
/// The lengths of the embeddings do not count. [`HingeEmbeddingLoss`](crate::HingeEmbeddingLoss) takes
/// distances instead of embeddings.
///
/// - **Shapes**: `input1` and `input2` `[N, D]` with `target` `[N]`, or `[D]` with a scalar. The arguments
///   are broadcast, as in PyTorch; a `D` of 1 stands for one number, not for a vector of equal ones. The loss
///   is a scalar. With [`Reduction::None`] it is `[N]`, or a scalar without a batch.
/// - **Values**: `target` 1 or -1, not checked. Another label costs nothing, as in PyTorch. A vector of zeros
///   has a cosine of 0 with every other. The mean of nothing is NaN.
/// - **Gradients**: to both inputs; labels have none.
/// - **Defaults**: `margin` 0 (0 to 0.5 is usual), `reduction` mean.
/// - **Errors**: other shapes; arguments that do not broadcast or are on different devices; inputs of
///   different kinds; a `target` that is neither of their kind nor a signed integer; a `margin` that is not
///   finite.
///
/// Source:
/// [`torch.nn.CosineEmbeddingLoss`](https://pytorch.org/docs/stable/generated/torch.nn.CosineEmbeddingLoss.html).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{CosineEmbeddingLoss, Reduction, TernaryLoss};
///
/// let input1 = Tensor::from_slice2(&[[1.0, 0.0], [1.0, 0.0]]);
/// let input2 = Tensor::from_slice2(&[[0.0, 5.0], [0.0, 5.0]]);
/// let target = Tensor::from_slice(&[1i64, -1]);
/// // At a right angle: half way from what similar things should be, far enough for dissimilar ones.
/// let loss = CosineEmbeddingLoss { reduction: Reduction::None, ..Default::default() };
/// assert_eq!(loss.forward(&input1, &input2, &target), Tensor::from_slice(&[1.0, 0.0]));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CosineEmbeddingLoss {
    /// The cosine up to which dissimilar pairs cost nothing.
    pub margin: f64,
    /// How the elements are reduced.
    pub reduction: Reduction,
}

setters!(CosineEmbeddingLoss { with_margin(margin: f64), with_reduction(reduction: Reduction) });

impl TernaryLoss for CosineEmbeddingLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        check::finite("margin", self.margin)
    }

    fn try_forward(&self, input1: &Tensor, input2: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check::floating("input1", input1)?;
        check::partners(("input1", input1), ("input2", input2))?;
        check::signs(("input1", input1), ("target", target))?;
        if !matches!(input1.dim(), 1 | 2) {
            let expected = "[N, D] or [D]".into();
            return Err(Error::Shape { argument: "input1", given: input1.size(), expected });
        }
        let inputs = [("input1", input1), ("input2", input2)];
        check::same_dimensions(&inputs)?;
        let common = check::broadcast(&inputs)?;
        let batch = &common[..common.len() - 1];
        let fits = match (batch, &target.size()[..]) {
            ([], []) => true,
            ([pairs], [labels]) => pairs == labels || *pairs == 1 || *labels == 1,
            _ => false,
        };
        if !fits {
            let expected = format!("{batch:?}, one for each vector of `input1` and `input2`");
            return Err(Error::Shape { argument: "target", given: target.size(), expected });
        }
        chain::of_rows([input1, input2, target], self.reduction, |[input1, input2, target], reduction| {
            Ok(Tensor::f_cosine_embedding_loss(input1, input2, target, self.margin, reduction.torch())?)
        })
    }
}
