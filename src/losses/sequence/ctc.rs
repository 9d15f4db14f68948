//! [`CtcLoss`].

use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

use super::lengths::{check_labels, check_lengths};
use crate::base::precision::{accumulation_kind, is_integer};
use crate::base::{check, setters};
use crate::{Error, Reduction, Result, SequenceLoss};

/// The argument that has the sequences.
const INPUTS: &str = "log_probs";

/// The negative log-probability of a short sequence of labels, given a long sequence of predictions, over all
/// alignments.
///
/// Connectionist temporal classification is for speech and handwriting, where nobody says which frame shows
/// which letter.
///
/// ```text
/// l    = -log Σ Π p[t, path[t]]      over the paths that become the target when repeated labels are
///                                    merged and then blanks are left out; p = exp(log_probs)
/// loss = reduce(l)                   mean: of l / max(1, target length) over the batch
/// ```
///
/// The lengths are slices, because libtorch needs them on the host; see [`SequenceLoss`].
///
/// - **Shapes**: `log_probs` `[T, N, C]`, or `[T, C]` for one sequence. `targets` `[N, S]`, padded to one
///   length, or one dimension with all targets one after the other. Each sequence has one input length up to
///   T and one target length. Target lengths are up to S, or add up to the length of concatenated `targets`.
///   The loss is a scalar. With [`Reduction::None`] it is `[N]`, or a scalar without a batch.
/// - **Values**: `log_probs` from a log-softmax over C. `targets` integers from 0 to C - 1 other than the
///   blank (not checked, as in PyTorch). Labels past a target's length do not count. A target that is too
///   long for its input (repeated labels need a blank between them) has an infinite loss, and a gradient of
///   NaN before the log-softmax, unless [`zero_infinity`](Self::zero_infinity) is set.
/// - **Gradients**: to `log_probs`, assuming a log-softmax before it. By itself the gradient differs from the
///   slope by a part that the log-softmax cancels. There is no second derivative.
/// - **Defaults**: `blank` 0, no `zero_infinity`, `reduction` mean.
/// - **Errors**: other shapes; an empty `log_probs`; too many, too few, too large or negative lengths;
///   `targets` that are not integers, or are neither on the CPU nor on the device of `log_probs`; `targets`
///   out of range on the CPU (on CUDA the check would have to wait for the device); a `blank` that is not a
///   class.
///
/// Half and BFloat16 are computed in f32. On CUDA cuDNN takes over under the conditions that PyTorch's page
/// names.
///
/// Source: [`torch.nn.CTCLoss`](https://pytorch.org/docs/stable/generated/torch.nn.CTCLoss.html); A. Graves
/// et al., *Connectionist temporal classification: labelling unsegmented sequence data with recurrent neural
/// networks* (2006).
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::{CtcLoss, SequenceLoss};
///
/// // Two frames, two classes beside the blank, all equally likely.
/// let log_probs = Tensor::zeros([2, 1, 3], (Kind::Double, Device::Cpu)).log_softmax(-1, None);
/// let targets = Tensor::from_slice2(&[[1i64]]);
/// let loss = CtcLoss::default().forward(&log_probs, &targets, &[2], &[1]);
/// // Three of the nine paths read as "1": "1_", "_1" and "11".
/// assert!((loss.double_value(&[]) - 3f64.ln()).abs() < 1e-12);
/// ```
#[doc(alias = "CTCLoss")]
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CtcLoss {
    /// The class that stands for no label.
    pub blank: i64,
    /// How the sequences are reduced.
    pub reduction: Reduction,
    /// Whether infinite losses and their gradients become 0.
    pub zero_infinity: bool,
}

setters!(CtcLoss {
    with_blank(blank: i64), with_reduction(reduction: Reduction), with_zero_infinity(zero_infinity: bool)
});

