//! [`PatchNceLoss`].

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::base::precision::accumulation_kind;
use crate::base::reduction::reduce;
use crate::base::{check, setters};
use crate::{Error, Loss, Reduction, Result};

/// What CUT has in the place of a patch's product with itself.
const MASKED: f64 = -10.0;

/// What is added to the length of a row before the row is divided by it.
const EPS: f64 = 1e-7;

/// Contrastive loss of patches: each patch of the output looks like the same patch of the input, not like the others.
///
/// ```text
/// s[i, j] = q[i] · k[j] / temperature
/// l[i]    = -log(exp(s[i, i]) / (Σj exp(s[i, j]) + exp(-10 / temperature)))
/// loss    = reduce(l)
/// ```
///
/// `q` and `k` are the rows of `query` and `key`, of length 1 with [`normalize`](Self::normalize). `query` are features of
/// the generated image and `key` those of the input, in this order, of the same encoder at the same places; see
/// [`PatchSampler`](crate::PatchSampler). The sum is over the patches of one image, or of all with
/// [`negatives_from_batch`](Self::negatives_from_batch).
///
/// CUT takes several layers of the generator's encoder, sends the patches of each through a small network of its own, and
/// has the mean over the layers:
///
/// ```
/// use tch::nn::{self, Module};
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::{Loss, PatchNceLoss, PatchSampler};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let encoder = nn::conv2d(vs.root() / "encoder", 3, 16, 3, Default::default());
/// // The layers of the encoder with their numbers of channels: here, the image itself and one layer.
/// let features = |images: &Tensor| vec![images.shallow_clone(), encoder.forward(images)];
/// let head = |layer: usize, channels: i64| {
///     let path = vs.root() / "heads" / layer;
///     nn::seq()
///         .add(nn::linear(&path / "0", channels, 256, Default::default()))
///         .add_fn(|patches| patches.relu())
///         .add(nn::linear(&path / "2", 256, 256, Default::default()))
/// };
/// let heads = [head(0, 3), head(1, 16)];
///
/// let (nce, sampler) = (PatchNceLoss::default(), PatchSampler::default());
/// let mut seed = 0;
/// let mut loss = |output: &Tensor, input: &Tensor| -> tch_losses::Result<Tensor> {
///     let mut losses = Vec::new();
///     for ((query, key), head) in features(output).iter().zip(features(input)).zip(&heads) {
///         // Other places for each layer and each step.
///         seed += 1;
///         let size = key.size();
///         let places = sampler.indices(size[2] * size[3], seed)?;
///         let [query, key] = [query, &key].map(|features| sampler.sample(features, &places));
///         losses.push(nce.try_forward(&head.forward(&query?), &head.forward(&key?))?);
///     }
///     Ok(Tensor::stack(&losses, 0).mean(None))
/// };
///
/// let [input, target] = [0, 1].map(|_| Tensor::rand([2, 3, 24, 24], (Kind::Float, Device::Cpu)));
/// let (output, identity) = (&input * 0.9, &target * 0.9); // of the generator
/// // `nce_idt`: half of it is the loss of what the generator makes of a target.
/// let total = (loss(&output, &input)? + loss(&identity, &target)?) * 0.5;
/// total.backward();
/// # Ok::<(), tch_losses::Error>(())
/// ```
///
/// - **Shapes**: `[B, P, C]`, equal, nothing empty: P patches of each of B images. The loss is a scalar, or `[B, P]` with
///   [`Reduction::None`].
/// - **Values**: any. f16 and bf16 are computed in f32. The loss is 0 or more, and about `ln(P)` for features that do not
///   tell patches apart.
/// - **Gradients**: to `query`, of any order. `key` is a constant.
/// - **Defaults**: `temperature` 0.07, `negatives_from_batch` false, `normalize` true, `reduction` mean: CUT's.
/// - **Errors**: arguments of other or different shapes, of different kinds or devices; a `temperature` that is not
///   positive and finite; the reduction [`BatchMean`](Reduction::BatchMean).
///
/// CUT normalises in the network of the patches, by `x / (|x| + 1e-7)`. Here it is part of the loss, so that features can
/// come from anywhere. Set `normalize` to false for features that are normalised already.
///
/// Memory: one matrix `[P, P]` per image is kept for the backward pass, 256 kB for 256 patches in f32. With
/// `negatives_from_batch` it is one matrix `[B * P, B * P]`.
///
/// Source: [`patchnce.py` of
/// CUT](https://github.com/taesungp/contrastive-unpaired-translation/blob/master/models/patchnce.py); T. Park et al.,
/// *Contrastive learning for unpaired image-to-image translation* (2020).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{Loss, PatchNceLoss};
///
/// let patches = Tensor::from_slice(&[1.0, 0.0, 0.0, 2.0]).reshape([1, 2, 2]);
/// let loss = PatchNceLoss::default().with_temperature(0.5);
/// let expected = (1.0 + (-2.0f64).exp()).ln();
/// assert!((loss.forward(&patches, &patches).double_value(&[]) - expected).abs() < 1e-6);
/// ```
#[doc(alias = "PatchNCELoss")]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PatchNceLoss {
    /// What the products are divided by. CUT: `nce_T`.
    pub temperature: f64,
    /// Whether the patches of the other images are negatives, too. CUT: `nce_includes_all_negatives_from_minibatch`.
    pub negatives_from_batch: bool,
    /// Whether the rows are divided by their length.
    pub normalize: bool,
    /// How the losses of the patches are reduced.
    pub reduction: Reduction,
}

