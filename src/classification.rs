//! Losses on classes: [`BceWithLogitsLoss`].

use tch::{Reduction, Tensor};

use crate::reduce::channel_mean;
use crate::{check, Error, Loss, LossMap, Result};

/// Binary cross entropy of logits, the original GAN loss: sigmoid and cross entropy in one, stable for any
/// logit.
///
/// ```text
/// l    = -w * (p * y * log σ(x) + (1 - y) * log(1 - σ(x)))      x = input, y = target
/// loss = reduce(l)
/// ```
///
/// `w` is [`weight`](Self::weight) and `p` [`pos_weight`](Self::pos_weight), both 1 unless given. For a
/// discriminator, `input` holds its raw outputs (one per image, or a PatchGAN's map of them) and `target`
/// ones for real and zeros for fake.
///
/// - **Shapes**: `input` and `target` any, equal; the loss is a scalar, or of that shape with
///   [`Reduction::None`].
/// - **Values**: `input` any logits; `target` probabilities in `[0, 1]`, not checked, as in PyTorch.
/// - **Defaults**: no weights, `reduction` mean.
/// - **Errors**: arguments that differ in shape, kind or device; weights that are on another device or do
///   not broadcast to the shape of `input`.
///
/// Source:
/// [`torch.nn.BCEWithLogitsLoss`](https://pytorch.org/docs/stable/generated/torch.nn.BCEWithLogitsLoss.html);
/// I. Goodfellow et al., *Generative adversarial nets* (2014).
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::{BceWithLogitsLoss, Loss};
///
/// let bce = BceWithLogitsLoss::default();
/// let logits = Tensor::zeros([4, 1, 30, 30], (Kind::Float, Device::Cpu));
/// // A discriminator that cannot tell: log 2, whatever the truth.
/// let real = bce.forward(&logits, &logits.ones_like());
/// let fake = bce.forward(&logits, &logits.zeros_like());
/// assert!((real - 2f64.ln()).abs().double_value(&[]) < 1e-6);
/// assert!((fake - 2f64.ln()).abs().double_value(&[]) < 1e-6);
/// ```
#[doc(alias = "BCEWithLogitsLoss")]
#[derive(Debug)]
pub struct BceWithLogitsLoss {
    /// The weight of each element, of any real kind; broadcast to the shape of `input`.
    pub weight: Option<Tensor>,
    /// The weight of the positive class, for instance negatives over positives where positives are rare, of
    /// any real kind; broadcast to the shape of `input`, its last axis being the classes.
    pub pos_weight: Option<Tensor>,
    /// How the elements are reduced.
    pub reduction: Reduction,
}

impl Default for BceWithLogitsLoss {
    fn default() -> Self {
        BceWithLogitsLoss { weight: None, pos_weight: None, reduction: Reduction::Mean }
    }
}

impl BceWithLogitsLoss {
    fn reduced(&self, input: &Tensor, target: &Tensor, reduction: Reduction) -> Result<Tensor> {
        check::pair(input, target)?;
        check_weight("weight", self.weight.as_ref(), input)?;
        check_weight("pos_weight", self.pos_weight.as_ref(), input)?;
        Ok(input.f_binary_cross_entropy_with_logits(
            target,
            self.weight.as_ref(),
            self.pos_weight.as_ref(),
            reduction,
        )?)
    }
}

impl Loss for BceWithLogitsLoss {
    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        check::reduction(self.reduction)?;
        self.reduced(input, target, self.reduction)
    }
}

impl LossMap for BceWithLogitsLoss {
    fn loss_map(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        check::reduction(self.reduction)?;
        check::image_pair(input, target)?;
        let elements = self.reduced(input, target, Reduction::None)?;
        Ok(channel_mean(&elements)?.f_to_kind(input.kind())?)
    }
}

fn check_weight(argument: &'static str, weight: Option<&Tensor>, input: &Tensor) -> Result<()> {
    let Some(weight) = weight else { return Ok(()) };
    check::dense(argument, weight)?;
    let given = weight.f_kind()?;
    if !check::is_floating(given) && !check::is_integer(given) {
        let expected = format!("{} or an integer", check::FLOATING);
        return Err(Error::Kind { argument, given, expected });
    }
    if weight.device() != input.device() {
        let expected = format!("{:?}, the device of `input`", input.device());
        return Err(Error::Device { argument, given: weight.device(), expected });
    }
    let (given, shape) = (weight.size(), input.size());
    let mut aligned = given.iter().rev().zip(shape.iter().rev());
    if given.len() > shape.len() || !aligned.all(|(own, of_input)| own == of_input || *own == 1) {
        let expected = format!("a shape that broadcasts to {shape:?}, the shape of `input`");
        return Err(Error::Shape { argument, given, expected });
    }
    Ok(())
}
