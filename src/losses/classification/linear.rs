//! The last layer of a classifier and its cross entropy in one: [`LinearCrossEntropyLoss`].

use tch::{nn, Kind, Tensor};

use super::{class_weight, linear_layer, LinearCrossEntropyConfig};
use crate::base::check;
use crate::base::precision::{accumulation_kind, is_floating};
use crate::{CrossEntropyLoss, Error, Loss, Reduction, Result, WeightTensor};

/// A classifier's last layer and its [`CrossEntropyLoss`] in one, without all logits in memory at once.
///
/// ```text
/// loss = cross_entropy(input · weightᵀ + bias, target)
/// ```
///
/// With many classes (the vocabulary of a language model), the logits `[N, C]` and their gradient are by far
/// the largest tensors of a training step. With [`chunking`](LinearCrossEntropyConfig::chunking) the batch
/// goes through in pieces: forward computes the gradients along with the value, and keeps only these.
/// [`AdaptiveLogSoftmaxWithLoss`](crate::AdaptiveLogSoftmaxWithLoss) is another model, which saves work as
/// well.
///
/// - **Shapes**: `input` `[in_features]` or `[N, in_features]`. `target` and the loss are those of
///   [`CrossEntropyLoss`] for logits `[C]` or `[N, C, d1, ..., dK]`. `out_features` needs the axis `N`.
/// - **Values**: as in [`CrossEntropyLoss`].
/// - **Parameters**: `linear.weight` `[C · d1 · ... · dK, in_features]` and `linear.bias` in the variable
///   store, with PyTorch's names and initial distributions.
///   [`Objective::build_in`](crate::manager::Objective::build_in) makes them from a file.
/// - **Defaults**: those of [`LinearCrossEntropyConfig`].
/// - **Errors**: as in [`CrossEntropyLoss`]; an `input` whose features, kind or device are not the layer's;
///   chunking with [`Reduction::None`] where a gradient is needed, because forward does not know its scale.
///
/// Chunking differs from computing all at once:
///
/// - Gradients of gradients (a penalty on the gradient's norm) come out as if the loss were linear.
/// - Half and BFloat16 are computed in f32, even for a single row.
/// - If `target` or the `weight` of the classes needs a gradient, all logits are computed at once.
///
/// Source:
/// [`torch.nn.LinearCrossEntropyLoss`](https://pytorch.org/docs/stable/generated/torch.nn.LinearCrossEntropyLoss.html);
/// the idea: E. Wijmans et al., [*Cut your losses in large-vocabulary language
/// models*](https://arxiv.org/abs/2411.09009) (2024).
///
/// ```
/// use tch::{nn, Device, Kind, Tensor};
/// use tch_losses::{Chunking, LinearCrossEntropyConfig, LinearCrossEntropyLoss, Loss};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let config = LinearCrossEntropyConfig::new(16, 1000).with_chunking(Chunking::Auto);
/// let head = LinearCrossEntropyLoss::new(&vs.root(), config)?;
///
/// let hidden = Tensor::rand([64, 16], (Kind::Float, Device::Cpu)).set_requires_grad(true);
/// let words = Tensor::randint(1000, [64], (Kind::Int64, Device::Cpu));
/// head.forward(&hidden, &words).backward();
/// assert_eq!(vs.variables()["linear.weight"].grad().size(), [1000, 16]);
/// # Ok::<(), tch_losses::Error>(())
/// ```
#[derive(Debug)]
pub struct LinearCrossEntropyLoss {
    /// The layer.
    pub linear: nn::Linear,
    config: LinearCrossEntropyConfig,
}

impl LinearCrossEntropyLoss {
    /// A loss with new parameters in a variable store, random as PyTorch's: uniform within `1 /
    /// √in_features`.
    ///
    /// # Errors
    /// Options out of their range; class weights that are not `[num_classes]`.
    ///
    /// # Panics
    /// When memory runs out or the store's kind is not floating, as tch's own layers do.
    pub fn new(vs: &nn::Path, config: LinearCrossEntropyConfig) -> Result<LinearCrossEntropyLoss> {
        config.check()?;
        let linear = linear_layer(&(vs / "linear"), config.in_features, config.outputs()?, config.bias);
        Ok(LinearCrossEntropyLoss { linear, config })
    }

