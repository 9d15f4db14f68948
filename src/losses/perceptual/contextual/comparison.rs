//! How [`ContextualLoss`](crate::ContextualLoss) compares features.

use tch::{autocast, Tensor};

use super::super::comparison::{Comparison, Other};
use super::directions::{directions_in_graph, mean_of_batch, Directions};
use super::loss::ContextualForm;
use crate::Result;

/// What is added to the distance of a position's nearest partner.
const DISTANCE_EPS: f64 = 1e-5;

/// The contextual loss of features.
pub(super) struct ContextualComparison {
    pub form: ContextualForm,
    pub band_width: f64,
}

impl ContextualForm {
    /// What `1 - cos` is multiplied by to be a distance.
    fn factor(self) -> f64 {
        match self {
            ContextualForm::Pytorch => 1.0,
            ContextualForm::Original => 0.5,
        }
    }

    /// What is added to the similarity before its logarithm is taken.
    fn logarithm_eps(self) -> f64 {
        match self {
            ContextualForm::Pytorch => 1e-5,
            ContextualForm::Original => 0.0,
        }
    }
}

impl ContextualComparison {
    /// What the differences of cosines within a row are multiplied by, from the largest of its cosines.
    pub(super) fn scales(&self, nearest: &Tensor) -> Result<Tensor> {
        let factor = self.form.factor();
        let distance = nearest.f_neg()?.f_add_scalar(1.0)?.f_mul_scalar(factor)?;
        Ok(distance.f_add_scalar(DISTANCE_EPS)?.f_reciprocal()?.f_mul_scalar(factor / self.band_width)?)
    }

    /// The similarity of whole images, plus what is added to it: from the largest number of each column.
    fn similarity(&self, largest: &Tensor) -> Result<Tensor> {
        let mean = largest.f_mean_dim([-1i64].as_slice(), false, None)?;
        Ok(mean.f_add_scalar(self.form.logarithm_eps())?)
    }

    /// The number of one image, and its gradient times `share`; features are `[C, h, w]`.
    fn image(
        &self,
        own: &Tensor,
        other: &Tensor,
        mean: &Tensor,
        share: Option<f64>,
    ) -> Result<(Tensor, Option<Tensor>)> {
        let size = own.size();
        let (own, other) = (Directions::of(own, mean)?, Directions::of(other, mean)?.directions);
        let columns = self.columns(&own.directions, &other, share.is_some())?;
        let similarity = self.similarity(&columns.largest)?;
        let value = similarity.f_log()?.f_neg()?;
        let Some(share) = share else { return Ok((value, None)) };
        let slopes = self.slopes_of_directions(&own.directions, &other, &columns)?;
        let factor = similarity.f_reciprocal()?.f_mul_scalar(-share / other.size()[0] as f64)?;
        let slopes = own.back(slopes)?.f_mul_(&factor)?;
        // Back to `[C, h, w]`.
        let slopes = slopes.f_view([size[1], size[2], size[0]].as_slice())?;
        Ok((value, Some(slopes.f_permute([2i64, 0, 1].as_slice())?)))
    }
}

impl Comparison for ContextualComparison {
    fn count(&self, _: &[i64]) -> f64 {
        1.0
    }

    fn sums(&self, own: &Tensor, other: &Tensor) -> Result<Tensor> {
        // libtorch's autocast would round the cosines.
        autocast(false, || {
            let mean = mean_of_batch(other)?;
            let (own, other) = (directions_in_graph(own, &mean)?, directions_in_graph(other, &mean)?);
            let cosines = own.f_transpose(1, 2)?.f_bmm(&other)?;
            let (nearest, _) = cosines.f_max_dim(2, true)?;
            // What is subtracted from all of a row has no effect on its softmax.
            let logarithms = cosines.f_sub(&nearest.f_detach()?)?.f_mul(&self.scales(&nearest)?)?;
            let (largest, _) = logarithms.f_softmax(2, None)?.f_max_dim(1, false)?;
            Ok(self.similarity(&largest)?.f_log()?.f_neg()?)
        })
    }

    fn piece(&self, own: &Tensor, other: Other, share: Option<f64>) -> Result<(Tensor, Option<Tensor>)> {
        autocast(false, || {
            let mean = other.statistics.expect("the engine asks for the mean of the whole target");
            let (mut values, mut slopes) = (Vec::new(), Vec::new());
            for image in 0..own.size()[0] {
                let (own, other) = (own.f_get(image)?, other.features.f_get(image)?);
                let (value, slope) = self.image(&own, &other, mean, share)?;
                values.push(value);
                slopes.extend(slope.map(|slope| slope.f_unsqueeze(0)).transpose()?);
            }
            let slopes = share.map(|_| Tensor::f_cat(&slopes, 0)).transpose()?;
            Ok((Tensor::f_stack(&values, 0)?, slopes))
        })
    }

