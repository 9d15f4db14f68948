//! The traits that the losses share: one for each number of tensors, and one for sequences.

use std::fmt::Debug;
use std::sync::Arc;

use tch::Tensor;

use crate::Result;

/// What a `forward` makes of the result of its `try_forward`.
#[track_caller]
pub(crate) fn or_panic<T>(result: Result<T>) -> T {
    match result {
        Ok(loss) => loss,
        Err(error) => panic!("{error}"),
    }
}

/// A loss of two tensors, as a PyTorch `nn.Module` with `forward(input, target)`.
///
/// For image losses the order is `(fake, real)`. The device and the kind of the result follow `input`.
/// Gradients flow to every floating-point argument; labels have none. Neither argument is modified.
///
/// The trait is object safe. Boxes, references and [`Arc`]s of losses are losses, and so is a [`WeightedSum`]. A
/// [`WeightedSum`] and a [`LossManager`](crate::manager::LossManager) move to other threads, so they take a
/// `Box<dyn Loss + Send>`.
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::{L1Loss, Laplacian, Loss, Sobel, WeightedSum};
///
/// let objective = WeightedSum::new()
///     .with(100.0, L1Loss::default())
///     .with(10.0, Sobel::default())
///     .with(10.0, Laplacian::default());
/// let fake = Tensor::rand([1, 3, 16, 16], (Kind::Float, Device::Cpu)).set_requires_grad(true);
/// let real = Tensor::rand([1, 3, 16, 16], (Kind::Float, Device::Cpu));
/// objective.forward(&fake, &real).backward();
/// assert!(fake.grad().abs().sum(Kind::Float).double_value(&[]) > 0.0);
/// ```
///
/// A loss of your own implements [`try_forward`](Self::try_forward); the other methods have defaults.
///
/// [`WeightedSum`]: crate::WeightedSum
pub trait Loss: Debug {
    /// Checks whether each option is in its range.
    ///
    /// [`try_forward`](Self::try_forward) checks it as well. This method is for programs that want to know before the
    /// first batch, such as a reader of configuration files.
    ///
    /// # Errors
    /// [`Error::Option`](crate::Error::Option) for the first option that is out of its range.
    fn check_options(&self) -> Result<()> {
        Ok(())
    }

    /// The loss of `input` against `target`.
    ///
    /// # Errors
    /// An argument or an option that the loss does not accept gives the [`Error`](crate::Error) that names it.
    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor>;

    /// The loss of `input` against `target`, in the manner of tch's own operations.
    ///
    /// # Panics
    /// Where [`try_forward`](Self::try_forward) returns an error, with the error's message.
    #[track_caller]
    fn forward(&self, input: &Tensor, target: &Tensor) -> Tensor {
        or_panic(self.try_forward(input, target))
    }

    /// How much each pixel contributes: `[N, 1, H, W]` for images `[N, C, H, W]`, in `input`'s kind. `None` for
    /// a loss that has no map.
    ///
    /// The map's mean is the loss with [`Reduction::Mean`](crate::Reduction::Mean), whatever the loss's own
    /// reduction. There are two exceptions, and the page of each loss says which applies:
    ///
    /// - A loss that is no mean over places, such as a deviation ([`GmsdLoss`](crate::GmsdLoss)), has the map that it
    ///   is computed from.
    /// - Losses that look at fewer places than the image has pixels enlarge their map, and some pixels count more
    ///   or less than others. With features ([`PerceptualLoss`](crate::PerceptualLoss)) the mean is the loss where the
    ///   size of the features divides that of the image.
    ///
    /// # Errors
    /// As [`try_forward`](Self::try_forward), and where the arguments are not images.
    ///
    /// ```
    /// use tch::{Device, Kind, Tensor};
    /// use tch_losses::{Loss, Sobel};
    ///
    /// let fake = Tensor::rand([2, 3, 16, 16], (Kind::Double, Device::Cpu));
    /// let real = Tensor::rand([2, 3, 16, 16], (Kind::Double, Device::Cpu));
    /// let sobel = Sobel::default();
    /// let map = sobel.loss_map(&fake, &real)?.expect("Sobel has a map");
    /// assert_eq!(map.size(), [2, 1, 16, 16]);
    /// let (mean, loss) = (map.mean(Kind::Double), sobel.forward(&fake, &real));
    /// assert!((mean - loss).abs().double_value(&[]) < 1e-12);
    /// # Ok::<(), tch_losses::Error>(())
    /// ```
    fn loss_map(&self, input: &Tensor, target: &Tensor) -> Result<Option<Tensor>> {
        let _ = (input, target);
        Ok(None)
    }

