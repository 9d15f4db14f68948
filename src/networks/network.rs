//! [`Network`].

use std::fmt;
use std::sync::Arc;

use tch::{Device, Kind, Tensor};

use super::extractor::{in_order_of_taps, Extractor, Pass, Place};
use super::ops::{in_order, Layer};
use super::pass::ProgramPass;
use super::program::Program;
use super::table::{Operation, Table};
use super::{Architecture, Pooling, Tap};
use crate::base::check;
use crate::base::precision::{is_floating, FLOATING};
use crate::{Error, Result};

/// A frozen network that gives features of images: the convolutional part of a VGG, AlexNet or SqueezeNet, as
/// its [`Architecture`] says.
///
/// The parameters never require gradients; gradients flow through the network to the images.
///
/// - **Parameters**: random from [`new`](Network::new), torchvision's from
///   [`pretrained`](Network::pretrained), your own from [`from_file`](Network::from_file).
/// - **Kind**: the network computes in the kind of its parameters, f32 unless changed with
///   [`to_kind`](Self::to_kind). On CUDA, libtorch by default rounds the factors of f32 convolutions to 10
///   bits (TF32), as PyTorch does; `NVIDIA_TF32_OVERRIDE=0` in the environment forbids it.
/// - **Poolings** take maxima, as the network was trained, unless changed with
///   [`with_pooling`](Self::with_pooling).
/// - **Clones** share the parameters. One network can serve several losses.
/// - **Batch norm** is that of a network in `eval()`: it uses the running statistics and never changes them.
///
/// ```
/// use tch::{nn, Device, Kind, Tensor};
/// use tch_losses::{Architecture, Network, Tap};
///
/// # tch::manual_seed(0);
/// let vs = nn::VarStore::new(Device::Cpu);
/// let network = Network::new(&vs.root(), &Architecture::VGG19);
/// let image = Tensor::rand([1, 3, 32, 32], (Kind::Float, Device::Cpu));
/// let features = network.features(&image, &[Tap::RELU1_2, Tap::RELU3_3, "pool3".into()])?;
/// assert_eq!(features[0].size(), [1, 64, 32, 32]);
/// assert_eq!(features[1].size(), [1, 256, 8, 8]);
/// assert_eq!(features[2].size(), [1, 256, 4, 4]);
/// # Ok::<(), tch_losses::Error>(())
/// ```
#[doc(alias = "VGG19")]
#[doc(alias = "Vgg19")]
pub struct Network {
    architecture: Architecture,
    pooling: Pooling,
    /// Of the architecture with this pooling, made once.
    table: Arc<Table>,
    /// As many as the table has.
    layers: Vec<Layer>,
}

impl Network {
    pub(super) fn from_layers(architecture: Architecture, layers: Vec<Layer>) -> Network {
        let pooling = Pooling::Max;
        Network { architecture, pooling, table: architecture.table(pooling).into(), layers }
    }

    pub(super) fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// What the network is built from.
    pub fn architecture(&self) -> Architecture {
        self.architecture
    }

    /// The same network computing in another kind: [`Kind::BFloat16`] or [`Kind::Half`] for speed and memory,
    /// [`Kind::Double`] for checks.
    ///
    /// This network stays as it is. The two share the parameters if the kind is the same.
    ///
    /// # Errors
    /// [`Error::Option`] for a kind that is not floating.
    pub fn to_kind(&self, kind: Kind) -> Result<Network> {
        if !is_floating(kind) {
            let expected = FLOATING.into();
            return Err(Error::Option { option: "kind", given: format!("{kind:?}"), expected });
        }
        if kind == self.kind() {
            return Ok(self.clone());
        }
        let layers = self.layers.iter().map(|layer| layer.to_kind(kind)).collect::<Result<_>>()?;
        Ok(self.with_layers(layers))
    }

    /// How the network makes maps of features smaller.
    pub fn pooling(&self) -> Pooling {
        self.pooling
    }

    /// The same network with another [`Pooling`]. The two share the parameters.
    ///
    /// The sizes of features and the smallest images are those of that pooling:
    /// [`Extractor::place`], [`Extractor::feature_size`].
    pub fn with_pooling(&self, pooling: Pooling) -> Network {
        let table = self.architecture.table(pooling);
        let layers = self.layers.iter().zip(&table.layers).map(|(own, layer)| match layer.operation {
            Operation::Pool(pool) => Layer::Pool(pool),
            _ => own.shared(),
        });
        let layers = layers.collect();
        Network { pooling, table: table.into(), ..self.with_layers(layers) }
    }

    /// The same network with other layers, made of its own.
    fn with_layers(&self, layers: Vec<Layer>) -> Network {
        let &Network { architecture, pooling, .. } = self;
        Network { architecture, pooling, table: self.table.clone(), layers }
    }

    /// The device that the network is on.
    pub fn device(&self) -> Device {
        self.weight().device()
    }

