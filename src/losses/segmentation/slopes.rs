//! The gradient of the sums over places with respect to the logits.

use tch::Tensor;

use super::mode::{Places, Truth};
use super::sums::{Intersection, Reading};
use super::SegmentationMode;
use crate::Result;

impl Reading {
    /// Writes the gradient with respect to a piece of the input to `to`, which may be the probabilities' memory. The sums
    /// have the slopes `of_both` and `of_predicted`.
    pub fn gradient(
        &self,
        own: &Tensor,
        places: &Places,
        right: Option<Tensor>,
        (of_both, of_predicted): (&Tensor, &Tensor),
        mut to: Tensor,
    ) -> Result<()> {
        let slope = of_predicted.f_unsqueeze(2)?;
        // Of the areas: the same at all places, unless they are of squares.
        let areas = match self.intersection {
            Intersection::Squares => own.f_mul(&slope)?.f_mul_scalar(2.0)?,
            _ => slope,
        };
        let counted = places.counted.as_ref();
        match &places.truth {
            Truth::Classes(truth) => {
                let right = right.expect("sums of classes have it");
                self.by_classes(own, &right, &areas, &truth.f_unsqueeze(1)?, of_both, &mut to)?;
                if let Some(counted) = counted {
                    let _ = to.f_mul_(counted)?;
                }
            }
            Truth::Values(truth) => {
                let of_both = of_both.f_unsqueeze(2)?;
                let slopes = match self.intersection {
                    // The smaller one has the slope; of equal ones each has half of it, as in libtorch.
                    Intersection::Minimum => {
                        let half = of_both.f_mul_scalar(0.5)?;
                        areas.f_add(&half)?.f_addcmul(&truth.f_sub(own)?.f_sgn_()?, &half)?
                    }
                    // Two operations that libtorch computes on several numbers at a time, for one that it does not.
                    Intersection::Product | Intersection::Squares => truth.f_mul(&of_both)?.f_add_(&areas)?,
                };
                to.f_copy_(&self.by_values(own, slopes, counted)?)?;
            }
        }
        Ok(())
    }

    /// Writes the gradient `to` where it goes, for targets of classes. `areas` are the slopes of all classes, `[n, C,
    /// 1]` or of each place, and `of_both` `[n, C]` what the true class has beside them.
    fn by_classes(
        &self,
        own: &Tensor,
        right: &Tensor,
        areas: &Tensor,
        truth: &Tensor,
        of_both: &Tensor,
        to: &mut Tensor,
    ) -> Result<()> {
        let squares = self.intersection == Intersection::Squares;
        let slopes_of_truth =
            |slopes: &Tensor| slopes.f_gather(1, &truth.f_squeeze_dim(1)?, false)?.f_unsqueeze(1);
        let of_area = match squares {
            true => areas.f_gather(1, truth, false)?,
            false => slopes_of_truth(&areas.f_squeeze_dim(2)?)?,
        };
        let of_both = slopes_of_truth(of_both)?;
        if self.from_logits {
            // A softmax has the gradient p (g - Σ p g).
            let mean = match squares {
                true => own.f_mul(areas)?.f_sum_dim_intlist([1i64].as_slice(), true, None)?,
                false => areas.f_transpose(1, 2)?.f_matmul(own)?,
            };
            let mean = mean.f_addcmul(&of_both, right)?;
            let of_truth = of_area.f_add(&of_both)?.f_sub(&mean)?.f_mul(right)?;
            let _ = to.f_mul_(&areas.f_sub(&mean)?)?;
            let _ = to.f_scatter_(1, truth, &of_truth)?;
        } else {
            to.f_copy_(areas)?;
            let _ = to.f_scatter_(1, truth, &of_area.f_add(&of_both)?)?;
        }
        Ok(())
    }

    /// The gradient for targets of values, with the slopes of all classes.
    fn by_values(&self, own: &Tensor, mut slopes: Tensor, counted: Option<&Tensor>) -> Result<Tensor> {
        if let Some(counted) = counted {
            slopes = slopes.f_mul_(counted)?;
        }
        Ok(match (self.from_logits, self.mode) {
            (false, _) => slopes,
            (true, SegmentationMode::Multiclass) => {
                Tensor::f_internal_softmax_backward_data(&slopes, own, 1, own.kind())?
            }
            (true, _) => Tensor::f_sigmoid_backward(&slopes, own)?,
        })
    }
}
