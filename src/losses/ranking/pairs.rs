//! Losses with labels 1 and -1.

use serde::{Deserialize, Serialize};
use tch::{Reduction, Tensor};

use super::{broadcast, same_dimensions, signs};
use crate::base::check;
use crate::base::or_panic;
use crate::{Error, Loss, Result};

/// Draws the distances of similar pairs to 0 and those of dissimilar ones past a margin.
///
/// ```text
/// l    = d                       where y = 1          d = input, y = target
///        max(0, margin - d)      where y = -1
/// loss = reduce(l)
/// ```
///
/// `input` holds a distance per pair, for instance the L1 distance of two embeddings. [`CosineEmbeddingLoss`]
/// takes the embeddings themselves and compares their directions; [`TripletMarginLoss`] needs no absolute
/// margin, for it compares two distances.
///
/// [`TripletMarginLoss`]: crate::TripletMarginLoss
///
/// - **Shapes**: any, usually equal; `input` and `target` are broadcast, as in PyTorch. The loss is a scalar,
///   or of the common shape with [`Reduction::None`].
/// - **Values**: `target` 1 or -1, not checked: for another label both terms are added, as in PyTorch. The
///   mean of nothing is NaN.
/// - **Gradients**: to `input`; labels have none. Where `d = margin` it is -1, as in PyTorch.
/// - **Defaults**: `margin` 1, `reduction` mean.
/// - **Errors**: arguments that do not broadcast or are on different devices; a `target` that is neither of
///   the kind of `input` nor a signed integer; a `margin` that is not finite.
///
/// Source:
/// [`torch.nn.HingeEmbeddingLoss`](https://pytorch.org/docs/stable/generated/torch.nn.HingeEmbeddingLoss.html);
/// R. Hadsell, S. Chopra and Y. LeCun, *Dimensionality reduction by learning an invariant mapping* (2006),
/// with squares.
///
/// ```
/// use tch::{Reduction, Tensor};
/// use tch_losses::{HingeEmbeddingLoss, Loss};
///
/// let distance = Tensor::from_slice(&[0.25, 0.25, 3.0]);
/// let target = Tensor::from_slice(&[1i64, -1, -1]);
/// let loss = HingeEmbeddingLoss { reduction: Reduction::None, ..Default::default() };
/// // Similar and near, dissimilar and too near, dissimilar and far enough.
/// assert_eq!(loss.forward(&distance, &target), Tensor::from_slice(&[0.25, 0.75, 0.0]));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HingeEmbeddingLoss {
    /// The distance from which on dissimilar pairs cost nothing.
    pub margin: f64,
    /// How the elements are reduced.
    #[serde(with = "crate::base::reduction::name")]
    pub reduction: Reduction,
}

impl Default for HingeEmbeddingLoss {
    fn default() -> Self {
        HingeEmbeddingLoss { margin: 1.0, reduction: Reduction::Mean }
    }
}

impl Loss for HingeEmbeddingLoss {
    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        check::reduction(self.reduction)?;
        check::finite("margin", self.margin)?;
        check::floating("input", input)?;
        signs(("input", input), ("target", target))?;
        broadcast(&[("input", input), ("target", target)])?;
        Ok(input.f_hinge_embedding_loss(target, self.margin, self.reduction)?)
    }
}

/// Logistic loss of scores with labels 1 and -1.
///
/// ```text
/// l    = log(1 + exp(-y * x))      x = input, y = target
/// loss = reduce(l)
/// ```
///
/// [`BceWithLogitsLoss`](crate::BceWithLogitsLoss) with the label `(1 + y) / 2` is the same number, and is
/// finite for any score: the one to prefer where the labels can be had as 0 and 1.
///
/// - **Shapes**: `input` any; `target` of that shape, or broadcast to it, as in PyTorch. The loss is a
///   scalar, or of the shape of `input` with [`Reduction::None`].
/// - **Values**: `target` 1 or -1, not checked. Scores so wrong that `exp` overflows (`-y * x` past 88 in
///   f32, 709 in f64) give an infinite loss with a gradient of NaN, as in PyTorch. The mean of nothing is
///   NaN.
/// - **Gradients**: to `input`. libtorch has none for `target` and refuses one that requires it.
/// - **Defaults**: `reduction` mean.
/// - **Errors**: a `target` that does not broadcast to `input`, is on another device, or is neither of the
///   kind of `input` nor a signed integer.
///
/// Source:
/// [`torch.nn.SoftMarginLoss`](https://pytorch.org/docs/stable/generated/torch.nn.SoftMarginLoss.html).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{Loss, SoftMarginLoss};
///
/// // Undecided: log 2, whatever the label.
/// let (scores, target) = (Tensor::from_slice(&[0.0, 0.0]), Tensor::from_slice(&[1i64, -1]));
/// let loss = SoftMarginLoss::default().forward(&scores, &target);
/// assert!((loss.double_value(&[]) - 2f64.ln()).abs() < 1e-12);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SoftMarginLoss {
    /// How the elements are reduced.
    #[serde(with = "crate::base::reduction::name")]
    pub reduction: Reduction,
}

