//! Sums over places, of which the losses on overlaps are made, and their gradients.
//!
//! Such a loss depends on the logits only through a few sums for each sample and class. So libtorch's graph holds the
//! sums alone, and the gradient of the logits follows in closed form.

use serde::{Deserialize, Serialize};
use tch::{no_grad, Device, Kind, Tensor};

use super::entropy::Entropy;
use super::mode::{Places, Truth};
use super::SegmentationMode;
use crate::base::check;
use crate::base::gradient::{with_gradient, Wanted};
use crate::base::heap::keep_freed_blocks;
use crate::{Error, Result};

/// What counts as common to prediction and target: the true positives of an overlap.
///
/// `p` is the predicted probability and `t` the target's. For targets of 0 and 1 the first two have the same value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Intersection {
    /// `Σ min(p, t)`, right for soft targets: segmentation-models-pytorch, and MONAI's `soft_label`.
    #[default]
    Minimum,
    /// `Σ p * t`: MONAI and kornia.
    Product,
    /// `Σ p * t`, with `Σ p²` and `Σ t²` in place of the areas `Σ p` and `Σ t`: V-Net, MONAI's `squared_pred`.
    Squares,
}

/// Sums over the places of each sample and class, `[N, C]`.
pub(super) struct Sums {
    /// The true positives.
    pub both: Tensor,
    /// The area of the prediction.
    pub predicted: Tensor,
    /// The area of the target.
    pub actual: Tensor,
    /// For targets of classes: the probability of the true class at each place, `[N, 1, P]`.
    right: Option<Tensor>,
}

/// Up to how many classes a label for each is faster than an index.
const FEW: i64 = 8;

/// How a loss on overlaps reads its arguments.
pub(super) struct Reading {
    pub mode: SegmentationMode,
    pub from_logits: bool,
    pub intersection: Intersection,
    pub ignore_index: Option<i64>,
}

impl Reading {
    /// The loss that `loss` makes of the sums, in the kind of the computation. It is a scalar unless `in_graph`,
    /// which is for losses that are not, and for those whose options require a gradient.
    pub fn forward(
        &self,
        input: &Tensor,
        target: &Tensor,
        in_graph: bool,
        loss: impl Fn(&Sums) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let places = self.places(input, target)?;
        let wanted = Wanted::of(input, Some(target))?;
        if in_graph || wanted != Wanted::InputGradient || places.input.numel() == 0 {
            let probabilities = self.probabilities(&places.input)?;
            return loss(&self.sums(&probabilities, &places)?);
        }
        self.in_closed_form(&places, None, loss)
    }

    /// The same and the cross entropy, of logits with classes as targets. `None` where only the graph has the gradient.
    pub fn forward_with_entropy(
        &self,
        input: &Tensor,
        target: &Tensor,
        entropy: &Entropy,
        loss: impl Fn(&Sums) -> Result<Tensor>,
    ) -> Result<Option<Tensor>> {
        let of_classes = self.mode == SegmentationMode::Multiclass && check::is_class_kind(target.f_kind()?);
        let in_graph = Wanted::of(input, None)? != Wanted::InputGradient;
        if in_graph || !of_classes || input.numel() == 0 {
            return Ok(None);
        }
        Ok(Some(self.in_closed_form(&self.places(input, target)?, Some(entropy), loss)?))
    }

    fn places(&self, input: &Tensor, target: &Tensor) -> Result<Places> {
        let places = Places::new(self.mode, self.ignore_index, input, target)?;
        if self.from_logits && self.mode == SegmentationMode::Multiclass && places.classes() == 1 {
            let expected =
                "two classes at least: the soft-max of one is always 1. For one channel, the mode is binary"
                    .into();
            return Err(Error::Shape { argument: "input", given: input.size(), expected });
        }
        Ok(places)
    }

