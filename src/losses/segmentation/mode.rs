//! What images of classes look like, and how they become places with classes.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::base::check;
use crate::base::gradient::{numbers_at_once, pieces};
use crate::base::precision::{accumulation_kind, is_floating};
use crate::{Error, Result};

/// How the classes of a segmentation relate: the `mode` of segmentation-models-pytorch.
///
/// It decides what `input` and `target` look like, and how logits become probabilities.
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::{DiceLoss, Loss, SegmentationMode};
///
/// let logits = Tensor::zeros([2, 1, 8, 8], (Kind::Float, Device::Cpu));
/// let foreground = Tensor::ones([2, 8, 8], (Kind::Int64, Device::Cpu));
/// let loss = DiceLoss::default().with_mode(SegmentationMode::Binary).forward(&logits, &foreground);
/// // Everywhere half of the right answer: 1 - 2 * 0.5 / (0.5 + 1).
/// assert!((loss.double_value(&[]) - 1.0 / 3.0).abs() < 1e-6);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SegmentationMode {
    /// Foreground or background, by a sigmoid. `input` is `[N, ...]`. `target` has that shape, and may lack an axis 1
    /// of size 1. It holds labels 0 and 1 as Int64 or Uint8, or probabilities of `input`'s kind.
    Binary,
    /// One of several classes, by a softmax. `input` is `[N, C, ...]`. `target` is a class for each place, `[N, ...]`
    /// of Int64 or Uint8, or probabilities of `input`'s shape and kind.
    #[default]
    Multiclass,
    /// Any number of classes at once, each by a sigmoid. `input` is `[N, C, ...]`. `target` has that shape. It holds
    /// labels 0 and 1 as Int64 or Uint8, or probabilities of `input`'s kind.
    Multilabel,
}

/// What is true at each place.
pub(super) enum Truth {
    /// Classes, `[N, P]`.
    Classes(Tensor),
    /// Probabilities, `[N, C, P]`, in the kind of the computation.
    Values(Tensor),
}

/// The arguments as places.
pub(super) struct Places {
    /// `[N, C, P]`, in the kind of the computation.
    pub input: Tensor,
    /// With 0 where nothing counts.
    pub truth: Truth,
    /// 1 where a place counts and 0 where it is ignored, `[N, 1, P]` for classes and `[N, C, P]` for values.
    pub counted: Option<Tensor>,
}

impl Places {
    /// Checks the arguments.
    pub fn new(
        mode: SegmentationMode,
        ignore_index: Option<i64>,
        input: &Tensor,
        target: &Tensor,
    ) -> Result<Places> {
        check_input(mode, input)?;
        check_target(mode, ignore_index, input, target)?;
        let kind = accumulation_kind(input.kind());
        let flat = |tensor: &Tensor| -> Result<Tensor> {
            let size = tensor.size();
            let classes = if mode == SegmentationMode::Binary { 1 } else { size[1] };
            let first = if mode == SegmentationMode::Binary { 1 } else { 2 };
            let places: i64 = size[first..].iter().product();
            Ok(tensor.f_reshape([size[0], classes, places].as_slice())?)
        };
        let wide = flat(&input.f_to_kind(kind)?)?;
        let of_classes = mode == SegmentationMode::Multiclass && !is_floating(target.kind());
        let target = match of_classes {
            true => target.f_to_kind(Kind::Int64)?.f_reshape([wide.size()[0], wide.size()[2]].as_slice())?,
            // A Uint8 would be compared with the last byte of `ignore_index`.
            false if target.kind() == Kind::Uint8 => flat(&target.f_to_kind(Kind::Int64)?)?,
            false => flat(target)?,
        };
        let counted = match ignore_index {
            // Probabilities of classes that exclude each other have no place to ignore.
            Some(index) if of_classes || mode != SegmentationMode::Multiclass => Some(target.f_ne(index)?),
            _ => None,
        };
        let target = match &counted {
            Some(counted) => target.f_mul(counted)?,
            None => target,
        };
        let counted = counted.map(|counted| -> Result<Tensor> {
            let counted = if of_classes { counted.f_unsqueeze(1)? } else { counted };
            Ok(counted.f_to_kind(kind)?)
        });
        let truth = match of_classes {
            true => Truth::Classes(target),
            false => Truth::Values(target.f_to_kind(kind)?),
        };
        Ok(Places { input: wide, truth, counted: counted.transpose()? })
    }

