//! [`RnntLoss`].

use serde::{Deserialize, Serialize};
use tch::{no_grad, Device, Kind, Tensor};

use super::lattice::{Lattice, Lengths, Occupancy};
use super::lengths::{check_labels, check_lengths};
use crate::base::gradient::{at_once, pieces, with_gradient, with_gradients, Wanted, PER_THREAD};
use crate::base::precision::{accumulation_kind, is_integer};
use crate::base::reduction::reduce;
use crate::base::{check, setters};
use crate::{Error, Reduction, Result, SequenceLoss};

/// The argument that has the sequences.
const INPUTS: &str = "logits";

/// Loss of a transducer (RNN-T): the negative log-probability of a sequence of labels, given a sequence of frames, over
/// all alignments.
///
/// A joiner scores each class for each frame and each number of labels written so far. A blank goes on to the next
/// frame, a label is written and stays at the frame. Unlike in [`CtcLoss`](crate::CtcLoss), the score of a label
/// depends on the labels before it, and a frame may have several labels.
///
/// ```text
/// p    = softmax(logits)                               of each frame t and count u of labels
///        exp(logits)                                   (without fused_log_softmax)
/// l    = -log Σ Π p[t, u, label or blank]              over the paths that read all frames and write all labels,
///                                                      and end with a blank
/// loss = reduce(l)
/// ```
///
/// The lengths are slices, because the host needs them to check them; see [`SequenceLoss`].
///
/// - **Shapes**: `logits` `[B, T, U + 1, C]`: frames, labels, classes. `targets` `[B, U]`, padded to one length; U may
///   be 0. Each sequence has one logit length from 1 to T and one target length from 0 to U. The loss is a scalar. With
///   [`Reduction::None`] it is `[B]`.
/// - **Values**: `logits` any; without `fused_log_softmax`, log-probabilities. `targets` integers from 0 to C - 1 other
///   than the blank (not checked). Labels and logits past a sequence's lengths do not count, whatever they are. f16 and
///   bf16 are computed in f32. A sequence without a possible alignment has an infinite loss and a gradient of NaN. The
///   mean of no sequences is NaN.
/// - **Gradients**: to `logits`, computed in forward in closed form. There is no second derivative.
/// - **Defaults**: `blank` -1, the last class; `clamp` none, `fused_log_softmax` true, `reduction` mean, over the
///   sequences.
/// - **Errors**: other shapes; too many, too few, too large or too small lengths; `targets` that are not integers, or
///   on another device; labels out of range on the CPU (on CUDA the check would have to wait for the device); a `blank`
///   that is not a class; a `clamp` that is not positive and finite.
///
/// Source:
/// [`torchaudio.functional.rnnt_loss`](https://docs.pytorch.org/audio/stable/generated/torchaudio.functional.rnnt_loss.html);
/// A. Graves, [*Sequence Transduction with Recurrent Neural Networks*](https://arxiv.org/abs/1211.3711) (2012).
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::{RnntLoss, SequenceLoss};
///
/// // Two frames, one label, two classes that are equally likely.
/// let logits = Tensor::zeros([1, 2, 2, 2], (Kind::Double, Device::Cpu));
/// let targets = Tensor::from_slice2(&[[0i64]]);
/// let loss = RnntLoss::default().forward(&logits, &targets, &[2], &[1]);
/// // The label is written at either frame: two paths, each of the label and two blanks.
/// assert!((loss.double_value(&[]) - 4f64.ln()).abs() < 1e-12);
/// ```
#[doc(alias = "RNNTLoss")]
#[doc(alias = "rnnt_loss")]
#[doc(alias = "TransducerLoss")]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RnntLoss {
    /// The class that reads the next frame. A negative one counts from the end.
    pub blank: i64,
    /// Beyond which magnitude the gradient of a sequence's loss is cut off, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clamp: Option<f64>,
    /// Whether the log-softmax is part of the loss. Without, `logits` are log-probabilities.
    pub fused_log_softmax: bool,
    /// How the sequences are reduced.
    pub reduction: Reduction,
}

impl Default for RnntLoss {
    fn default() -> Self {
        RnntLoss { blank: -1, clamp: None, fused_log_softmax: true, reduction: Reduction::Mean }
    }
}

setters!(RnntLoss {
    with_blank(blank: i64), with_fused_log_softmax(fused_log_softmax: bool), with_reduction(reduction: Reduction);
    with_clamp(clamp: f64)
});

