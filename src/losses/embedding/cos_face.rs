//! [`CosFaceLoss`].

use serde::{Deserialize, Serialize};
use tch::{nn, Tensor};

use super::margin_softmax::{check_sizes, logits, loss, weight, Margin};
use crate::base::{check, setters};
use crate::{Loss, Reduction, Result};

/// The options of a [`CosFaceLoss`]. The defaults are those of pytorch-metric-learning.
///
/// Start from [`new`](Self::new): the numbers of classes and of features have no default.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CosFaceConfig {
    /// The number of classes.
    pub num_classes: i64,
    /// The number of features of an embedding.
    pub embedding_size: i64,
    /// What is subtracted from the cosine of the true class.
    pub margin: f64,
    /// What the cosines are multiplied by.
    pub scale: f64,
    /// How the losses of the embeddings are reduced.
    pub reduction: Reduction,
}

impl Default for CosFaceConfig {
    fn default() -> Self {
        CosFaceConfig {
            num_classes: 0,
            embedding_size: 0,
            margin: 0.35,
            scale: 64.0,
            reduction: Reduction::Mean,
        }
    }
}

setters!(CosFaceConfig {
    with_margin(margin: f64), with_scale(scale: f64), with_reduction(reduction: Reduction)
});

impl CosFaceConfig {
    /// The options for so many classes and features. The others keep their defaults.
    pub fn new(num_classes: i64, embedding_size: i64) -> CosFaceConfig {
        CosFaceConfig { num_classes, embedding_size, ..Default::default() }
    }

    /// Checks whether each option is in its range.
    ///
    /// # Errors
    /// [`Error::Option`](crate::Error::Option) for the first option that is out of its range.
    pub fn check(&self) -> Result<()> {
        check_sizes(self.num_classes, self.embedding_size)?;
        check::non_negative("margin", self.margin)?;
        check::positive("scale", self.scale)?;
        self.reduction.check_without_batch_mean()
    }
}

/// Large margin cosine loss: embeddings of a class are nearer to its direction than to all others, by a margin of the
/// cosine.
///
/// ```text
/// s[j]    = cos θ[j] - margin if j = y, otherwise cos θ[j]
/// l       = -log softmax(scale · s)[y]
/// loss    = reduce(l)
/// ```
///
/// `θ[j]` is the angle between the embedding and `W[:, j]`, `y` the label. The lengths of embeddings and of weights do not
/// count. See [`ArcFaceLoss`](crate::ArcFaceLoss) for a margin of the angle.
///
/// - **Shapes**: `embeddings` `[N, embedding_size]`; `labels` `[N]`. The loss is a scalar, or `[N]` with
///   [`Reduction::None`].
/// - **Values**: any. `labels` are classes in `[0, num_classes)`, of kind Int64. f16 and bf16 are computed in f32. The mean
///   of nothing is NaN.
/// - **Gradients**: to `embeddings` and to the weight. If the loss is reduced, forward computes them, and second derivatives
///   come out as zero. For second derivatives, take [`Reduction::None`] and reduce its result.
/// - **Parameters**: `W` `[embedding_size, num_classes]` in the variable store, from a normal distribution: the name and the
///   layout of pytorch-metric-learning, so `vs.load` reads its `state_dict` from a safetensors file.
///   [`Objective::build_in`](crate::manager::Objective::build_in) makes it from a file.
/// - **Defaults**: `margin` 0.35, `scale` 64, `reduction` mean.
/// - **Errors**: other shapes; embeddings of another kind or on another device than the weight; options out of their range.
///
/// Source: [`CosFaceLoss` of
/// pytorch-metric-learning](https://kevinmusgrave.github.io/pytorch-metric-learning/losses/#cosfaceloss); H. Wang et
/// al., [*CosFace: large margin cosine loss for deep face recognition*](https://arxiv.org/abs/1801.09414) (2018).
///
/// ```
/// use tch::{nn, Device, Tensor};
/// use tch_losses::{CosFaceConfig, CosFaceLoss, Loss};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let config = CosFaceConfig::new(2, 2).with_margin(0.25).with_scale(4.0);
/// let loss = CosFaceLoss::new(&vs.root(), config)?;
/// // The two classes have the directions of the axes.
/// tch::no_grad(|| loss.weight.shallow_clone().copy_(&Tensor::eye(2, (tch::Kind::Float, Device::Cpu))));
/// let value = loss.forward(&Tensor::from_slice2(&[[5f32, 0.0]]), &Tensor::from_slice(&[0i64]));
/// let expected = (1.0 + (-4.0f64 * (1.0 - 0.25)).exp()).ln();
/// assert!((value.double_value(&[]) - expected).abs() < 1e-6);
/// # Ok::<(), tch_losses::Error>(())
/// ```
#[doc(alias = "AMSoftmax")]
#[derive(Debug)]
pub struct CosFaceLoss {
    /// The weight `[embedding_size, num_classes]`: a direction for each class.
    pub weight: Tensor,
    config: CosFaceConfig,
}

impl CosFaceLoss {
    /// A loss with a new weight in a variable store.
    ///
    /// # Errors
    /// Options out of their range; a weight that does not fit into memory.
    pub fn new(vs: &nn::Path, config: CosFaceConfig) -> Result<CosFaceLoss> {
        config.check()?;
        Ok(CosFaceLoss { weight: weight(vs, config.num_classes, config.embedding_size)?, config })
    }

    /// `scale` times the cosines `[N, num_classes]`, without a margin: the scores of the classes after the training.
    ///
    /// # Errors
    /// As [`try_forward`](Loss::try_forward).
    pub fn logits(&self, embeddings: &Tensor) -> Result<Tensor> {
        logits(self.config.scale, &self.weight, embeddings)
    }
}

impl Margin for CosFaceConfig {
    fn reduced(&self, cosine: &Tensor) -> Result<Tensor> {
        Ok(cosine.f_sub_scalar(self.margin)?)
    }
}

/// Of embeddings and their classes.
impl Loss for CosFaceLoss {
    fn check_options(&self) -> Result<()> {
        self.config.check()
    }

    fn try_forward(&self, embeddings: &Tensor, labels: &Tensor) -> Result<Tensor> {
        let CosFaceConfig { scale, reduction, .. } = self.config;
        loss(&self.config, scale, reduction, &self.weight, (embeddings, labels))
    }
}
