//! [`input_gradient`].

use tch::Tensor;

use crate::base::check;
use crate::base::gradient::{gradient_of, is_tracked};
use crate::{Error, Result};

/// The gradient of a discriminator's outputs with respect to its input, with a graph: what gradient penalties are
/// made of.
///
/// ```text
/// gradient = d Σ discriminator(points) / d points
/// ```
///
/// The discriminator is a function of a tensor. It may hold more, such as the condition of the images. A discriminator
/// that gives several tensors returns what belongs into the sum, for instance the sum of them all.
///
/// - **Shapes**: points and outputs of any. The gradient has the shape of the points.
/// - **Values**: any, of floating kinds. The gradient has the kind of the points.
/// - **Gradients**: to whatever the discriminator computes with, such as its parameters, of any order. `points` is a
///   constant: nothing flows to the network that made it. It is not modified.
/// - **Errors**: points or outputs that are not floating; outputs that do not depend on the points; gradients that are
///   disabled by [`no_grad`](tch::no_grad).
///
/// The outputs for an image must not depend on the other images of the batch: with a batch norm, the gradient is one of
/// all images. Instance norm and layer norm are fine.
///
/// ```
/// use tch::Tensor;
/// use tch_losses::input_gradient;
///
/// let weight = Tensor::from_slice(&[3.0, -1.0]).set_requires_grad(true);
/// let points = Tensor::from_slice2(&[[1.0, 2.0], [0.0, 1.0]]);
/// let gradient = input_gradient(|x| x.square().matmul(&weight), &points)?;
/// assert_eq!(gradient, Tensor::from_slice2(&[[6.0, -4.0], [0.0, -2.0]]));
/// // A penalty on it reaches the weight.
/// gradient.square().sum(None).backward();
/// assert_eq!(weight.grad(), Tensor::from_slice(&[4.0 * 6.0, 8.0 * -4.0 + 4.0 * -2.0]));
/// # Ok::<(), tch_losses::Error>(())
/// ```
///
/// A function that hands its outputs out spares a pass: those of the real images serve the loss as well.
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::{input_gradient, GanLoss, R1Penalty, UnaryLoss};
///
/// let weight = Tensor::rand([3, 1], (Kind::Float, Device::Cpu)).set_requires_grad(true);
/// let discriminator = |x: &Tensor| x.matmul(&weight).tanh();
/// let [real, fake] = [0, 1].map(|_| Tensor::rand([4, 3], (Kind::Float, Device::Cpu)));
///
/// let mut of_real = Tensor::new();
/// let gradient = input_gradient(
///     |x| {
///         of_real = discriminator(x);
///         of_real.shallow_clone()
///     },
///     &real,
/// )?;
/// let loss = GanLoss::stylegan2().discriminator(&of_real, &discriminator(&fake));
/// (loss + R1Penalty::stylegan2().forward(&gradient) * 10.0).backward();
/// # Ok::<(), tch_losses::Error>(())
/// ```
///
/// # Errors
/// See above: an [`Error`] that names the argument.
pub fn input_gradient(discriminator: impl FnOnce(&Tensor) -> Tensor, points: &Tensor) -> Result<Tensor> {
    check::floating("points", points)?;
    let points = points.f_detach()?.f_set_requires_grad(true)?;
    if !is_tracked(&points)? {
        let reason = "gradients are disabled (`no_grad`)";
        return Err(Error::NoGradient { of: "outputs", by: "points", reason });
    }
    let outputs = discriminator(&points);
    check::floating("outputs", &outputs)?;
    gradient_of(("outputs", &outputs), ("points", &points), true)
}