impl SequenceLoss for RnntLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        self.clamp.map_or(Ok(()), |clamp| check::positive("clamp", clamp))
    }

    fn try_forward(
        &self,
        logits: &Tensor,
        targets: &Tensor,
        logit_lengths: &[i64],
        target_lengths: &[i64],
    ) -> Result<Tensor> {
        self.check_options()?;
        let [batch, frames, columns, classes] = sizes(logits)?;
        let blank = self.blank_of(classes)?;
        check_targets(targets, logits, [batch, columns - 1])?;
        let of_frames = (1, frames, "frames of `logits`");
        check_lengths(("logit_lengths", logit_lengths), (INPUTS, batch), of_frames)?;
        let of_labels = (0, columns - 1, "width of `targets`");
        check_lengths(("target_lengths", target_lengths), (INPUTS, batch), of_labels)?;
        if targets.device() == Device::Cpu {
            let starts: Vec<i64> = (0..batch).map(|sequence| sequence * (columns - 1)).collect();
            check_labels(targets, &starts, target_lengths, (INPUTS, classes))?;
        }
        let kind = accumulation_kind(logits.kind());
        let wide = logits.f_to_kind(kind)?;
        if batch == 0 {
            let none = wide.f_sum_dim_intlist([1i64, 2, 3].as_slice(), false, kind)?;
            return reduce(&none, self.reduction, logits.kind());
        }
        let wanted = Wanted::of(logits, None)?;
        let (losses, gradient) = no_grad(|| -> Result<_> {
            let lengths =
                Lengths::new((logit_lengths, frames), (target_lengths, columns - 1), logits.device())?;
            // Beyond their end, labels may be anything.
            let labels = targets.f_to_kind(Kind::Int64)?;
            let labels = labels.f_masked_fill(&lengths.of_labels()?.f_logical_not()?, blank)?;
            let batch = Batch { loss: self, logits: wide.f_detach()?, labels, blank, lengths };
            if wanted != Wanted::InputGradient {
                return Ok((batch.losses()?, None));
            }
            let (losses, gradient) = batch.losses_and_gradient()?;
            for (sequence, (length, labels)) in logit_lengths.iter().zip(target_lengths).enumerate() {
                // The probabilities there may be NaN.
                let own = gradient.f_select(0, sequence as i64)?;
                let _ = own.f_narrow(0, *length, frames - length)?.f_zero_()?;
                let _ = own.f_narrow(1, labels + 1, columns - 1 - labels)?.f_zero_()?;
            }
            Ok((losses, Some(gradient)))
        })?;
        let value = reduce(&losses, self.reduction, kind)?;
        let value = match (gradient, self.reduction) {
            (None, _) => value,
            (Some(gradient), Reduction::None) => with_gradients(&value, &wide, &gradient, 1.0)?,
            (Some(gradient), Reduction::Mean) => with_gradient(&value, &wide, &gradient, 1.0 / batch as f64)?,
            (Some(gradient), _) => with_gradient(&value, &wide, &gradient, 1.0)?,
        };
        Ok(value.f_to_kind(logits.kind())?)
    }
}

impl RnntLoss {
    /// The blank's class.
    fn blank_of(&self, classes: i64) -> Result<i64> {
        match self.blank {
            blank if (0..classes).contains(&blank) => Ok(blank),
            blank if (-classes..0).contains(&blank) => Ok(blank + classes),
            blank => {
                let expected = format!("-{classes} to {}, a class of `logits`", classes - 1);
                Err(Error::Option { option: "blank", given: blank.to_string(), expected })
            }
        }
    }
}

/// `[B, T, U + 1, C]`.
fn sizes(logits: &Tensor) -> Result<[i64; 4]> {
    check::floating("logits", logits)?;
    match logits.size()[..] {
        [batch, frames, columns, classes] if frames > 0 && columns > 0 && classes > 0 => {
            Ok([batch, frames, columns, classes])
        }
        _ => Err(Error::Shape {
            argument: "logits",
            given: logits.size(),
            expected: "[B, T, U + 1, C] with T, U + 1 and C at least 1".into(),
        }),
    }
}

fn check_targets(targets: &Tensor, logits: &Tensor, expected: [i64; 2]) -> Result<()> {
    check::dense("targets", targets)?;
    let given = targets.f_kind()?;
    if !is_integer(given) {
        return Err(Error::Kind { argument: "targets", given, expected: "an integer".into() });
    }
    check::same_device(("logits", logits), ("targets", targets))?;
    if targets.size() != expected {
        let expected = format!("{expected:?}, [B, U] of `logits` [B, T, U + 1, C]");
        return Err(Error::Shape { argument: "targets", given: targets.size(), expected });
    }
    Ok(())
}

/// Sequences and their labels, without a graph.
struct Batch<'a> {
    loss: &'a RnntLoss,
    logits: Tensor,
    /// `[B, U]`, blanks beyond the end.
    labels: Tensor,
    blank: i64,
    lengths: Lengths,
}