    /// What the loss compares, seen in one image `[N, C, H, W]`: the edges, the activations; `[N, 1, H, W]`.
    /// `None` for a loss that has no such picture, for instance because it compares the pixels as they are.
    ///
    /// # Errors
    /// As [`try_forward`](Self::try_forward).
    fn response(&self, image: &Tensor) -> Result<Option<Tensor>> {
        let _ = image;
        Ok(None)
    }
}

/// A loss of one tensor, such as a penalty on an image or on a prediction.
///
/// Boxes, references and [`Arc`]s implement the trait, too.
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{Result, UnaryLoss};
///
/// #[derive(Debug)]
/// struct MeanSquare;
///
/// impl UnaryLoss for MeanSquare {
///     fn try_forward(&self, input: &Tensor) -> Result<Tensor> {
///         Ok(input.f_square()?.f_mean(None)?)
///     }
/// }
///
/// assert_eq!(MeanSquare.forward(&Tensor::from_slice(&[1.0, 3.0])).double_value(&[]), 5.0);
/// ```
pub trait UnaryLoss: Debug {
    /// Checks whether each option is in its range, as [`Loss::check_options`].
    ///
    /// # Errors
    /// [`Error::Option`](crate::Error::Option) for the first option that is out of its range.
    fn check_options(&self) -> Result<()> {
        Ok(())
    }

    /// The loss of `input`.
    ///
    /// # Errors
    /// An argument or an option that the loss does not accept gives the [`Error`](crate::Error) that names it.
    fn try_forward(&self, input: &Tensor) -> Result<Tensor>;

    /// The loss of `input`, in the manner of tch's own operations.
    ///
    /// # Panics
    /// Where [`try_forward`](Self::try_forward) returns an error, with the error's message.
    #[track_caller]
    fn forward(&self, input: &Tensor) -> Tensor {
        or_panic(self.try_forward(input))
    }

    /// How much each pixel of an image contributes, as [`Loss::loss_map`].
    ///
    /// # Errors
    /// As [`try_forward`](Self::try_forward), and where the argument is not an image.
    fn loss_map(&self, input: &Tensor) -> Result<Option<Tensor>> {
        let _ = input;
        Ok(None)
    }
}

/// A loss of three tensors, such as an anchor with a positive and a negative example.
///
/// The arguments have the order of PyTorch's `forward`. Boxes, references and [`Arc`]s implement the trait, too.
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{TernaryLoss, TripletMarginLoss};
///
/// let loss: Box<dyn TernaryLoss> = Box::new(TripletMarginLoss::default());
/// let [anchor, positive, negative] = [[0.0, 0.0], [3.0, 4.0], [0.0, 9.0]].map(|x| Tensor::from_slice(&x));
/// assert_eq!(loss.forward(&anchor, &positive, &negative).double_value(&[]), 0.0);
/// ```
pub trait TernaryLoss: Debug {
    /// Checks whether each option is in its range, as [`Loss::check_options`].
    ///
    /// # Errors
    /// [`Error::Option`](crate::Error::Option) for the first option that is out of its range.
    fn check_options(&self) -> Result<()> {
        Ok(())
    }

    /// The loss of three tensors, in the order that the loss's documentation names.
    ///
    /// # Errors
    /// An argument or an option that the loss does not accept gives the [`Error`](crate::Error) that names it.
    fn try_forward(&self, first: &Tensor, second: &Tensor, third: &Tensor) -> Result<Tensor>;