impl Default for SoftMarginLoss {
    fn default() -> Self {
        SoftMarginLoss { reduction: Reduction::Mean }
    }
}

impl Loss for SoftMarginLoss {
    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        check::reduction(self.reduction)?;
        check::floating("input", input)?;
        signs(("input", input), ("target", target))?;
        if !broadcast(&[("input", input), ("target", target)]).is_ok_and(|common| common == input.size()) {
            let expected = format!("one that broadcasts to {:?}, the shape of `input`", input.size());
            return Err(Error::Shape { argument: "target", given: target.size(), expected });
        }
        Ok(input.f_soft_margin_loss(target, self.reduction)?)
    }
}

/// Wants the first score above the second, or below it, by a margin.
///
/// ```text
/// l    = max(0, -y * (x1 - x2) + margin)      x1 = input1, x2 = input2, y = target
/// loss = reduce(l)
/// ```
///
/// `y = 1` asks for `x1 > x2`, `y = -1` for `x1 < x2`. The scores are of two things of one list;
/// [`MultiMarginLoss`](crate::MultiMarginLoss) ranks the true class above all others, and
/// [`TripletMarginLoss`](crate::TripletMarginLoss) ranks distances.
///
/// - **Shapes**: any with one number of dimensions; broadcast, as in PyTorch. The loss is a scalar, or of the
///   common shape with [`Reduction::None`].
/// - **Values**: `target` 1 or -1, not checked. The mean of nothing is NaN, as in PyTorch.
/// - **Gradients**: to both inputs and to a floating `target`; on the kink they are those of the cost, not 0.
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
/// use tch_losses::MarginRankingLoss;
///
/// let (better, worse) = (Tensor::from_slice(&[2.0, 0.5]), Tensor::from_slice(&[1.0, 1.0]));
/// let target = Tensor::from_slice(&[1i64, 1]);
/// // The first pair is ranked well; the second is wrong by 0.5.
/// let loss = MarginRankingLoss::default().forward(&better, &worse, &target);
/// assert_eq!(loss.double_value(&[]), 0.25);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MarginRankingLoss {
    /// By how much the scores shall differ.
    pub margin: f64,
    /// How the elements are reduced.
    pub reduction: Reduction,
}

impl Default for MarginRankingLoss {
    fn default() -> Self {
        MarginRankingLoss { margin: 0.0, reduction: Reduction::Mean }
    }
}

impl MarginRankingLoss {
    /// The loss of `input1` and `input2`, which `target` wants in one order or the other.
    ///
    /// # Errors
    /// An argument that the loss does not accept gives the [`Error`] that names it.
    pub fn try_forward(&self, input1: &Tensor, input2: &Tensor, target: &Tensor) -> Result<Tensor> {
        check::reduction(self.reduction)?;
        check::finite("margin", self.margin)?;
        check::floating("input1", input1)?;
        check::partners(("input1", input1), ("input2", input2))?;
        signs(("input1", input1), ("target", target))?;
        let arguments = [("input1", input1), ("input2", input2), ("target", target)];
        same_dimensions(&arguments)?;
        broadcast(&arguments)?;
        Ok(Tensor::f_margin_ranking_loss(input1, input2, target, self.margin, self.reduction)?)
    }

    /// The loss of `input1` and `input2`, which `target` wants in one order or the other.
    ///
    /// # Panics
    /// Where [`try_forward`](Self::try_forward) returns an error, with the error's message.
    #[track_caller]
    pub fn forward(&self, input1: &Tensor, input2: &Tensor, target: &Tensor) -> Tensor {
        or_panic(self.try_forward(input1, input2, target))
    }
}