impl Batch<'_> {
    /// The sequences to work on at a time: start and length of each piece.
    fn pieces(&self) -> impl Iterator<Item = (i64, i64)> {
        let batch = self.logits.size()[0];
        pieces(batch, at_once(self.logits.device(), self.logits.numel() as i64 / batch, PER_THREAD))
    }

    /// The labels of some sequences, as an index of their `[B, T, U, C]`.
    fn index(&self, (start, length): (i64, i64)) -> Result<Tensor> {
        let [_, frames, columns, _] = self.size();
        let labels =
            self.labels.f_narrow(0, start, length)?.f_view([length, 1, columns - 1, 1].as_slice())?;
        Ok(labels.f_expand([length, frames, columns - 1, 1].as_slice(), false)?)
    }

    fn size(&self) -> [i64; 4] {
        let size = self.logits.size();
        [size[0], size[1], size[2], size[3]]
    }

    /// The log-probabilities of blanks and labels at all nodes. `normalizers` gives what has to be subtracted from the
    /// logits of a piece, `[B, T, U + 1, 1]`.
    fn lattice(&self, normalizers: impl Fn(&Tensor, (i64, i64)) -> Result<Tensor>) -> Result<Lattice<'_>> {
        let (mut blanks, mut labels) = (Vec::new(), Vec::new());
        for piece in self.pieces() {
            let logits = self.logits.f_narrow(0, piece.0, piece.1)?;
            let next = logits.f_narrow(2, 0, self.size()[2] - 1)?.f_gather(-1, &self.index(piece)?, false)?;
            let (next, blank) = (next.f_squeeze_dim(-1)?, logits.f_select(-1, self.blank)?);
            let (blank, next) = match self.loss.fused_log_softmax {
                true => {
                    let normalizers = normalizers(&logits, piece)?.f_squeeze_dim(-1)?;
                    let of_labels = normalizers.f_narrow(2, 0, self.size()[2] - 1)?;
                    (blank.f_sub(&normalizers)?, next.f_sub(&of_labels)?)
                }
                false => (blank, next),
            };
            blanks.push(blank);
            labels.push(next);
        }
        Lattice::new(&self.lengths, &Tensor::f_cat(&blanks, 0)?, &Tensor::f_cat(&labels, 0)?)
    }

    /// `[B]`.
    fn losses(&self) -> Result<Tensor> {
        let lattice = self.lattice(|logits, _| Ok(logits.f_logsumexp([-1i64].as_slice(), true)?))?;
        Ok(lattice.log_probability()?.f_neg()?)
    }

    /// `[B]`, and the gradient of each with respect to its logits.
    fn losses_and_gradient(&self) -> Result<(Tensor, Tensor)> {
        // The probabilities, and then the gradient.
        let gradient = Tensor::f_zeros(self.size().as_slice(), (self.logits.kind(), self.logits.device()))?;
        let lattice = self.lattice(|logits, (start, length)| {
            let probabilities = gradient.f_narrow(0, start, length)?;
            let _ = logits.f_internal_softmax_out(&probabilities, -1, false)?;
            // The largest class has a probability that is never too small for a logarithm.
            let largest = probabilities.f_amax([-1i64].as_slice(), true)?.f_log_()?;
            Ok(logits.f_amax([-1i64].as_slice(), true)?.f_sub_(&largest)?)
        })?;
        let Occupancy { log_probability, blanks, labels } = lattice.occupancy()?;
        let columns = self.size()[2];
        for piece in self.pieces() {
            let part = |tensor: &Tensor| tensor.f_narrow(0, piece.0, piece.1);
            let (mut gradient, blanks, labels) = (part(&gradient)?, part(&blanks)?, part(&labels)?);
            if self.loss.fused_log_softmax {
                // How often an alignment is at the node.
                let visits = labels.f_constant_pad_nd([0i64, 1].as_slice())?.f_add_(&blanks)?;
                let _ = gradient.f_mul_(&visits.f_unsqueeze(-1)?)?;
            }
            let _ = gradient.f_select(-1, self.blank)?.f_sub_(&blanks)?;
            let mut before_last = gradient.f_narrow(2, 0, columns - 1)?;
            let _ = before_last.f_scatter_add_(-1, &self.index(piece)?, &labels.f_unsqueeze(-1)?.f_neg()?)?;
            if let Some(clamp) = self.loss.clamp {
                let _ = gradient.f_clamp_(-clamp, clamp)?;
            }
        }
        Ok((log_probability.f_neg()?, gradient))
    }
}
