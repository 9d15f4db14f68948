//! [`HaarPsiLoss`].

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::filtered::{channels_back, halved_back, Filtered};
use super::gradient_magnitude::dissimilarity;
use super::haar::{self, SIZES};
use super::map::enlarged;
use crate::base::image::per_image::per_image;
use crate::base::image::{color, pool, DataRange};
use crate::base::reduction::reduce;
use crate::base::{check, setters};
use crate::{Loss, Reduction, Result};

/// HaarPSI: a perceptual similarity of Haar wavelet coefficients, in luma and colour.
///
/// ```text
/// Y, I, Q = the images in [0, 255], after means of 2x2 pixels (`subsample`)
/// h(k)    = the difference of the sums over the upper and the lower half of k by k pixels, / k; v(k): left and right
/// s_h     = mean over k = 2, 4 of sim(|h(k)(Y)|)     sim(a) = (2 a(input) a(target) + c) / (a(input)² + a(target)² + c)
/// w_h     = max(|h(8)(Y(input))|, |h(8)(Y(target))|)
/// s_c     = mean over I, Q of sim(|mean of 2x2|)     w_c = (w_h + w_v) / 2          (with 3 channels)
/// p       = sum(sigmoid(alpha s) w) / sum(w)         over h, v, c and the pixels
/// score   = (ln(p / (1 - p)) / alpha)²
/// loss    = reduce(1 - score)                        (one value for each image)
/// ```
///
/// Fine detail decides how similar a place is, coarse structure how much the place counts.
///
/// - **Shapes**: `input` and `target` `[N, C, H, W]` with 1 or 3 channels (grey, or red, green and blue), H and W at
///   least 16. If a side is odd, a row and a column of zeros are added before the means. The loss is a scalar, or
///   `[N]` with [`Reduction::None`].
/// - **Values**: from 0 for equal images to 1. The loss is symmetric. The score is `1 - loss` under [`tch::no_grad`].
///   f16 and bf16 are computed in f32.
/// - **Gradients**: to both arguments, finite everywhere. If `target` requires no gradient, forward computes the
///   gradient, and second derivatives come out as zero.
/// - **Map**: the sum over h, v and c of `(1 - s) w`, divided by the mean of the sum of the weights. Its mean is the
///   weighted mean of the dissimilarity: 0 for equal images, 1 at most. The loss is another function of the same
///   numbers.
/// - **Defaults**: `data_range` unit, `subsample` true, `c` 30, `alpha` 4.2, `reduction` mean.
/// - **Errors**: arguments that are not images of one shape, kind and device; other counts of channels; images that
///   are too small; a `c` or an `alpha` that is not positive and finite.
///
/// Source: [`HaarPSILoss` of piq](https://github.com/photosynthesis-team/piq/blob/master/piq/haarpsi.py), whose
/// numbers these are; R. Reisenhofer et al., [*A Haar Wavelet-Based Perceptual Similarity Index for Image Quality
/// Assessment*](https://arxiv.org/abs/1607.06140) (2018). piq differs in two respects. Its `sum` is 1 minus the sum of
/// the scores; here it is the sum of the losses. Two black images have the loss 0 here and minus infinity there. Its
/// option `scales` is left out, as only 3 gives the measure.
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::{HaarPsiLoss, Loss};
///
/// let fake = Tensor::rand([2, 3, 32, 32], (Kind::Float, Device::Cpu)).set_requires_grad(true);
/// let real = Tensor::rand([2, 3, 32, 32], (Kind::Float, Device::Cpu));
/// let loss = HaarPsiLoss::default().forward(&fake, &real);
/// loss.backward();
/// assert!((0.0..=1.0).contains(&loss.double_value(&[])));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HaarPsiLoss {
    /// The range of the images' values.
    pub data_range: DataRange,
    /// Whether to start with means of 2x2 pixels.
    pub subsample: bool,
    /// The constant that keeps the quotients stable, for values from 0 to 255.
    pub c: f64,
    /// How steep the sigmoid is.
    pub alpha: f64,
    /// How the values of the images are reduced.
    pub reduction: Reduction,
}

impl Default for HaarPsiLoss {
    fn default() -> Self {
        HaarPsiLoss {
            data_range: DataRange::Unit,
            subsample: true,
            c: 30.0,
            alpha: 4.2,
            reduction: Reduction::Mean,
        }
    }
}

setters!(HaarPsiLoss {
    with_data_range(data_range: DataRange),
    with_subsample(subsample: bool),
    with_c(c: f64),
    with_alpha(alpha: f64),
    with_reduction(reduction: Reduction)
});

/// By orientation: how unlike the images are, and the weight of that.
struct Comparison {
    dissimilarity: Tensor,
    weight: Tensor,
}

const PIXELS: &[i64] = &[1, 2, 3];

impl HaarPsiLoss {
    fn check(&self, input: &Tensor, target: &Tensor) -> Result<()> {
        self.check_options()?;
        check::image_pair(input, target)?;
        check::channels(input, &[1, 3])?;
        check::least_size(input, 16, "")
    }

    /// The mean of the dissimilarities of two pairs, of which each is `size` times what the definition has.
    fn mean_dissimilarity(&self, pairs: [(&Tensor, &Tensor, i64); 2]) -> Result<Tensor> {
        let of = |(input, target, size): (&Tensor, &Tensor, i64)| {
            let scale = size as f64 / 255.0;
            dissimilarity(input, target, self.c * scale * scale)
        };
        let [first, second] = pairs;
        Ok(of(first)?.f_add(&of(second)?)?.f_mul_scalar(0.5)?)
    }

