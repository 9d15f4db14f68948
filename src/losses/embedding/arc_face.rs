//! [`ArcFaceLoss`].

use serde::{Deserialize, Serialize};
use tch::{nn, Tensor};

use super::margin_softmax::{check_sizes, logits, loss, weight, Margin};
use crate::base::precision::smallest_normal;
use crate::base::{check, setters};
use crate::{Error, Loss, Reduction, Result};

/// The options of an [`ArcFaceLoss`]. The defaults are those of pytorch-metric-learning.
///
/// Start from [`new`](Self::new): the numbers of classes and of features have no default.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ArcFaceConfig {
    /// The number of classes.
    pub num_classes: i64,
    /// The number of features of an embedding.
    pub embedding_size: i64,
    /// How much larger the angle to the true class counts, in degrees.
    pub margin: f64,
    /// What the cosines are multiplied by.
    pub scale: f64,
    /// How the losses of the embeddings are reduced.
    pub reduction: Reduction,
}

impl Default for ArcFaceConfig {
    fn default() -> Self {
        ArcFaceConfig {
            num_classes: 0,
            embedding_size: 0,
            margin: 28.6,
            scale: 64.0,
            reduction: Reduction::Mean,
        }
    }
}

setters!(ArcFaceConfig {
    with_margin(margin: f64), with_scale(scale: f64), with_reduction(reduction: Reduction)
});

impl ArcFaceConfig {
    /// The options for so many classes and features. The others keep their defaults.
    pub fn new(num_classes: i64, embedding_size: i64) -> ArcFaceConfig {
        ArcFaceConfig { num_classes, embedding_size, ..Default::default() }
    }

    /// Checks whether each option is in its range.
    ///
    /// # Errors
    /// [`Error::Option`](crate::Error::Option) for the first option that is out of its range.
    pub fn check(&self) -> Result<()> {
        check_sizes(self.num_classes, self.embedding_size)?;
        if !(0.0..=180.0).contains(&self.margin) {
            return Err(Error::Option {
                option: "margin",
                given: self.margin.to_string(),
                expected: "degrees in [0, 180]".into(),
            });
        }
        check::positive("scale", self.scale)?;
        self.reduction.check_without_batch_mean()
    }
}

/// Additive angular margin: embeddings of a class are nearer to its direction than to all others, by an angle.
///
/// ```text
/// θ[j]    = the angle between the embedding and W[:, j]
/// s[y]    = cos(θ[y] + margin)               if θ[y] <= π - margin
///           cos θ[y] - margin · sin(margin)  otherwise, so that it still falls with the angle
/// s[j]    = cos θ[j]                         for all other classes
/// l       = -log softmax(scale · s)[y]
/// loss    = reduce(l)
/// ```
///
/// `y` is the label. In the formula the margin is in radians, the option is in degrees. The lengths of embeddings and of
/// weights do not count. See [`CosFaceLoss`](crate::CosFaceLoss) for a margin of the cosine.
///
/// - **Shapes**: `embeddings` `[N, embedding_size]`; `labels` `[N]`. The loss is a scalar, or `[N]` with
///   [`Reduction::None`].
/// - **Values**: any. `labels` are classes in `[0, num_classes)`, of kind Int64. f16 and bf16 are computed in f32. The mean
///   of nothing is NaN.
/// - **Gradients**: to `embeddings` and to the weight. If the loss is reduced, forward computes them, and second derivatives
///   come out as zero. For second derivatives, take [`Reduction::None`] and reduce its result.
///   The gradients are finite where an embedding has the direction of its class, unlike those of an arc cosine.
/// - **Parameters**: `W` `[embedding_size, num_classes]` in the variable store, from a normal distribution: the name and the
///   layout of pytorch-metric-learning, so `vs.load` reads its `state_dict` from a safetensors file.
///   [`Objective::build_in`](crate::manager::Objective::build_in) makes it from a file.
/// - **Defaults**: `margin` 28.6 degrees, `scale` 64, `reduction` mean.
/// - **Errors**: other shapes; embeddings of another kind or on another device than the weight; options out of their range.
///
/// InsightFace has a margin of 0.5 radians: `with_margin(0.5_f64.to_degrees())`.
///
/// Source: [`ArcFaceLoss` of
/// pytorch-metric-learning](https://kevinmusgrave.github.io/pytorch-metric-learning/losses/#arcfaceloss); J. Deng et
/// al., [*ArcFace: additive angular margin loss for deep face recognition*](https://arxiv.org/abs/1801.07698) (2018).
///
/// ```
/// use tch::nn::{self, Module, OptimizerConfig};
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::{ArcFaceConfig, ArcFaceLoss, Loss};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let network = nn::linear(vs.root() / "network", 16, 8, Default::default());
/// let loss = ArcFaceLoss::new(&(vs.root() / "head"), ArcFaceConfig::new(10, 8))?;
/// let mut optimizer = nn::Adam::default().build(&vs, 1e-3)?; // of the network and of the head
///
/// let images = Tensor::rand([4, 16], (Kind::Float, Device::Cpu));
/// let people = Tensor::from_slice(&[3i64, 0, 9, 3]);
/// optimizer.backward_step(&loss.forward(&network.forward(&images), &people));
/// assert_eq!(loss.logits(&network.forward(&images))?.size(), [4, 10]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "AdditiveAngularMargin")]
#[derive(Debug)]
pub struct ArcFaceLoss {
    /// The weight `[embedding_size, num_classes]`: a direction for each class.
    pub weight: Tensor,
    config: ArcFaceConfig,
}

impl ArcFaceLoss {
    /// A loss with a new weight in a variable store.
    ///
    /// # Errors
    /// Options out of their range; a weight that does not fit into memory.
    pub fn new(vs: &nn::Path, config: ArcFaceConfig) -> Result<ArcFaceLoss> {
        config.check()?;
        Ok(ArcFaceLoss { weight: weight(vs, config.num_classes, config.embedding_size)?, config })
    }

    /// `scale` times the cosines `[N, num_classes]`, without a margin: the scores of the classes after the training.
    ///
    /// # Errors
    /// As [`try_forward`](Loss::try_forward).
    pub fn logits(&self, embeddings: &Tensor) -> Result<Tensor> {
        logits(self.config.scale, &self.weight, embeddings)
    }
}

impl Margin for ArcFaceConfig {
    /// By the addition theorem: the slope of an arc cosine is infinite at 1.
    fn reduced(&self, cosine: &Tensor) -> Result<Tensor> {
        let margin = self.margin.to_radians();
        let square = cosine.f_square()?.f_neg()?.f_add_scalar(1.0)?;
        // The root's slope is finite, and 0 where the cosine is 1.
        let sine = square.f_clamp_min(smallest_normal(cosine.kind()))?.f_sqrt()?;
        let turned = cosine.f_mul_scalar(margin.cos())?.f_sub(&sine.f_mul_scalar(margin.sin())?)?;
        let beyond = cosine.f_sub_scalar(margin * margin.sin())?;
        Ok(turned.f_where_self(&cosine.f_ge(-margin.cos())?, &beyond)?)
    }
}

/// Of embeddings and their classes.
impl Loss for ArcFaceLoss {
    fn check_options(&self) -> Result<()> {
        self.config.check()
    }

    fn try_forward(&self, embeddings: &Tensor, labels: &Tensor) -> Result<Tensor> {
        let ArcFaceConfig { scale, reduction, .. } = self.config;
        loss(&self.config, scale, reduction, &self.weight, (embeddings, labels))
    }
}