    /// The loss of logits.
    fn criterion(&self, reduction: Reduction) -> CrossEntropyLoss {
        CrossEntropyLoss {
            weight: self.config.weight.clone(),
            ignore_index: self.config.ignore_index.unwrap_or(-100),
            label_smoothing: self.config.label_smoothing,
            reduction,
        }
    }

    /// The logits with the classes on their axis: `[C]` or `[N, C, d1, ..., dK]`.
    fn arranged(&self, logits: &Tensor) -> Result<Tensor> {
        if self.config.out_features.is_empty() {
            return Ok(logits.shallow_clone());
        }
        let shape =
            [&[logits.size()[0], self.config.num_classes], self.config.out_features.as_slice()].concat();
        Ok(logits.f_reshape(shape)?)
    }

    fn check(&self, input: &Tensor, target: &Tensor) -> Result<()> {
        let weight = &self.linear.ws;
        check::partners(("linear.weight", weight), ("input", input))?;
        let (given, features) = (input.size(), weight.size()[1]);
        let single = given.len() == 1 && self.config.out_features.is_empty();
        if !(single || given.len() == 2) || given.last() != Some(&features) {
            let expected = match self.config.out_features.is_empty() {
                true => format!("[{features}] or [N, {features}]"),
                false => format!("[N, {features}]"),
            };
            return Err(Error::Shape { argument: "input", given, expected });
        }
        check::dense("target", target)?;
        if let (Some(index), true) = (self.config.ignore_index, is_floating(target.f_kind()?)) {
            return Err(Error::Option {
                option: "ignore_index",
                given: index.to_string(),
                expected: "None, for `target` holds probabilities, not classes".into(),
            });
        }
        // The shape of the logits, without their values.
        let shape = match single {
            true => vec![self.config.num_classes],
            false => [&[given[0], self.config.num_classes], self.config.out_features.as_slice()].concat(),
        };
        CrossEntropyLoss::check_target(&shape, input, target)
    }

    /// The loss with the logits of all rows at once, computed in `kind`.
    fn at_once(&self, input: &Tensor, target: &Tensor, kind: Kind) -> Result<Tensor> {
        let cast = |tensor: &Tensor| tensor.f_to_kind(kind);
        let bias = self.linear.bs.as_ref().map(cast).transpose()?;
        let logits = cast(input)?.f_linear(&cast(&self.linear.ws)?, bias.as_ref())?;
        let criterion = self.criterion(self.config.reduction);
        let target = if is_floating(target.kind()) { cast(target)? } else { target.shallow_clone() };
        Ok(criterion.try_forward(&self.arranged(&logits)?, &target)?.f_to_kind(input.kind())?)
    }

