//! [`FsimLoss`].

use serde::{Deserialize, Serialize};
use tch::{no_grad, Device, Tensor};

use super::gradient_magnitude::{dissimilarity, Operator};
use super::phase::{Bank, Wavelets};
use super::weighted::Weighted;
use super::yiq::{color_similarity, grey, grey_gradient};
use crate::base::gradient::{at_once, PER_THREAD};
use crate::base::image::per_image::{per_image, PerImage};
use crate::base::image::pool::{average, average_gradient, factor_to_256};
use crate::base::image::score::loss_of_clamped;
use crate::base::precision::accumulation_kind;
use crate::base::{check, setters};
use crate::{DataRange, Error, Loss, Reduction, Result};

/// FSIM and FSIMc: how far two images differ in phase congruency and gradients, and in colour. Where one of them has edges
/// and lines counts most.
///
/// ```text
/// sim(a, b, c) = (2ab + c) / (a² + b² + c)
/// S     = sim(PC, PC', 0.85) sim(G, G', 160) |sim(I, I', 200) sim(Q, Q', 200)|^0.03
/// score = Σ S max(PC, PC') / Σ max(PC, PC')
/// loss  = 1 - clamp(score, 0, 1)
/// ```
///
/// `PC` is the phase congruency of the brightness, from `scales` by `orientations` log-Gabor filters; `G` is the length of
/// its gradient by Scharr's kernels; `I` and `Q` are the colours of YIQ. All are of images from 0 to 255. Images whose
/// shorter side is nearer to 512 pixels than to 256, or longer, are averaged first, to about 256.
///
/// - **Shapes**: `input` and `target` `[N, C, H, W]` with 1 or 3 channels, H and W at least 2. The loss is a scalar, or
///   `[N]` with [`Reduction::None`]. The factor of colour is 1 for one channel, as grey has `I = Q = 0`.
/// - **Values**: from 0, which equal images have, to 1. Symmetric. f16 and bf16 are computed in f32. The score is
///   `1 - loss`, under `tch::no_grad`.
/// - **Gradients**: to both arguments. They are 0 where a magnitude is 0, as on flat and black images. If `target` requires
///   no gradient, forward computes the gradient, and second derivatives come out as zero.
/// - **Map**: `(1 - S) max(PC, PC') / mean(max(PC, PC'))`, of which the mean is the loss of each image where none is
///   averaged first. Where it is, the map is enlarged again, and its mean is the loss but for pixels that were left over.
/// - **Defaults**: `data_range` unit, `chromatic` true, `scales` 4, `orientations` 4, `min_length` 6, `mult` 2, `sigma_f`
///   0.55, `delta_theta` 1.2, `k` 2, `reduction` mean.
/// - **Errors**: arguments that are not images of one shape, kind and device; other numbers of channels; images that are too
///   small; numbers of scales or orientations beyond 1 to 64, lengths below 1, a `sigma_f` that is 1, not positive or not
///   finite, a `delta_theta` that is not positive and finite, a `k` that is negative or not finite.
///
/// The numbers are those of piq 0.8, up to rounding. piq refuses `chromatic` for one channel, has NaN for gradients on flat
/// images, and takes a sum of losses to be 1 less the sum of the scores; here it is the sum of the images' losses.
///
/// Source: [`FSIMLoss` of piq](https://github.com/photosynthesis-team/piq/blob/master/piq/fsim.py); L. Zhang et al., *FSIM: A
/// Feature Similarity Index for Image Quality Assessment* (2011).
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::{FsimLoss, Loss};
///
/// let restored = Tensor::rand([2, 3, 64, 64], (Kind::Float, Device::Cpu)).set_requires_grad(true);
/// let original = Tensor::rand([2, 3, 64, 64], (Kind::Float, Device::Cpu));
/// FsimLoss::default().forward(&restored, &original).backward();
/// assert_eq!(restored.grad().size(), restored.size());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FsimLoss {
    /// The range of the images' values.
    pub data_range: DataRange,
    /// Whether colours count as well: FSIMc rather than FSIM.
    pub chromatic: bool,
    /// How many scales the filters have.
    pub scales: i64,
    /// How many orientations the filters have.
    pub orientations: i64,
    /// The wavelength of the finest scale, in pixels.
    pub min_length: i64,
    /// The wavelength of a scale, divided by that of the next finer one.
    pub mult: i64,
    /// How narrow a band of frequencies a filter takes: the narrower, the nearer to 1.
    pub sigma_f: f64,
    /// The angle between orientations, divided by the standard deviation of a filter's.
    pub delta_theta: f64,
    /// By how many standard deviations energy has to exceed the mean of noise to count.
    pub k: f64,
    /// How the images' losses are reduced.
    pub reduction: Reduction,
}

impl Default for FsimLoss {
    fn default() -> Self {
        FsimLoss {
            data_range: DataRange::Unit,
            chromatic: true,
            scales: 4,
            orientations: 4,
            min_length: 6,
            mult: 2,
            sigma_f: 0.55,
            delta_theta: 1.2,
            k: 2.0,
            reduction: Reduction::Mean,
        }
    }
}

setters!(FsimLoss {
    with_data_range(data_range: DataRange),
    with_chromatic(chromatic: bool),
    with_scales(scales: i64),
    with_orientations(orientations: i64),
    with_min_length(min_length: i64),
    with_mult(mult: i64),
    with_sigma_f(sigma_f: f64),
    with_delta_theta(delta_theta: f64),
    with_k(k: f64),
    with_reduction(reduction: Reduction)
});