    /// Those of some samples.
    pub fn narrow(&self, start: i64, length: i64) -> Result<Places> {
        let piece = |tensor: &Tensor| tensor.f_narrow(0, start, length);
        Ok(Places {
            input: piece(&self.input)?,
            truth: match &self.truth {
                Truth::Classes(classes) => Truth::Classes(piece(classes)?),
                Truth::Values(values) => Truth::Values(piece(values)?),
            },
            counted: self.counted.as_ref().map(piece).transpose()?,
        })
    }

    /// The same with labels in place of classes, which do not require a gradient. A wrong class is an error of libtorch.
    pub fn with_labels(&self) -> Result<Places> {
        let Truth::Classes(classes) = &self.truth else { unreachable!("labels are made of classes") };
        let options = (self.input.kind(), self.input.device());
        let all = Tensor::f_arange(self.classes(), options)?;
        let (least, largest) = classes.f_aminmax(None, false)?;
        for extreme in [least, largest] {
            let _ = all.f_index_select(0, &extreme.f_unsqueeze(0)?)?;
        }
        // In the kind of the labels, libtorch compares several at a time.
        let classes = classes.f_to_kind(self.input.kind())?.f_unsqueeze(1)?;
        let mut labels = Tensor::f_empty(self.input.size(), options)?;
        labels = classes.f_eq_tensor_out(&labels, &all.f_unsqueeze(1)?)?;
        if let Some(counted) = &self.counted {
            labels = labels.f_mul_(counted)?;
        }
        let counted = self.counted.as_ref().map(Tensor::shallow_clone);
        Ok(Places { input: self.input.shallow_clone(), truth: Truth::Values(labels), counted })
    }

    /// Cuts the batch into pieces that stay in the cache: start and length of each.
    pub fn pieces(&self) -> impl Iterator<Item = (i64, i64)> {
        let size = self.input.size();
        pieces(size[0], numbers_at_once(self.input.device(), size[1] * size[2]))
    }

    /// The targets as values `[N, C, P]`: 1 for the class of a place, 0 for the others.
    pub fn labels(&self) -> Result<Tensor> {
        match &self.truth {
            Truth::Values(values) => Ok(values.shallow_clone()),
            Truth::Classes(classes) => {
                let all = Tensor::f_arange(self.classes(), (Kind::Int64, classes.device()))?;
                let all = all.f_view([1, -1, 1].as_slice())?;
                Ok(classes.f_unsqueeze(1)?.f_eq_tensor(&all)?.f_to_kind(self.input.kind())?)
            }
        }
    }

    pub fn classes(&self) -> i64 {
        self.input.size()[1]
    }
}

fn check_input(mode: SegmentationMode, input: &Tensor) -> Result<()> {
    check::floating("input", input)?;
    let given = input.size();
    let expected = match mode {
        SegmentationMode::Binary if given.is_empty() => "[N, ...]",
        SegmentationMode::Multiclass | SegmentationMode::Multilabel if given.len() < 2 || given[1] < 1 => {
            "[N, C, ...] with at least one class"
        }
        _ => return Ok(()),
    };
    Err(Error::Shape { argument: "input", given, expected: expected.into() })
}

fn check_target(
    mode: SegmentationMode,
    ignore_index: Option<i64>,
    input: &Tensor,
    target: &Tensor,
) -> Result<()> {
    check::dense("target", target)?;
    let given = target.f_kind()?;
    let of_classes = check::is_class_kind(given);
    if of_classes && mode == SegmentationMode::Multiclass {
        return check::class_targets(&input.size(), input, target);
    }
    if !of_classes && !is_floating(given) {
        let whole = if mode == SegmentationMode::Multiclass { "classes" } else { "labels" };
        let expected = format!("Int64 or Uint8 for {whole}, {:?} for probabilities", input.kind());
        return Err(Error::Kind { argument: "target", given, expected });
    }
    match of_classes {
        true => check::same_device(("input", input), ("target", target))?,
        false => check::partners(("input", input), ("target", target))?,
    }
    let without_axis =
        |size: &[i64]| size.len() > 1 && size[1] == 1 && [&size[..1], &size[2..]].concat() == target.size();
    if mode != SegmentationMode::Binary || !without_axis(&input.size()) {
        check::same_shape(("input", input), ("target", target))?;
    }
    match ignore_index {
        Some(index) if mode == SegmentationMode::Multiclass && index >= 0 => Err(Error::Option {
            option: "ignore_index",
            given: index.to_string(),
            expected: "a negative number or none, for `target` holds probabilities, not classes".into(),
        }),
        _ => Ok(()),
    }
}