impl SequenceLoss for CtcLoss {
    fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        if self.blank < 0 {
            let expected = "0 or more, a class of `log_probs`".into();
            return Err(Error::Option { option: "blank", given: self.blank.to_string(), expected });
        }
        Ok(())
    }

    fn try_forward(
        &self,
        log_probs: &Tensor,
        targets: &Tensor,
        input_lengths: &[i64],
        target_lengths: &[i64],
    ) -> Result<Tensor> {
        self.check_options()?;
        let (frames, sequences, classes) = sizes(log_probs)?;
        if !(0..classes).contains(&self.blank) {
            let expected = format!("0 to {}, a class of `log_probs`", classes - 1);
            return Err(Error::Option { option: "blank", given: self.blank.to_string(), expected });
        }
        check_lengths(
            ("input_lengths", input_lengths),
            (INPUTS, sequences),
            (0, frames, "frames of `log_probs`"),
        )?;
        check_kind_and_device(targets, log_probs)?;
        let starts = starts(targets, target_lengths, sequences)?;
        if targets.device() == Device::Cpu {
            check_labels(targets, &starts, target_lengths, (INPUTS, classes))?;
        }
        let loss = Tensor::f_ctc_loss(
            // libtorch has no kernels for reduced precision.
            &log_probs.f_to_kind(accumulation_kind(log_probs.kind()))?,
            // libtorch ignores the stride of targets in one dimension.
            &targets.f_contiguous()?,
            input_lengths,
            target_lengths,
            self.blank,
            self.reduction.torch(),
            self.zero_infinity,
        )?;
        Ok(loss.f_to_kind(log_probs.kind())?)
    }
}

/// The frames, sequences and classes of `log_probs`.
fn sizes(log_probs: &Tensor) -> Result<(i64, i64, i64)> {
    check::floating("log_probs", log_probs)?;
    match log_probs.size()[..] {
        [frames, classes] if frames > 0 && classes > 0 => Ok((frames, 1, classes)),
        [frames, sequences, classes] if frames > 0 && sequences > 0 && classes > 0 => {
            Ok((frames, sequences, classes))
        }
        _ => Err(Error::Shape {
            argument: "log_probs",
            given: log_probs.size(),
            expected: "[T, N, C] or [T, C] with every size at least 1".into(),
        }),
    }
}

fn check_kind_and_device(targets: &Tensor, log_probs: &Tensor) -> Result<()> {
    check::dense("targets", targets)?;
    let given = targets.f_kind()?;
    if !is_integer(given) {
        return Err(Error::Kind { argument: "targets", given, expected: "an integer".into() });
    }
    // libtorch takes them to the device of `log_probs`; from CUDA to the CPU it would have to wait.
    let given = targets.device();
    if given != Device::Cpu && given != log_probs.device() {
        let expected = format!("{:?}, the device of `log_probs`, or Cpu", log_probs.device());
        return Err(Error::Device { argument: "targets", given, expected });
    }
    Ok(())
}

/// Where in the flattened `targets` each sequence has its own.
fn starts(targets: &Tensor, lengths: &[i64], sequences: i64) -> Result<Vec<i64>> {
    let given = targets.size();
    match given[..] {
        [all] => {
            check_lengths(("target_lengths", lengths), (INPUTS, sequences), (0, all, "labels in `targets`"))?;
            let mut end = 0i64;
            let starts = lengths.iter().map(|length| {
                let start = end;
                end = end.saturating_add(*length);
                start
            });
            let starts = starts.collect();
            if end != all {
                let expected = format!("[{end}], the sum of `target_lengths`");
                return Err(Error::Shape { argument: "targets", given, expected });
            }
            Ok(starts)
        }
        [rows, width] if rows == sequences => {
            check_lengths(
                ("target_lengths", lengths),
                (INPUTS, sequences),
                (0, width, "width of `targets`"),
            )?;
            Ok((0..rows).map(|row| row * width).collect())
        }
        _ => {
            let expected = format!("[{sequences}, S], or one dimension with all targets");
            Err(Error::Shape { argument: "targets", given, expected })
        }
    }
}