    /// The loss of three tensors, in the manner of tch's own operations.
    ///
    /// # Panics
    /// Where [`try_forward`](Self::try_forward) returns an error, with the error's message.
    #[track_caller]
    fn forward(&self, first: &Tensor, second: &Tensor, third: &Tensor) -> Tensor {
        or_panic(self.try_forward(first, second, third))
    }

    /// How much each pixel of an image contributes, as [`Loss::loss_map`].
    ///
    /// # Errors
    /// As [`try_forward`](Self::try_forward), and where the arguments are not images.
    fn loss_map(&self, first: &Tensor, second: &Tensor, third: &Tensor) -> Result<Option<Tensor>> {
        let _ = (first, second, third);
        Ok(None)
    }
}

/// A loss of sequences of different lengths, such as [`CtcLoss`](crate::CtcLoss).
///
/// The lengths are slices and not tensors: libtorch needs them on the host before it starts, and a tensor on a CUDA
/// device would have to be waited for. Boxes, references and [`Arc`]s implement the trait, too.
pub trait SequenceLoss: Debug {
    /// Checks whether each option is in its range, as [`Loss::check_options`].
    ///
    /// # Errors
    /// [`Error::Option`](crate::Error::Option) for the first option that is out of its range.
    fn check_options(&self) -> Result<()> {
        Ok(())
    }

    /// The loss of the first `input_lengths` frames of each input against the first `target_lengths` labels of each
    /// target.
    ///
    /// # Errors
    /// An argument or an option that the loss does not accept gives the [`Error`](crate::Error) that names it.
    fn try_forward(
        &self,
        inputs: &Tensor,
        targets: &Tensor,
        input_lengths: &[i64],
        target_lengths: &[i64],
    ) -> Result<Tensor>;

    /// The same in the manner of tch's own operations.
    ///
    /// # Panics
    /// Where [`try_forward`](Self::try_forward) returns an error, with the error's message.
    #[track_caller]
    fn forward(
        &self,
        inputs: &Tensor,
        targets: &Tensor,
        input_lengths: &[i64],
        target_lengths: &[i64],
    ) -> Tensor {
        or_panic(self.try_forward(inputs, targets, input_lengths, target_lengths))
    }
}

/// Makes what points to a loss a loss.
macro_rules! through_pointer {
    ($pointer:ty: $trait:ident { $($method:ident($($argument:ident: $type:ty),*) -> $result:ty;)* }) => {
        impl<L: $trait + ?Sized> $trait for $pointer {
            $(fn $method(&self, $($argument: $type),*) -> Result<$result> {
                (**self).$method($($argument),*)
            })*
        }
    };
}

macro_rules! through_pointers {
    ($pointer:ty) => {
        through_pointer! { $pointer: Loss {
            check_options() -> ();
            try_forward(input: &Tensor, target: &Tensor) -> Tensor;
            loss_map(input: &Tensor, target: &Tensor) -> Option<Tensor>;
            response(image: &Tensor) -> Option<Tensor>;
        } }
        through_pointer! { $pointer: UnaryLoss {
            check_options() -> ();
            try_forward(input: &Tensor) -> Tensor;
            loss_map(input: &Tensor) -> Option<Tensor>;
        } }
        through_pointer! { $pointer: TernaryLoss {
            check_options() -> ();
            try_forward(first: &Tensor, second: &Tensor, third: &Tensor) -> Tensor;
            loss_map(first: &Tensor, second: &Tensor, third: &Tensor) -> Option<Tensor>;
        } }
        through_pointer! { $pointer: SequenceLoss {
            check_options() -> ();
            try_forward(
                inputs: &Tensor, targets: &Tensor, input_lengths: &[i64], target_lengths: &[i64]
            ) -> Tensor;
        } }
    };
}

through_pointers!(&L);
through_pointers!(Box<L>);
through_pointers!(Arc<L>);
