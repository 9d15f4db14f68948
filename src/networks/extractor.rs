//! What losses need of a network.

use std::fmt::Debug;

use tch::{Device, Kind, Tensor};

use super::{Pooling, Tap};
use crate::Result;

/// Where in a network a [`Tap`] is, and what its features look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The index of the layer in torchvision's `features`.
    pub index: usize,
    /// The number of channels of the features.
    pub channels: i64,
    /// How many pixels of the image, in each direction, lie between neighbouring features.
    pub stride: i64,
    /// The smallest height and width of an image that has features there.
    pub least: i64,
}

/// A frozen network that gives features of images: what the losses on features ask of one.
///
/// [`Network`](crate::Network) implements it. The trait is object safe.
///
/// Features come in two ways. [`features`](Self::features) records libtorch's graph, as any operation on a
/// tensor that requires a gradient does. A [`pass`](Self::pass) records none: it shows the features one after
/// the other, and goes back from them to the gradient of the images by itself.
///
/// ```
/// use tch::{no_grad, nn, Device, Kind, Tensor};
/// use tch_losses::networks::{Architecture, Extractor, Network, Tap};
///
/// # tch::manual_seed(0);
/// let vs = nn::VarStore::new(Device::Cpu);
/// let network: Box<dyn Extractor> = Box::new(Network::new(&vs.root(), &Architecture::VGG11));
/// let image = Tensor::rand([1, 3, 16, 16], (Kind::Float, Device::Cpu));
/// let taps = [Tap::RELU1_1, Tap::RELU2_1];
///
/// // The gradient of the sum of all features.
/// let gradient = no_grad(|| {
///     let pass = network.pass(&image.size(), &taps)?;
///     let mut slopes = vec![None, None];
///     let trace = pass.trace(&image, &mut |tap, features| {
///         slopes[tap] = Some(features.ones_like());
///         Ok(())
///     })?;
///     trace.back(slopes)
/// })?;
/// assert_eq!(gradient.size(), image.size());
/// # Ok::<(), tch_losses::Error>(())
/// ```
pub trait Extractor: Debug {
    /// The device that the network is on.
    fn device(&self) -> Device;

    /// The kind that the network computes in.
    fn kind(&self) -> Kind;

    /// How the network makes maps of features smaller.
    fn pooling(&self) -> Pooling {
        Pooling::Max
    }

    /// Where a tap is.
    ///
    /// # Errors
    /// [`Error::Option`](crate::Error::Option) for a tap that the network lacks.
    fn place(&self, tap: &Tap) -> Result<Place>;

    /// The size of the features at a tap for images of a size `[N, 3, H, W]`.
    ///
    /// # Errors
    /// As for [`place`](Self::place).
    fn feature_size(&self, tap: &Tap, image_size: &[i64]) -> Result<Vec<i64>>;

    /// Checks that the network can take these images as far as the deepest of the taps.
    ///
    /// # Errors
    /// Images that are not `[N, 3, H, W]`, too small for the deepest tap or on another device; no taps, or
    /// one that the network lacks. The errors call the images `argument`.
    fn check_images(&self, argument: &'static str, images: &Tensor, taps: &[Tap]) -> Result<()>;

    /// The features of the images at each of the taps, in the order of the taps.
    ///
    /// # Errors
    /// As for [`check_images`](Self::check_images).
    fn features(&self, images: &Tensor, taps: &[Tap]) -> Result<Vec<Tensor>>;

    /// The network made ready to run without a graph on a batch of a size, or on pieces of it.
    ///
    /// Use it under [`no_grad`](tch::no_grad), for images that [`check_images`](Self::check_images) accepts,
    /// and for no longer than the parameters stay what they are.
    ///
    /// # Errors
    /// No taps, or one that the network lacks.
    fn pass<'a>(&'a self, size: &[i64], taps: &[Tap]) -> Result<Box<dyn Pass + 'a>>;
}

/// Called with the number of a tap, in the order given to [`Extractor::pass`], and its features.
pub type Visit<'a> = dyn FnMut(usize, &Tensor) -> Result<()> + 'a;

/// A network that runs without libtorch's graph: see [`Extractor::pass`].
pub trait Pass {
    /// Runs the network and shows `visit` the features at each tap, from shallow to deep.
    ///
    /// # Errors
    /// Those of libtorch and of `visit`.
    fn run(&self, images: &Tensor, visit: &mut Visit) -> Result<()>;

    /// The features of the images at each of the taps, in the order of the taps.
    ///
    /// # Errors
    /// Those of libtorch.
    fn features(&self, images: &Tensor) -> Result<Vec<Tensor>> {
        in_order_of_taps(|visit| self.run(images, visit))
    }

    /// As [`run`](Self::run), keeping what is needed to go [back](Trace::back).
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    fn trace<'a>(&'a self, images: &Tensor, visit: &mut Visit) -> Result<Box<dyn Trace + 'a>>;
}

/// What a [`Pass`] left behind, to go back through the network.
pub trait Trace {
    /// The kind that the network computed in: its own, or that of libtorch's autocast.
    fn kind(&self) -> Kind;

    /// The gradient with respect to the images of a function of the features. `slopes` are its gradients with
    /// respect to the features at each tap, in the order of the taps; `None` is a gradient of zero.
    ///
    /// # Errors
    /// Those of libtorch.
    fn back(self: Box<Self>, slopes: Vec<Option<Tensor>>) -> Result<Tensor>;
}

/// The features that `run` shows, in the order of the taps.
pub(super) fn in_order_of_taps(run: impl FnOnce(&mut Visit) -> Result<()>) -> Result<Vec<Tensor>> {
    let mut found = Vec::new();
    run(&mut |tap, features| {
        found.push((tap, features.shallow_clone()));
        Ok(())
    })?;
    found.sort_by_key(|(tap, _)| *tap);
    Ok(found.into_iter().map(|(_, features)| features).collect())
}