/// The loss for images of one size.
struct Measure {
    chromatic: bool,
    /// By how much the images shrink first.
    factor: i64,
    bank: Bank,
}

impl FsimLoss {
    fn check_arguments(&self, input: &Tensor, target: &Tensor) -> Result<()> {
        self.check_options()?;
        check::image_pair(input, target)?;
        check::channels(input, &[1, 3])?;
        check::least_size(input, 2, "")
    }

    fn measure(&self, input: &Tensor) -> Result<Measure> {
        let size = input.size();
        let factor = factor_to_256(size[2], size[3]);
        let wavelets = Wavelets {
            scales: self.scales,
            orientations: self.orientations,
            min_length: self.min_length,
            mult: self.mult,
            sigma_f: self.sigma_f,
            delta_theta: self.delta_theta,
            k: self.k,
        };
        let options = (accumulation_kind(input.kind()), input.device());
        let bank = no_grad(|| Bank::new(&wavelets, [size[2] / factor, size[3] / factor], options))?;
        Ok(Measure { chromatic: self.chromatic, factor, bank })
    }
}

impl Measure {
    /// How alike images of the final size are, given their phase congruency.
    fn compare(&self, [input, target]: [&Tensor; 2], congruency: [&Tensor; 2]) -> Result<Weighted> {
        let [input_phase, target_phase] = congruency;
        let magnitude = |images: &Tensor| Operator::Scharr.magnitude(&grey(images)?);
        let of_gradients = dissimilarity(&magnitude(input)?, &magnitude(target)?, 160.0)?;
        let of_phase = dissimilarity(input_phase, target_phase, 0.85)?;
        let [of_gradients, of_phase] =
            [of_gradients, of_phase].map(|dissimilarity| dissimilarity.f_neg()?.f_add_scalar(1.0));
        let mut similarity = of_gradients?.f_mul(&of_phase?)?;
        if self.chromatic {
            if let Some(of_colors) = color_similarity(input, target)? {
                similarity = similarity.f_mul(&of_colors)?;
            }
        }
        Ok(Weighted { similarity, weight: input_phase.f_maximum(target_phase)?, eps: [0.0, 0.0] })
    }

    fn weighted(&self, input: &Tensor, target: &Tensor) -> Result<Weighted> {
        let (input, target) = (average(input, self.factor)?, average(target, self.factor)?);
        let congruency = |images: &Tensor| self.bank.congruency(&grey(images)?);
        self.compare([&input, &target], [&congruency(&input)?, &congruency(&target)?])
    }
}

impl PerImage for Measure {
    fn values(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.weighted(input, target)?.scores()
    }

    /// An eighth of the usual: its responses are 32 planes and more.
    fn images_at_once(&self, device: Device, pixels: i64) -> i64 {
        at_once(device, pixels, PER_THREAD / 4)
    }

    fn values_and_gradient(&self, input: &Tensor, target: &Tensor) -> Result<(Tensor, Tensor)> {
        let (images, target, trace, of_target) = no_grad(|| -> Result<_> {
            let (input, target) = (average(input, self.factor)?, average(target, self.factor)?);
            let trace = self.bank.trace(&grey(&input)?, true)?;
            let of_target = self.bank.trace(&grey(&target)?, false)?.congruency;
            Ok((input, target, trace, of_target))
        })?;
        // All but the phase congruency is cheap enough for libtorch's graph.
        let leaf = |tensor: &Tensor| tensor.f_detach()?.f_set_requires_grad(true);
        let leaves = [leaf(&images)?, leaf(&trace.congruency)?];
        let scores = self.compare([&leaves[0], &target], [&leaves[1], &of_target])?.scores()?;
        let gradients = Tensor::f_run_backward(&[scores.f_sum(None)?], &leaves, false, false)?;
        let [of_images, of_congruency] = &gradients[..] else { unreachable!("a gradient for each leaf") };
        no_grad(|| -> Result<_> {
            let of_grey = self.bank.gradient(&trace, of_congruency)?;
            let gradient = grey_gradient(&of_grey, images.size()[1])?.f_add_(of_images)?;
            Ok((scores.f_detach()?, average_gradient(&gradient, input, self.factor)?))
        })
    }
}

impl Loss for FsimLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        self.data_range.check()?;
        check::between("scales", self.scales, 1, 64)?;
        check::between("orientations", self.orientations, 1, 64)?;
        check::at_least_1("min_length", self.min_length)?;
        check::at_least_1("mult", self.mult)?;
        check::positive("sigma_f", self.sigma_f)?;
        if self.sigma_f == 1.0 {
            return Err(Error::Option {
                option: "sigma_f",
                given: "1".into(),
                expected: "another number, as a band of no width has no response".into(),
            });
        }
        check::positive("delta_theta", self.delta_theta)?;
        check::non_negative("k", self.k)
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_arguments(input, target)?;
        let scores = per_image(&self.measure(input)?, self.data_range, input, target)?;
        loss_of_clamped(&scores, self.reduction, input.kind())
    }

    fn loss_map(&self, input: &Tensor, target: &Tensor) -> Result<Option<Tensor>> {
        self.check_arguments(input, target)?;
        let measure = self.measure(input)?;
        let unit = |images: &Tensor| self.data_range.to_unit(images);
        let weighted = measure.weighted(&unit(input)?, &unit(target)?)?;
        Ok(Some(weighted.map(input)?))
    }
}