    fn needs_whole_target(&self) -> bool {
        true
    }

    fn statistics(&self, target: &Tensor) -> Result<Option<Tensor>> {
        mean_of_batch(target).map(Some)
    }

    /// The smaller the features, the larger their gradients.
    fn is_unbounded(&self) -> bool {
        true
    }

    /// The mean of the similarities is under a logarithm.
    fn map(&self, _: &Tensor, _: &Tensor) -> Result<Option<Tensor>> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::*;

    const FORMS: [ContextualForm; 2] = [ContextualForm::Pytorch, ContextualForm::Original];

    fn numbers(tensor: &Tensor) -> Vec<f64> {
        tensor.to_kind(Kind::Double).contiguous().view([-1]).try_into().unwrap()
    }

    /// How far two tensors are apart, relative to the norm of the second.
    fn distance(found: &Tensor, expected: &Tensor) -> f64 {
        assert_eq!(found.size(), expected.size());
        numbers(&((found - expected).norm() / expected.norm()))[0]
    }

    /// The numbers of images, and the gradient of their sum: without a graph, and by libtorch's.
    fn both(comparison: &ContextualComparison, own: &Tensor, target: &Tensor) -> [(Tensor, Tensor); 2] {
        let statistics = comparison.statistics(target).unwrap();
        let other =
            Other { features: target.shallow_clone(), is_free: false, statistics: statistics.as_ref() };
        let (values, slope) = comparison.piece(own, other, Some(1.0)).unwrap();
        let leaf = own.copy().set_requires_grad(true);
        let expected = comparison.sums(&leaf, target).unwrap();
        expected.sum(None).backward();
        [(values, slope.unwrap()), (expected.detach(), leaf.grad())]
    }

    /// Features of waves `[2, 8, 6, 5]`, as a formula.
    fn waves() -> (Tensor, Tensor) {
        let (mut own, mut other) = (Vec::new(), Vec::new());
        for index in 0..2 * 8 * 6 * 5 {
            let parts = [index / 240, index / 30 % 8, index / 5 % 6, index % 5];
            let [n, c, i, j] = parts.map(f64::from);
            let x = 0.5 + 0.5 * (0.1 * (i + 1.0) * (c + 1.0) + 0.07 * j + n).sin();
            own.push(x);
            other.push((x + 0.1 * (0.3 * i - 0.2 * j + c).cos()).clamp(0.0, 1.0));
        }
        (Tensor::from_slice(&own).view([2, 8, 6, 5]), Tensor::from_slice(&other).view([2, 8, 6, 5]))
    }

    /// Numbers that are as good as random.
    fn features(seed: i64, shape: &[i64]) -> Tensor {
        let count = shape.iter().product::<i64>();
        let places = Tensor::arange(count, (Kind::Double, Device::Cpu));
        ((places * 12.9898 + seed as f64 * 78.233).sin() * 43758.5453).frac().view(shape)
    }

    /// By a program in PyTorch of the same formulas.
    #[test]
    fn values_of_the_formula() {
        let (own, target) = waves();
        for (form, expected) in FORMS.into_iter().zip([1.128332759910454, 1.1285388624285604]) {
            let comparison = ContextualComparison { form, band_width: 0.5 };
            for (values, _) in both(&comparison, &own, &target) {
                let mean = numbers(&values.mean(None))[0];
                assert!((mean - expected).abs() < 1e-12, "{form:?}: {mean}");
            }
        }
    }

    /// The target has two opposite positions, the input one at an angle to each of them.
    #[test]
    fn two_positions() {
        let (a, b) = (0.7f64, 1.1f64);
        let own = Tensor::from_slice(&[a.cos(), -b.cos(), a.sin(), b.sin()]).view([1, 2, 1, 2]);
        let target = Tensor::from_slice(&[1.0, -1.0, 0.0, 0.0]).view([1, 2, 1, 2]);
        for (form, factor, eps) in [(FORMS[0], 1.0, 1e-5), (FORMS[1], 0.5, 0.0)] {
            for band_width in [0.1, 0.5, 4.0] {
                let near = |angle: f64| {
                    let difference = factor * 2.0 * angle.cos();
                    let nearest = factor * (1.0 - angle.cos()) + 1e-5;
                    1.0 / (1.0 + (-difference / nearest / band_width).exp())
                };
                let expected = -((near(a) + near(b)) / 2.0 + eps).ln();
                for (value, _) in both(&ContextualComparison { form, band_width }, &own, &target) {
                    let value = numbers(&value)[0];
                    assert!((value - expected).abs() < 1e-12, "{form:?} {band_width}: {value}, {expected}");
                }
            }
        }
    }