    /// The loss and its gradient, without libtorch's graph of the places.
    fn in_closed_form(
        &self,
        places: &Places,
        entropy: Option<&Entropy>,
        loss: impl Fn(&Sums) -> Result<Tensor>,
    ) -> Result<Tensor> {
        if places.input.device() == Device::Cpu
            && matches!(places.truth, Truth::Classes(_))
            && places.classes() <= FEW
        {
            return self.labelled().with_slopes(places, entropy, Places::with_labels, loss);
        }
        self.with_slopes(places, entropy, |places| places.narrow(0, places.input.size()[0]), loss)
    }

    /// How labels of 0 and 1 are read: their intersections are products, which take less time.
    fn labelled(&self) -> Reading {
        let intersection = match self.intersection {
            Intersection::Minimum => Intersection::Product,
            other => other,
        };
        Reading { intersection, ..*self }
    }

    /// The loss and its gradient, in pieces that stay in the cache. `prepare` is done to each piece.
    fn with_slopes(
        &self,
        places: &Places,
        entropy: Option<&Entropy>,
        prepare: impl Fn(&Places) -> Result<Places>,
        loss: impl Fn(&Sums) -> Result<Tensor>,
    ) -> Result<Tensor> {
        keep_freed_blocks();
        let spans: Vec<(i64, i64)> = places.pieces().collect();
        let (probabilities, pieces, sums, entropies) = no_grad(|| -> Result<_> {
            let input = places.input.f_detach()?;
            let probabilities = if self.from_logits { input.f_empty_like()? } else { input };
            let (mut pieces, mut sums, mut entropies) = (Vec::new(), Vec::new(), Vec::new());
            for &(start, length) in &spans {
                let plain = places.narrow(start, length)?;
                let piece = prepare(&plain)?;
                let own = probabilities.f_narrow(0, start, length)?;
                let _ = match (self.from_logits, self.mode) {
                    (false, _) => own.shallow_clone(),
                    (true, SegmentationMode::Multiclass) => piece.input.f_softmax_int_out(&own, 1, None)?,
                    (true, _) => piece.input.f_sigmoid_out(&own)?,
                };
                sums.push(self.sums(&own, &piece)?);
                if entropy.is_some() {
                    entropies.push(Entropy::sum(&own, &plain)?);
                }
                pieces.push(piece);
            }
            Ok((probabilities, pieces, Sums::joined(&sums)?, entropies))
        })?;
        let leaf = |sum: &Tensor| sum.f_detach()?.f_set_requires_grad(true);
        let leaves = Sums { both: leaf(&sums.both)?, predicted: leaf(&sums.predicted)?, ..sums };
        let value = loss(&leaves)?;
        let slopes = Tensor::f_run_backward(&[&value], &[&leaves.both, &leaves.predicted], false, false)?;
        let (value, gradient) = no_grad(|| -> Result<(Tensor, Tensor)> {
            let divisor = entropy.map(|entropy| entropy.divisor(places)).transpose()?;
            let value = match &divisor {
                Some(divisor) => {
                    value.f_add(&Tensor::f_stack(&entropies, 0)?.f_sum(None)?.f_div(divisor)?)?
                }
                None => value.shallow_clone(),
            };
            let result = match self.from_logits {
                true => probabilities.shallow_clone(),
                false => probabilities.f_empty_like()?,
            };
            for (&(start, length), piece) in spans.iter().zip(&pieces) {
                let own = |tensor: &Tensor| tensor.f_narrow(0, start, length);
                let right = leaves.right.as_ref().map(own).transpose()?;
                let slopes = (&own(&slopes[0])?, &own(&slopes[1])?);
                let (probabilities, mut to) = (own(&probabilities)?, own(&result)?);
                // Before the probabilities give way to the gradient.
                let beside = match &divisor {
                    Some(divisor) => Some(Entropy::slopes(&probabilities, piece, divisor)?),
                    None => None,
                };
                self.gradient(&probabilities, piece, right, slopes, to.shallow_clone())?;
                if let Some(beside) = beside {
                    let _ = to.f_add_(&beside)?;
                }
            }
            Ok((value, result))
        })?;
        with_gradient(&value.f_detach()?, &places.input, &gradient, 1.0)
    }