/// Turns embeddings of similar things to one direction and those of dissimilar ones apart.
///
/// ```text
/// cos  = x1·x2 / sqrt((|x1|² + 1e-12) * (|x2|² + 1e-12))      x1 = input1, x2 = input2
/// l    = 1 - cos                      where y = 1             y = target
///        max(0, cos - margin)         where y = -1
/// loss = reduce(l)
/// ```
///
/// The lengths of the embeddings do not count; [`HingeEmbeddingLoss`] takes distances of any making.
///
/// - **Shapes**: `input1` and `input2` `[N, D]` with `target` `[N]`, or `[D]` with a scalar; broadcast, as in
///   PyTorch (where a `D` of 1 stands for one number, not for a vector of equal ones). The loss is a scalar,
///   or of shape `[N]`, scalar without a batch, with [`Reduction::None`].
/// - **Values**: `target` 1 or -1, not checked: another label costs nothing, as in PyTorch. A vector of zeros
///   has a cosine of 0 to all others. The mean of nothing is NaN.
/// - **Gradients**: to both inputs; labels have none.
/// - **Defaults**: `margin` 0 (0 to 0.5 is usual), `reduction` mean.
/// - **Errors**: other shapes, arguments that do not broadcast or are on different devices; inputs of
///   different kinds; a `target` that is neither of their kind nor a signed integer; a `margin` that is not
///   finite.
///
/// Source:
/// [`torch.nn.CosineEmbeddingLoss`](https://pytorch.org/docs/stable/generated/torch.nn.CosineEmbeddingLoss.html).
///
/// ```
/// use tch::{Reduction, Tensor};
/// use tch_losses::CosineEmbeddingLoss;
///
/// let input1 = Tensor::from_slice2(&[[1.0, 0.0], [1.0, 0.0]]);
/// let input2 = Tensor::from_slice2(&[[0.0, 5.0], [0.0, 5.0]]);
/// let target = Tensor::from_slice(&[1i64, -1]);
/// // At a right angle: half way from what similar things should be, far enough for dissimilar ones.
/// let loss = CosineEmbeddingLoss { reduction: Reduction::None, ..Default::default() };
/// assert_eq!(loss.forward(&input1, &input2, &target), Tensor::from_slice(&[1.0, 0.0]));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CosineEmbeddingLoss {
    /// The cosine up to which dissimilar pairs cost nothing.
    pub margin: f64,
    /// How the elements are reduced.
    pub reduction: Reduction,
}

impl Default for CosineEmbeddingLoss {
    fn default() -> Self {
        CosineEmbeddingLoss { margin: 0.0, reduction: Reduction::Mean }
    }
}

impl CosineEmbeddingLoss {
    /// The loss of the embeddings `input1` and `input2`, which `target` wants near to each other or apart.
    ///
    /// # Errors
    /// An argument that the loss does not accept gives the [`Error`] that names it.
    pub fn try_forward(&self, input1: &Tensor, input2: &Tensor, target: &Tensor) -> Result<Tensor> {
        check::reduction(self.reduction)?;
        check::finite("margin", self.margin)?;
        check::floating("input1", input1)?;
        check::partners(("input1", input1), ("input2", input2))?;
        signs(("input1", input1), ("target", target))?;
        if !matches!(input1.dim(), 1 | 2) {
            let expected = "[N, D] or [D]".into();
            return Err(Error::Shape { argument: "input1", given: input1.size(), expected });
        }
        let inputs = [("input1", input1), ("input2", input2)];
        same_dimensions(&inputs)?;
        let common = broadcast(&inputs)?;
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
        Ok(Tensor::f_cosine_embedding_loss(input1, input2, target, self.margin, self.reduction)?)
    }

    /// The loss of the embeddings `input1` and `input2`, which `target` wants near to each other or apart.
    ///
    /// # Panics
    /// Where [`try_forward`](Self::try_forward) returns an error, with the error's message.
    #[track_caller]
    pub fn forward(&self, input1: &Tensor, input2: &Tensor, target: &Tensor) -> Tensor {
        or_panic(self.try_forward(input1, input2, target))
    }
}
