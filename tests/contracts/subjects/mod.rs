//! The losses, each with arguments that it takes.

mod classes;
mod images;
mod rankings;
mod values;

use tch::{Kind, Tensor};
use tch_losses::{Loss, Reduction};

use crate::common::{device, epsilon};

pub struct Argument {
    pub name: &'static str,
    pub tensor: Tensor,
    pub differentiable: bool,
}

/// An argument with a gradient.
fn variable(name: &'static str, tensor: Tensor) -> Argument {
    Argument { name, tensor, differentiable: true }
}

fn constant(name: &'static str, tensor: Tensor) -> Argument {
    Argument { name, tensor, differentiable: false }
}

type Function = Box<dyn Fn(&[Tensor], Reduction) -> Tensor>;

pub struct Subject {
    /// PyTorch's name, where it has the loss.
    pub loss: &'static str,
    /// The same with the variant.
    pub name: String,
    pub arguments: Vec<Argument>,
    pub reductions: &'static [Reduction],
    pub call: Function,
    /// Whether equal numbers side by side put it on a kink, where rounding chooses the gradient.
    pub has_kinks: bool,
    /// A bound for the rounding, in units of the kind's epsilon.
    roundings: f64,
}

const ALL: &[Reduction] = &[Reduction::Mean, Reduction::Sum, Reduction::None];
const SCALAR: &[Reduction] = &[Reduction::Mean, Reduction::Sum];
const MEAN: &[Reduction] = &[Reduction::Mean];

impl Subject {
    fn new(
        loss: &'static str,
        variant: &str,
        arguments: Vec<Argument>,
        call: impl Fn(&[Tensor], Reduction) -> Tensor + 'static,
    ) -> Subject {
        let name = format!("{loss} {variant}");
        // In another layout sums run in another order. A sum of n terms is off by at most n / 2 epsilons of
        // the sum of their magnitudes, which is here some times the magnitude of the result at most; and
        // n is 120 at most.
        let roundings = 1024.0;
        Subject { loss, name, arguments, reductions: ALL, call: Box::new(call), has_kinks: false, roundings }
    }

    pub fn tolerance(&self, kind: Kind) -> f64 {
        self.roundings * epsilon(kind)
    }
}

fn integers(values: &[i64], shape: &[i64]) -> Tensor {
    Tensor::from_slice(values).view(shape).to_device(device())
}

/// A subject for the map of a loss on images.
fn map(loss: &'static str, (input, target): (Argument, Argument), of: impl Loss + 'static) -> Subject {
    let call = move |x: &[Tensor], _| of.loss_map(&x[0], &x[1]).unwrap();
    let arguments = vec![input, target];
    Subject { reductions: &[Reduction::None], ..Subject::new(loss, "map", arguments, call) }
}

/// A subject for a loss of two tensors.
fn pair<L: Loss + 'static>(
    loss: &'static str,
    variant: &str,
    (input, target): (Argument, Argument),
    build: impl Fn(Reduction) -> L + 'static,
) -> Subject {
    Subject::new(loss, variant, vec![input, target], move |x, reduction| {
        build(reduction).forward(&x[0], &x[1])
    })
}

pub fn subjects(kind: Kind) -> Vec<Subject> {
    let families = [
        values::values(kind),
        values::distributions(kind),
        classes::classes(kind),
        classes::linear(kind),
        rankings::rankings(kind),
        rankings::sequences(kind),
        images::images(kind),
    ];
    families.into_iter().flatten().collect()
}