    /// Of what the filters found.
    fn comparisons(&self, input: &[Tensor], target: &[Tensor]) -> Result<Vec<Comparison>> {
        let magnitudes =
            |found: &[Tensor]| found.iter().map(|plane| Ok(plane.f_abs()?)).collect::<Result<Vec<_>>>();
        let (input, target) = (magnitudes(input)?, magnitudes(target)?);
        let pair = |index: usize, size: i64| (&input[index], &target[index], size);
        let mut comparisons = Vec::new();
        for orientation in 0..2 {
            let of = |level: usize| pair(2 * level + orientation, SIZES[level]);
            let dissimilarity = self.mean_dissimilarity([of(0), of(1)])?;
            let (own, other, _) = of(2);
            comparisons.push(Comparison { dissimilarity, weight: own.f_maximum(other)? });
        }
        if input.len() > LUMA {
            // Sums over four pixels, where the definition has means.
            let dissimilarity = self.mean_dissimilarity([pair(LUMA, 4), pair(LUMA + 1, 4)])?;
            let weight = comparisons[0].weight.f_add(&comparisons[1].weight)?.f_mul_scalar(0.5)?;
            comparisons.push(Comparison { dissimilarity, weight });
        }
        Ok(comparisons)
    }
}

/// How many planes are of luma: two coefficients of each size. Those of I and Q follow, where the image has colour.
const LUMA: usize = 2 * SIZES.len();

impl Filtered for HaarPsiLoss {
    fn filter(&self, images: &Tensor) -> Result<Vec<Tensor>> {
        let images = if self.subsample { pool::halved(images)? } else { images.shallow_clone() };
        let mut found = haar::coefficients(&color::luma(&images)?)?;
        if images.size()[1] == 3 {
            for row in [color::I, color::Q] {
                found.push(haar::sums(&color::channel(&images, row)?)?);
            }
        }
        Ok(found)
    }

    fn back(&self, slopes: &[Tensor], images: &Tensor) -> Result<Tensor> {
        let luma = haar::coefficients_back(&slopes[..LUMA])?;
        let back = match &slopes[LUMA..] {
            [i, q] => {
                let (i, q) = (haar::sums_back(i)?, haar::sums_back(q)?);
                channels_back(&[(&luma, color::Y), (&i, color::I), (&q, color::Q)])?
            }
            _ => luma,
        };
        let size = images.size();
        if self.subsample {
            halved_back(&back, size[2], size[3])
        } else {
            Ok(back)
        }
    }

    fn compare(&self, input: &[Tensor], target: &[Tensor]) -> Result<Tensor> {
        let kind = input[0].kind();
        let sum = |planes: &Tensor| planes.f_sum_dim_intlist(PIXELS, false, kind);
        // Of p and of 1 - p, times the sum of the weights.
        let (mut alike, mut unlike) = (None, None);
        for Comparison { dissimilarity, weight } in self.comparisons(input, target)? {
            // alpha s
            let exponent = dissimilarity.f_mul_scalar(-self.alpha)?.f_add_scalar(self.alpha)?;
            add(&mut alike, sum(&exponent.f_sigmoid()?.f_mul(&weight)?)?)?;
            add(&mut unlike, sum(&exponent.f_neg()?.f_sigmoid()?.f_mul(&weight)?)?)?;
        }
        let (alike, unlike) =
            (alike.expect("there are orientations"), unlike.expect("there are orientations"));
        // Black images have no weights: this makes them equal. piq adds the same to the sum of the weights.
        let eps = epsilon(kind) * 8.0 / 255.0;
        let at = |slope: f64| eps / (1.0 + (-slope).exp());
        let (alike, unlike) = (alike.f_add_scalar(at(self.alpha))?, unlike.f_add_scalar(at(-self.alpha))?);
        let score = alike.f_log()?.f_sub(&unlike.f_log()?)?.f_mul_scalar(1.0 / self.alpha)?.f_square()?;
        Ok(score.f_neg()?.f_add_scalar(1.0)?)
    }
}

fn add(sum: &mut Option<Tensor>, term: Tensor) -> Result<()> {
    *sum = Some(match sum.take() {
        Some(sum) => sum.f_add(&term)?,
        None => term,
    });
    Ok(())
}

/// The distance from 1 to the next number.
fn epsilon(kind: Kind) -> f64 {
    match kind {
        Kind::Double => f64::EPSILON,
        _ => f64::from(f32::EPSILON),
    }
}

impl Loss for HaarPsiLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        self.data_range.check()?;
        check::positive("c", self.c)?;
        check::positive("alpha", self.alpha)
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check(input, target)?;
        reduce(&per_image(self, self.data_range, input, target)?, self.reduction, input.kind())
    }

    fn loss_map(&self, input: &Tensor, target: &Tensor) -> Result<Option<Tensor>> {
        self.check(input, target)?;
        let found = |images| self.filter(&self.data_range.to_unit(images)?);
        let (mut map, mut weights) = (None, None);
        for Comparison { dissimilarity, weight } in self.comparisons(&found(input)?, &found(target)?)? {
            add(&mut map, dissimilarity.f_mul(&weight)?)?;
            add(&mut weights, weight)?;
        }
        let (map, weights) = (map.expect("there are orientations"), weights.expect("there are orientations"));
        let mean = weights.f_mean_dim(PIXELS, true, weights.kind())?;
        let map = map.f_div(&mean.f_add_scalar(epsilon(mean.kind()))?)?;
        Ok(Some(enlarged(&map, if self.subsample { 2 } else { 1 }, 0, input)?))
    }
}