impl Default for PatchNceLoss {
    fn default() -> Self {
        PatchNceLoss {
            temperature: 0.07,
            negatives_from_batch: false,
            normalize: true,
            reduction: Reduction::Mean,
        }
    }
}

setters!(PatchNceLoss {
    with_temperature(temperature: f64), with_negatives_from_batch(negatives_from_batch: bool),
    with_normalize(normalize: bool), with_reduction(reduction: Reduction)
});

impl PatchNceLoss {
    /// The rows of length 1, if that is asked for.
    fn rows(&self, features: &Tensor) -> Result<Tensor> {
        if !self.normalize {
            return Ok(features.shallow_clone());
        }
        // The slope of libtorch's norm is 0 at 0, where that of a root is infinite.
        let length = features.f_norm_scalaropt_dim(2, [-1i64].as_slice(), true)?;
        Ok(features.f_div(&length.f_add_scalar(EPS)?)?)
    }
}

/// Of the features of the output and of those of the input.
impl Loss for PatchNceLoss {
    fn check_options(&self) -> Result<()> {
        check::positive("temperature", self.temperature)?;
        self.reduction.check_without_batch_mean()
    }

    fn try_forward(&self, query: &Tensor, key: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check::floating("query", query)?;
        let shape = query.size();
        if shape.len() != 3 || shape.contains(&0) {
            let expected = "[B, P, C] with every size at least 1".into();
            return Err(Error::Shape { argument: "query", given: shape, expected });
        }
        check::partners(("query", query), ("key", key))?;
        check::same_shape(("query", query), ("key", key))?;
        let kind = accumulation_kind(query.kind());
        let groups = if self.negatives_from_batch { [1, shape[0] * shape[1]] } else { [shape[0], shape[1]] };
        let grouped = |features: &Tensor| -> Result<Tensor> {
            let features = features.f_reshape([groups[0], groups[1], shape[2]].as_slice())?;
            self.rows(&features.f_to_kind(kind)?)
        };
        let own = grouped(query)?.f_div_scalar(self.temperature)?;
        let other = grouped(&key.f_detach()?)?;
        let losses = contrast(&own, &other, MASKED / self.temperature)?;
        reduce(&losses.f_reshape([shape[0], shape[1]].as_slice())?, self.reduction, query.kind())
    }
}

/// The loss `[G, R]` of rows `[G, R, C]`: each is told from the others of its group, and from one of the logit `floor`.
///
/// The positive's logit is on the diagonal of the products, so `floor` alone is missing there. It joins the sum behind the
/// soft-max: the products are neither copied nor masked.
fn contrast(own: &Tensor, other: &Tensor, floor: f64) -> Result<Tensor> {
    let size = own.size();
    let (groups, rows) = (size[0], size[1]);
    let logits = own.f_matmul(&other.f_transpose(1, 2)?)?.f_reshape([groups * rows, rows].as_slice())?;
    let place = Tensor::f_arange(rows, (Kind::Int64, own.device()))?;
    let places = place.f_repeat([groups].as_slice())?;
    let without = logits.f_cross_entropy_loss::<Tensor>(&places, None, tch::Reduction::None, -100, 0.0)?;
    // The logarithm of the sum of the exponentials, above `floor`.
    let positive = own.f_mul(other)?.f_sum_dim_intlist([-1i64].as_slice(), false, None)?.f_flatten(0, 1)?;
    let above = without.f_add(&positive)?.f_add_scalar(-floor)?;
    Ok(without.f_sub(&above.f_log_sigmoid()?)?)
}