    #[test]
    fn slopes_are_those_of_the_graph() {
        // The last one takes two blocks of rows.
        for shape in [[2, 1, 1, 2], [1, 4, 3, 1], [3, 6, 4, 5], [2, 5, 28, 29]] {
            let (own, target) = (features(1, &shape), features(2, &shape));
            let near = &target + &own * 0.1;
            for form in FORMS {
                for band_width in [0.1, 0.5, 3.0] {
                    let comparison = ContextualComparison { form, band_width };
                    for own in [&own, &near, &(&own * 1e12)] {
                        let [(values, slope), (expected, expected_slope)] = both(&comparison, own, &target);
                        let what = format!("{shape:?} {form:?} {band_width}");
                        let apart = numbers(&(values - &expected).abs().max())[0];
                        assert!(apart < 1e-11, "{what}: {apart:e}");
                        if numbers(&expected_slope.norm())[0] > 1e-30 {
                            let apart = distance(&slope, &expected_slope);
                            assert!(apart < 1e-9, "{what}: {apart:e}");
                        }
                    }
                }
            }
        }
    }

    /// Vectors of no length, or of nearly none, and vectors that are all the same.
    #[test]
    fn degenerate_features() {
        let shape = [2, 3, 4, 5];
        let target = features(2, &shape);
        let mean = mean_of_batch(&target).unwrap().view([1, 3, 1, 1]);
        let inputs = [
            target.copy(),
            target.zeros_like(),
            target.ones_like() * &mean,
            &mean + features(1, &shape) * 1e-14,
            target.ones_like() * 1e30,
        ];
        for kind in [Kind::Double, Kind::Float] {
            for (index, own) in inputs.iter().enumerate() {
                for form in FORMS {
                    let comparison = ContextualComparison { form, band_width: 0.5 };
                    for target in [&target, &target.zeros_like(), own] {
                        for (values, slope) in both(&comparison, &own.to_kind(kind), &target.to_kind(kind)) {
                            let what = format!("{kind:?} {index} {form:?}: {values:?}");
                            let is_finite = |tensor: &Tensor| tensor.isfinite().all().int64_value(&[]) == 1;
                            assert!(is_finite(&values) && is_finite(&slope), "{what}");
                            // Each similarity is 1 at most.
                            assert!(numbers(&values).iter().all(|value| *value > -1.1e-5), "{what}");
                        }
                    }
                }
            }
        }
    }

    /// Where the target has its features does not matter, and a permutation of the target itself is the best input.
    #[test]
    fn positions_do_not_matter() {
        let shape = [1, 6, 4, 5];
        let (own, target) = (features(1, &shape), features(2, &shape));
        let comparison = ContextualComparison { form: ContextualForm::Pytorch, band_width: 0.5 };
        let shuffled = target.flatten(2, 3).flip([2]).roll([7], [2]).view(shape);
        let value = |own: &Tensor, target: &Tensor| {
            both(&comparison, own, target).map(|(value, _)| numbers(&value)[0])
        };
        for (a, b) in value(&own, &target).into_iter().zip(value(&own, &shuffled)) {
            assert!((a - b).abs() < 1e-12, "{a} {b}");
        }
        for best in value(&shuffled, &target) {
            assert!((best + 1e-5).abs() < 1e-9, "{best}");
        }
        assert!(value(&own, &target)[0] > 0.1);
    }

    /// Half features are compared in f32.
    #[test]
    fn kinds() {
        let (own, target) = waves();
        let comparison = ContextualComparison { form: ContextualForm::Pytorch, band_width: 0.5 };
        for kind in [Kind::Half, Kind::BFloat16] {
            let (own, target) = (own.to_kind(kind), target.to_kind(kind));
            let in_f32 = both(&comparison, &own.to_kind(Kind::Float), &target.to_kind(Kind::Float));
            let found = both(&comparison, &own, &target);
            assert_eq!(found[0].0.kind(), Kind::Float);
            assert_eq!(found[1].0.kind(), Kind::Float);
            assert_eq!(numbers(&found[0].0), numbers(&in_f32[0].0));
            assert_eq!(numbers(&found[0].1), numbers(&in_f32[0].1));
        }
    }
}