    /// The loss with the logits of `rows` rows at a time.
    fn by_rows(&self, input: &Tensor, target: &Tensor, rows: i64) -> Result<Tensor> {
        let kind = accumulation_kind(input.kind());
        let constant = |tensor: &Tensor| -> Result<Tensor> { Ok(tensor.f_detach()?.f_to_kind(kind)?) };
        let nn::Linear { ws: weight, bs: bias } = &self.linear;
        let (fixed_weight, fixed_bias) = (constant(weight)?, bias.as_ref().map(constant).transpose()?);
        let of_input = Gradient::of(input, kind)?;
        let mut of_weight = Gradient::of(weight, kind)?;
        let mut of_bias = bias.as_ref().map(|bias| Gradient::of(bias, kind)).transpose()?.flatten();
        let differentiable = of_input.is_some() || of_weight.is_some() || of_bias.is_some();
        let by_place = self.config.reduction == Reduction::None;
        if by_place && differentiable {
            return Err(Error::Option {
                option: "chunking",
                given: format!("{:?}", self.config.chunking),
                expected: "Off, for with the reduction None the gradients' scale is not known in forward"
                    .into(),
            });
        }

        let criterion = self.criterion(if by_place { Reduction::None } else { Reduction::Sum });
        let divisor = match self.config.reduction {
            Reduction::Mean if is_floating(target.kind()) => {
                let places = target.numel() as f64 / self.config.num_classes as f64;
                Some(Tensor::f_full([0i64; 0].as_slice(), places, (kind, target.device()))?)
            }
            Reduction::Mean => {
                let weight =
                    class_weight(self.config.weight.as_ref(), &fixed_weight, self.config.num_classes)?;
                Some(criterion.sum_of_weights(weight.as_ref(), target, kind)?)
            }
            _ => None,
        };
        // Written in place: small results of each piece, kept, would split the memory that the next one
        // needs.
        let batch = input.size()[0];
        let places = [&[batch], self.config.out_features.as_slice()].concat();
        let shape = if by_place { places.as_slice() } else { &[] };
        let mut result = Tensor::f_zeros(shape, (kind, input.device()))?;
        for start in (0..batch).step_by(rows as usize) {
            let length = rows.min(batch - start);
            let part = constant(&input.f_narrow(0, start, length)?)?;
            let target = target.f_narrow(0, start, length)?;
            let target = if is_floating(target.kind()) { target.f_to_kind(kind)? } else { target };
            let logits =
                part.f_linear(&fixed_weight, fixed_bias.as_ref())?.f_set_requires_grad(differentiable)?;
            let mut value = criterion.try_forward(&self.arranged(&logits)?, &target)?;
            if let Some(divisor) = &divisor {
                value = value.f_div(divisor)?;
            }
            if differentiable {
                let to_logits = Tensor::f_run_backward(&[&value], &[&logits], false, false)?.remove(0);
                if let Some(Gradient(gradient)) = &of_input {
                    gradient.f_narrow(0, start, length)?.f_copy_(&to_logits.f_mm(&fixed_weight)?)?;
                }
                if let Some(Gradient(gradient)) = &mut of_weight {
                    let _ = gradient.f_addmm_(&to_logits.f_tr()?, &part)?;
                }
                if let Some(Gradient(gradient)) = &mut of_bias {
                    let _ =
                        gradient.f_add_(&to_logits.f_sum_dim_intlist([0i64].as_slice(), false, None)?)?;
                }
            }
            if by_place {
                result.f_narrow(0, start, length)?.f_copy_(&value)?;
            } else {
                let _ = result.f_add_(&value.f_detach()?)?;
            }
        }
        let mut loss = result;
        for (tensor, gradient) in
            [(Some(input), of_input), (Some(weight), of_weight), (bias.as_ref(), of_bias)]
        {
            if let (Some(tensor), Some(gradient)) = (tensor, gradient) {
                loss = loss.f_add(&gradient.carrier(tensor)?)?;
            }
        }
        Ok(loss.f_to_kind(input.kind())?)
    }
}

/// The gradient of the loss with respect to one tensor, as forward collects it.
struct Gradient(Tensor);

impl Gradient {
    /// Zeros, where the tensor needs a gradient.
    fn of(tensor: &Tensor, kind: Kind) -> Result<Option<Gradient>> {
        // The result of an operation has a gradient only if the caller is not in `no_grad`.
        if !tensor.requires_grad() || !tensor.f_narrow(0, 0, 0)?.f_neg()?.requires_grad() {
            return Ok(None);
        }
        Ok(Some(Gradient(Tensor::f_zeros(tensor.size(), (kind, tensor.device()))?)))
    }

    /// A scalar with this gradient with respect to `tensor`, and of value 0.
    fn carrier(&self, tensor: &Tensor) -> Result<Tensor> {
        let Gradient(gradient) = self;
        let flat = tensor.f_to_kind(gradient.kind())?.f_flatten(0, -1)?;
        let product = flat.f_dot(&gradient.f_flatten(0, -1)?)?;
        Ok(product.f_sub(&product.f_detach()?)?)
    }
}

impl Loss for LinearCrossEntropyLoss {
    fn check_options(&self) -> Result<()> {
        self.config.check()
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check(input, target)?;
        let classes = self.linear.ws.size()[0];
        let of_weight = self.config.weight.as_ref().is_some_and(WeightTensor::requires_grad);
        match self.config.chunking.rows(input, classes) {
            Some(rows)
                if input.dim() == 2 && input.size()[0] > 0 && !target.requires_grad() && !of_weight =>
            {
                self.by_rows(input, target, rows)
            }
            // With chunking, reduced precision is computed in f32, whether there are several pieces or not.
            Some(_) => self.at_once(input, target, accumulation_kind(input.kind())),
            None => self.at_once(input, target, input.kind()),
        }
    }
}
