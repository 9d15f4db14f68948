//! The traits that the losses share.

use std::fmt::Debug;

use tch::Tensor;

use crate::Result;

/// A loss of two tensors, as a PyTorch `nn.Module` with `forward(input, target)`.
///
/// For image losses the order is `(fake, real)`. The device and the kind of the result follow `input`.
/// Gradients flow to both arguments, labels excepted, and neither is modified.
///
/// The trait is object safe, so that a trainer can keep its losses in a list:
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::{L1Loss, Laplacian, Loss, Sobel};
///
/// let objective: Vec<(f64, Box<dyn Loss>)> = vec![
///     (100.0, Box::new(L1Loss::default())),
///     (10.0, Box::new(Sobel::default())),
///     (10.0, Box::new(Laplacian::default())),
/// ];
/// let fake = Tensor::rand([1, 3, 16, 16], (Kind::Float, Device::Cpu)).set_requires_grad(true);
/// let real = Tensor::rand([1, 3, 16, 16], (Kind::Float, Device::Cpu));
/// let total: Tensor = objective.iter().map(|(weight, loss)| *weight * loss.forward(&fake, &real)).sum();
/// total.backward();
/// assert!(fake.grad().abs().sum(Kind::Float).double_value(&[]) > 0.0);
/// ```
pub trait Loss: Debug + Send {
    /// The loss of `input` against `target`.
    ///
    /// # Errors
    /// An argument that the loss does not accept gives the [`Error`](crate::Error) that names it.
    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor>;

    /// The loss of `input` against `target`, in the manner of tch's own operations.
    ///
    /// # Panics
    /// Where [`try_forward`](Loss::try_forward) returns an error, with the error's message.
    #[track_caller]
    fn forward(&self, input: &Tensor, target: &Tensor) -> Tensor {
        or_panic(self.try_forward(input, target))
    }

    /// This loss as one that can show where in the image it comes from, where it can: the way from a `dyn
    /// Loss`, as the [`LossManager`](crate::manager::LossManager) holds it, to its maps. Types that implement
    /// [`LossMap`] return `Some(self)`.
    fn as_loss_map(&self) -> Option<&dyn LossMap> {
        None
    }
}

/// What a `forward` makes of the result of its `try_forward`.
#[track_caller]
pub(crate) fn or_panic(result: Result<Tensor>) -> Tensor {
    match result {
        Ok(loss) => loss,
        Err(error) => panic!("{error}"),
    }
}

/// An image loss that can show where in the image it comes from.
///
/// ```
/// use tch::{Device, Kind, Reduction, Tensor};
/// use tch_losses::{Loss, LossMap, Sobel};
///
/// let fake = Tensor::rand([2, 3, 16, 16], (Kind::Double, Device::Cpu));
/// let real = Tensor::rand([2, 3, 16, 16], (Kind::Double, Device::Cpu));
/// let sobel = Sobel::default();
/// let map = sobel.loss_map(&fake, &real)?;
/// assert_eq!(map.size(), [2, 1, 16, 16]);
/// let (mean, loss) = (map.mean(Kind::Double), sobel.forward(&fake, &real));
/// assert!((mean - loss).abs().double_value(&[]) < 1e-12);
/// # Ok::<(), tch_losses::Error>(())
/// ```
pub trait LossMap: Loss {
    /// How much each pixel contributes: `[N, 1, H, W]` for images `[N, C, H, W]`, in `input`'s kind.
    ///
    /// The map's mean is the loss with [`Reduction::Mean`](tch::Reduction), whatever the loss's own
    /// reduction. (On features, as [`VggPerceptual`](crate::VggPerceptual): where the image's size is a
    /// multiple of their stride.)
    ///
    /// # Errors
    /// As [`try_forward`](Loss::try_forward), and where the arguments are not images.
    fn loss_map(&self, input: &Tensor, target: &Tensor) -> Result<Tensor>;

    /// What the loss compares, seen in one image `[N, C, H, W]`: the edges, the activations; `[N, 1, H, W]`.
    /// `None` for a loss that compares the pixels as they are.
    ///
    /// # Errors
    /// As [`try_forward`](Loss::try_forward).
    fn response(&self, image: &Tensor) -> Result<Option<Tensor>> {
        let _ = image;
        Ok(None)
    }
}