    /// The kind that the network computes in.
    pub fn kind(&self) -> Kind {
        self.weight().kind()
    }

    fn weight(&self) -> &Tensor {
        let weight = self.layers.iter().find_map(|layer| match layer {
            Layer::Convolution(convolution) => Some(&convolution.weight),
            _ => None,
        });
        weight.expect("every architecture has a convolution")
    }

    /// The features of the images at each of the taps, in the order of the taps, in the network's kind: `[N,
    /// channels, H / stride, W / stride]`, about. [`Extractor::feature_size`] has the exact sizes. Those of a
    /// VGG are rounded down.
    ///
    /// The network runs only as deep as the deepest tap. It takes the images as they are; see
    /// [`InputNormalization`](crate::InputNormalization) for the range that a network was trained for. The
    /// features may lie in memory with the channels last, because libtorch's convolutions are fastest that
    /// way: `view` may ask for `contiguous()` first.
    ///
    /// # Errors
    /// Images that are not `[N, 3, H, W]`, too small for the deepest tap or on another device; no taps, or
    /// one that the network lacks.
    pub fn features(&self, images: &Tensor, taps: &[Tap]) -> Result<Vec<Tensor>> {
        self.check_images("images", images, taps)?;
        let images = in_order(&images.f_to_kind(self.kind())?, self.device(), self.kind())?;
        let program = self.program(taps)?;
        in_order_of_taps(|visit| program.run_in_graph(images, visit))
    }

    fn program(&self, taps: &[Tap]) -> Result<Program<'_>> {
        let places = taps.iter().map(|tap| Ok(self.table.place(tap)?.index)).collect::<Result<Vec<_>>>()?;
        Ok(Program::new(self.layers(), &places))
    }

    /// The deepest of some taps.
    fn deepest<'a>(&self, taps: &'a [Tap]) -> Result<(Place, &'a Tap)> {
        let places = taps.iter().map(|tap| Ok((self.table.place(tap)?, tap)));
        let places = places.collect::<Result<Vec<_>>>()?;
        places.into_iter().max_by_key(|(place, _)| place.index).ok_or_else(|| Error::Option {
            option: "taps",
            given: "empty".into(),
            expected: "at least one tap".into(),
        })
    }
}

impl Extractor for Network {
    fn device(&self) -> Device {
        self.device()
    }

    fn kind(&self) -> Kind {
        self.kind()
    }

    fn pooling(&self) -> Pooling {
        self.pooling()
    }

    fn place(&self, tap: &Tap) -> Result<Place> {
        self.table.place(tap)
    }

    fn feature_size(&self, tap: &Tap, image_size: &[i64]) -> Result<Vec<i64>> {
        let [count, _, height, width] = four(image_size)?;
        let place = self.table.place(tap)?;
        let [height, width] = [height, width].map(|side| self.table.output(place.index, side));
        Ok(vec![count, place.channels, height, width])
    }

    fn check_images(&self, argument: &'static str, images: &Tensor, taps: &[Tap]) -> Result<()> {
        let (Place { least, .. }, tap) = self.deepest(taps)?;
        check::image(argument, images)?;
        let given = images.size();
        if given[1] != 3 || given[2] < least || given[3] < least {
            let expected = format!("[N, 3, H, W] with H and W at least {least} to reach {tap}");
            return Err(Error::Shape { argument, given, expected });
        }
        if images.device() != self.device() {
            let expected = format!("{:?}, the device of the network", self.device());
            return Err(Error::Device { argument, given: images.device(), expected });
        }
        Ok(())
    }

    fn features(&self, images: &Tensor, taps: &[Tap]) -> Result<Vec<Tensor>> {
        self.features(images, taps)
    }

    fn pass<'a>(&'a self, size: &[i64], taps: &[Tap]) -> Result<Box<dyn Pass + 'a>> {
        self.deepest(taps)?;
        let pass = ProgramPass::new(self.program(taps)?, four(size)?, self.device(), self.kind())?;
        Ok(Box::new(pass))
    }
}

/// The four sizes of images.
fn four(size: &[i64]) -> Result<[i64; 4]> {
    // Sides that no tensor has overflow on the way.
    let side = 0..=i64::from(i32::MAX);
    match <[i64; 4]>::try_from(size) {
        Ok(size) if size.iter().all(|size| side.contains(size)) => Ok(size),
        _ => Err(Error::Shape { argument: "images", given: size.into(), expected: "[N, 3, H, W]".into() }),
    }
}

/// Shares the parameters.
impl Clone for Network {
    fn clone(&self) -> Self {
        self.with_layers(self.layers.iter().map(Layer::shared).collect())
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let mut fields = formatter.debug_struct("Network");
        fields.field("architecture", &self.architecture).field("pooling", &self.pooling);
        fields.field("device", &self.device()).field("kind", &self.kind()).finish()
    }
}