    fn probabilities(&self, input: &Tensor) -> Result<Tensor> {
        Ok(match (self.from_logits, self.mode) {
            (false, _) => input.shallow_clone(),
            (true, SegmentationMode::Multiclass) => input.f_softmax(1, None)?,
            (true, _) => input.f_sigmoid()?,
        })
    }

    fn sums(&self, probabilities: &Tensor, places: &Places) -> Result<Sums> {
        let over_places = |tensor: Tensor| tensor.f_sum_dim_intlist([2i64].as_slice(), false, None);
        let area = |tensor: &Tensor| match self.intersection {
            Intersection::Squares => tensor.f_square(),
            _ => Ok(tensor.shallow_clone()),
        };
        let counted = places.counted.as_ref();
        match &places.truth {
            Truth::Classes(classes) => {
                let right = probabilities.f_gather(1, &classes.f_unsqueeze(1)?, false)?;
                let (counting, ones) = match counted {
                    Some(counted) => (right.f_mul(counted)?, counted.f_squeeze_dim(1)?),
                    None => (right.shallow_clone(), classes.f_ones_like()?.f_to_kind(probabilities.kind())?),
                };
                let areas = area(probabilities)?;
                let predicted = match counted {
                    // A product of matrices would lose digits of large images.
                    Some(counted) => over_places(areas.f_mul(counted)?)?,
                    None => over_places(areas)?,
                };
                Ok(Sums {
                    both: sum_by_class(&counting.f_squeeze_dim(1)?, classes, places.classes())?,
                    predicted,
                    actual: sum_by_class(&ones, classes, places.classes())?,
                    right: Some(right),
                })
            }
            Truth::Values(values) => {
                let own = match counted {
                    Some(counted) => probabilities.f_mul(counted)?,
                    None => probabilities.shallow_clone(),
                };
                let both = match self.intersection {
                    Intersection::Minimum => own.f_minimum(values)?,
                    Intersection::Product | Intersection::Squares => own.f_mul(values)?,
                };
                Ok(Sums {
                    both: over_places(both)?,
                    predicted: over_places(area(&own)?)?,
                    actual: over_places(area(values)?)?,
                    right: None,
                })
            }
        }
    }
}

impl Sums {
    /// Those of several pieces of a batch.
    fn joined(pieces: &[Sums]) -> Result<Sums> {
        let join = |sum: fn(&Sums) -> Option<&Tensor>| -> Result<Option<Tensor>> {
            let sums: Option<Vec<&Tensor>> = pieces.iter().map(sum).collect();
            Ok(sums.map(|sums| Tensor::f_cat(&sums, 0)).transpose()?)
        };
        let joined = |sum| Ok::<_, Error>(join(sum)?.expect("every piece has it"));
        Ok(Sums {
            both: joined(|own| Some(&own.both))?,
            predicted: joined(|own| Some(&own.predicted))?,
            actual: joined(|own| Some(&own.actual))?,
            right: join(|own| own.right.as_ref())?,
        })
    }
}

/// Adds up the `values` `[N, P]` of each class: `[N, C]`.
fn sum_by_class(values: &Tensor, of: &Tensor, classes: i64) -> Result<Tensor> {
    let samples = values.size()[0];
    if values.device() == Device::Cpu {
        // One sum after the other: in f32, thousands of numbers would lose digits.
        let bins = Tensor::f_zeros([samples, classes].as_slice(), (Kind::Double, Device::Cpu))?;
        let sums = bins.f_scatter_add(1, of, &values.f_to_kind(Kind::Double)?)?;
        return Ok(sums.f_to_kind(values.kind())?);
    }
    // Elsewhere, additions at one place wait for each other.
    let all = Tensor::f_arange(classes, (Kind::Int64, of.device()))?.f_view([1, classes, 1].as_slice())?;
    let is_class = of.f_unsqueeze(1)?.f_eq_tensor(&all)?.f_to_kind(values.kind())?;
    Ok(is_class.f_mul(&values.f_unsqueeze(1)?)?.f_sum_dim_intlist([2i64].as_slice(), false, None)?)
}
