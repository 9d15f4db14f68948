//! The VGG19 feature extractor behind the perceptual losses.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use tch::nn::init::{FanInOut, NonLinearity, NormalOrUniform};
use tch::{nn, Device, Kind, Tensor};

use crate::weights::{Cache, WeightsFile, VGG19};
use crate::{check, Error, Result};

/// A place in VGG19 where features are taken: after the ReLU of convolution `c` in block `b`, for
/// `Relu{b}_{c}`.
///
/// The deeper, the coarser and the more abstract: a block halves height and width.
///
/// ```
/// use tch_losses::VggLayer;
///
/// let layer: VggLayer = "relu3_3".parse()?;
/// assert_eq!(layer, VggLayer::Relu3_3);
/// assert_eq!((layer.index(), layer.channels(), layer.stride()), (15, 256, 4));
/// # Ok::<(), tch_losses::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // the names say it all
pub enum VggLayer {
    Relu1_1,
    Relu1_2,
    Relu2_1,
    Relu2_2,
    Relu3_1,
    Relu3_2,
    Relu3_3,
    Relu3_4,
    Relu4_1,
    Relu4_2,
    Relu4_3,
    Relu4_4,
    Relu5_1,
    Relu5_2,
    Relu5_3,
    Relu5_4,
}

/// Per block: how many convolutions, and their output channels.
const BLOCKS: [(usize, i64); 5] = [(2, 64), (2, 128), (4, 256), (4, 512), (4, 512)];

impl VggLayer {
    /// All layers, from shallow to deep.
    pub const ALL: [VggLayer; 16] = [
        VggLayer::Relu1_1,
        VggLayer::Relu1_2,
        VggLayer::Relu2_1,
        VggLayer::Relu2_2,
        VggLayer::Relu3_1,
        VggLayer::Relu3_2,
        VggLayer::Relu3_3,
        VggLayer::Relu3_4,
        VggLayer::Relu4_1,
        VggLayer::Relu4_2,
        VggLayer::Relu4_3,
        VggLayer::Relu4_4,
        VggLayer::Relu5_1,
        VggLayer::Relu5_2,
        VggLayer::Relu5_3,
        VggLayer::Relu5_4,
    ];

    /// The number of the layer's convolution among all sixteen.
    fn ordinal(self) -> usize {
        self as usize
    }

    /// Block and place in it, both from 0.
    fn position(self) -> (usize, usize) {
        let mut place = self.ordinal();
        for (block, (convolutions, _)) in BLOCKS.iter().enumerate() {
            if place < *convolutions {
                return (block, place);
            }
            place -= convolutions;
        }
        unreachable!("BLOCKS counts as many convolutions as there are layers")
    }

    /// The index of the ReLU in torchvision's `vgg19().features`.
    pub fn index(self) -> usize {
        self.convolution_index() + 1
    }

    /// The index of the convolution before it in torchvision's `vgg19().features`: convolutions and ReLUs
    /// alternate, and each earlier block adds a pooling layer.
    fn convolution_index(self) -> usize {
        2 * self.ordinal() + self.position().0
    }

    /// The shape of its convolution's weight, `[out, in, 3, 3]`.
    fn weight_shape(self) -> [i64; 4] {
        let input = self.ordinal().checked_sub(1).map_or(3, |previous| VggLayer::ALL[previous].channels());
        [self.channels(), input, 3, 3]
    }

    /// The number of channels of its features.
    pub fn channels(self) -> i64 {
        BLOCKS[self.position().0].1
    }

    /// How many pixels of the image, in each direction, lie between neighbouring features; also the
    /// smallest height and width that reach it.
    pub fn stride(self) -> i64 {
        1 << self.position().0
    }
}

/// `relu1_2`, as the literature writes it.
impl fmt::Display for VggLayer {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (block, place) = self.position();
        write!(f, "relu{}_{}", block + 1, place + 1)
    }
}

impl FromStr for VggLayer {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        VggLayer::ALL.into_iter().find(|layer| layer.to_string() == name).ok_or_else(|| Error::Option {
            option: "layer",
            given: format!("{name:?}"),
            expected: "relu1_1 to relu5_4".into(),
        })
    }
}

struct Convolution {
    weight: Tensor,
    bias: Tensor,
}

/// The convolutional part of VGG19 (torchvision's `vgg19().features`), frozen.
///
/// Sixteen 3x3 convolutions with ReLU in five blocks, 2x2 max-pooling between the blocks. The parameters
/// never require gradients; those of the image flow through.
///
/// It computes in the kind of its parameters, f32 unless changed with [`to_kind`](Self::to_kind). Cloning
/// shares them, so that one network can serve several losses. On CUDA, libtorch by default rounds the factors of f32
/// convolutions to 10 bits (TF32), as PyTorch does; `NVIDIA_TF32_OVERRIDE=0` in the environment forbids it.
///
/// Source: K. Simonyan and A. Zisserman, [*Very deep convolutional networks for large-scale image
/// recognition*](https://arxiv.org/abs/1409.1556) (2014);
/// [`torchvision.models.vgg19`](https://pytorch.org/vision/stable/models/generated/torchvision.models.vgg19.html).
///
/// ```
/// use tch::{nn, Device, Kind, Tensor};
/// use tch_losses::{Vgg19, VggLayer};
///
/// # tch::manual_seed(0);
/// let vs = nn::VarStore::new(Device::Cpu);
/// let vgg = Vgg19::new(&vs.root());
/// let image = Tensor::rand([1, 3, 32, 32], (Kind::Float, Device::Cpu));
/// let features = vgg.features(&image, &[VggLayer::Relu1_2, VggLayer::Relu3_3])?;
/// assert_eq!(features[0].size(), [1, 64, 32, 32]);
/// assert_eq!(features[1].size(), [1, 256, 8, 8]);
/// # Ok::<(), tch_losses::Error>(())
/// ```
#[doc(alias = "VGG19")]
pub struct Vgg19 {
    convolutions: Vec<Convolution>,
}

impl Vgg19 {
    /// A network with its parameters in a variable store, named as in torchvision's state dict
    /// (`features.0.weight`, ...), of the store's kind, and not trainable.
    ///
    /// They start random, as torchvision's (Kaiming normal by fan-out, biases zero): call
    /// [`tch::manual_seed`] first to make that reproducible, or [`nn::VarStore::load`] afterwards to fill
    /// them from a file.
    ///
    /// # Panics
    /// When memory runs out, or the store's kind is not floating, as tch's own layers do.
    ///
    /// ```no_run
    /// use tch::{nn, Device};
    /// use tch_losses::Vgg19;
    ///
    /// let mut vs = nn::VarStore::new(Device::cuda_if_available());
    /// let vgg = Vgg19::new(&vs.root());
    /// vs.load("vgg19.safetensors")?;
    /// # Ok::<(), tch::TchError>(())
    /// ```
    pub fn new(vs: &nn::Path) -> Vgg19 {
        let weights = nn::Init::Kaiming {
            dist: NormalOrUniform::Normal,
            fan: FanInOut::FanOut,
            non_linearity: NonLinearity::ReLU,
        };
        let convolutions = VggLayer::ALL.into_iter().map(|layer| {
            let path = vs / "features" / layer.convolution_index();
            let parameter = |name, init, shape: &[i64]| {
                path.add(name, nn::f_init(init, shape, vs.device(), vs.kind()).unwrap(), false)
            };
            Convolution {
                weight: parameter("weight", weights, &layer.weight_shape()),
                bias: parameter("bias", nn::Init::Const(0.0), &[layer.channels()]),
            }
        });
        Vgg19 { convolutions: convolutions.collect() }
    }

    /// The network that torchvision trained on ImageNet (`vgg19(weights="DEFAULT")`), in f32 on `device`.
    ///
    /// The weights are fetched the first time (575 MB), verified, and kept in a form that loads fast (80 MB); what
    /// `torch.hub` has already is used instead. [`weights::Cache`](crate::weights::Cache) tells where, and which
    /// environment variables decide.
    ///
    /// # Errors
    /// As for [`Cache::get`](crate::weights::Cache::get). Messages say how to go on by hand on a machine without
    /// network.
    ///
    /// ```no_run
    /// use tch::Device;
    /// use tch_losses::Vgg19;
    ///
    /// let vgg = Vgg19::pretrained(Device::cuda_if_available())?;
    /// # Ok::<(), tch_losses::Error>(())
    /// ```
    pub fn pretrained(device: Device) -> Result<Vgg19> {
        Vgg19::from_file(Cache::from_env()?.get(&VGG19)?, device)
    }

    /// A network with the weights of a safetensors or `.pth` file, in f32 on `device`.
    ///
    /// The file holds the tensors `features.{0,2,5,..,34}.{weight,bias}` as torchvision's `vgg19` names
    /// them, in any floating kind; others (`classifier.*`) are not read. A `.pth` file is one that `torch.save` wrote
    /// of the model's `state_dict()`, in any of PyTorch's formats ([`weights::pth`](crate::weights::pth)).
    ///
    /// # Errors
    /// [`Error::Read`] where the file cannot be read, [`Error::Weights`] or [`Error::Pth`] where it is damaged or no
    /// such file, lacks a tensor, or has one of another shape or kind.
    ///
    /// ```no_run
    /// use tch::Device;
    /// use tch_losses::{Vgg19, VggPerceptual};
    ///
    /// let vgg = Vgg19::from_file("vgg19.safetensors", Device::cuda_if_available())?;
    /// let loss = VggPerceptual::new(vgg);
    /// # Ok::<(), tch_losses::Error>(())
    /// ```
    pub fn from_file(path: impl AsRef<Path>, device: Device) -> Result<Vgg19> {
        let path = path.as_ref();
        let unusable = |problem| Error::Weights { path: path.into(), problem };
        let mut file = WeightsFile::open(path)?;
        let mut parameter = |layer: VggLayer, role, shape: &[i64]| -> Result<Tensor> {
            let name = format!("features.{}.{role}", layer.convolution_index());
            let Some((given, kind)) = file.find(&name) else {
                return Err(unusable(format!("the tensor `{name}` is missing")));
            };
            if given != shape {
                return Err(unusable(format!("`{name}` has shape {given:?}, expected {shape:?}")));
            }
            if !check::is_floating(kind) {
                return Err(unusable(format!("`{name}` has kind {kind:?}, expected {}", check::FLOATING)));
            }
            Ok(file.read(&name)?.f_to_device(device)?.f_to_kind(Kind::Float)?)
        };
        let convolutions = VggLayer::ALL.into_iter().map(|layer| {
            Ok(Convolution {
                weight: parameter(layer, "weight", &layer.weight_shape())?,
                bias: parameter(layer, "bias", &[layer.channels()])?,
            })
        });
        Ok(Vgg19 { convolutions: convolutions.collect::<Result<_>>()? })
    }

    /// The same network computing in another kind: [`Kind::BFloat16`] or [`Kind::Half`] for speed and
    /// memory, [`Kind::Double`] for checks. This one is left as it is; the parameters are shared where the kind is
    /// the same.
    ///
    /// # Errors
    /// [`Error::Option`] for a kind that is not floating.
    pub fn to_kind(&self, kind: Kind) -> Result<Vgg19> {
        if !check::is_floating(kind) {
            let expected = check::FLOATING.into();
            return Err(Error::Option { option: "kind", given: format!("{kind:?}"), expected });
        }
        let convolutions = self.convolutions.iter().map(|Convolution { weight, bias }| {
            Ok(Convolution { weight: weight.f_to_kind(kind)?, bias: bias.f_to_kind(kind)? })
        });
        Ok(Vgg19 { convolutions: convolutions.collect::<Result<_>>()? })
    }

    /// The device the network is on.
    pub fn device(&self) -> Device {
        self.convolutions[0].weight.device()
    }

    /// The kind the network computes in.
    pub fn kind(&self) -> Kind {
        self.convolutions[0].weight.kind()
    }

    /// The features of the images at each of the `layers`, in their order: `[N, channels, H / stride,
    /// W / stride]`, sizes rounded down, in the network's kind.
    ///
    /// The network runs only as deep as the deepest of the layers. The images are taken as they are: what
    /// range they were trained for is the caller's affair (see [`InputNormalization`](crate::InputNormalization)).
    ///
    /// # Errors
    /// Images that are not `[N, 3, H, W]`, too small for the deepest layer or on another device; no layers.
    pub fn features(&self, images: &Tensor, layers: &[VggLayer]) -> Result<Vec<Tensor>> {
        let Some(deepest) = layers.iter().max() else {
            return Err(Error::Option {
                option: "layers",
                given: "empty".into(),
                expected: "at least one layer".into(),
            });
        };
        self.check_images("images", images, *deepest)?;
        let mut features = HashMap::new();
        let mut x = images.f_to_kind(self.kind())?;
        for (layer, convolution) in VggLayer::ALL.into_iter().zip(&self.convolutions) {
            if layer.position().1 == 0 && layer != VggLayer::Relu1_1 {
                x = x.f_max_pool2d([2i64, 2].as_slice(), [2i64, 2].as_slice(), 0, 1, false)?;
            }
            let Convolution { weight, bias } = convolution;
            let same = [1i64, 1].as_slice();
            // In place on the convolution's own output, which nothing else holds.
            x = x.f_conv2d(weight, Some(bias), same, same, same, 1)?.f_relu_()?;
            if layers.contains(&layer) {
                features.insert(layer, x.shallow_clone());
            }
            if layer == *deepest {
                break;
            }
        }
        Ok(layers.iter().map(|layer| features[layer].shallow_clone()).collect())
    }

    /// Checks what [`features`](Self::features) needs of its images.
    pub(crate) fn check_images(
        &self,
        argument: &'static str,
        images: &Tensor,
        deepest: VggLayer,
    ) -> Result<()> {
        check::image(argument, images)?;
        let (given, least) = (images.size(), deepest.stride());
        if given[1] != 3 || given[2] < least || given[3] < least {
            let expected = format!("[N, 3, H, W] with H and W at least {least} to reach {deepest}");
            return Err(Error::Shape { argument, given, expected });
        }
        if images.device() != self.device() {
            let expected = format!("{:?}, the device of the network", self.device());
            return Err(Error::Device { argument, given: images.device(), expected });
        }
        Ok(())
    }
}

/// Shares the parameters.
impl Clone for Vgg19 {
    fn clone(&self) -> Self {
        let convolutions = self.convolutions.iter().map(|Convolution { weight, bias }| Convolution {
            weight: weight.shallow_clone(),
            bias: bias.shallow_clone(),
        });
        Vgg19 { convolutions: convolutions.collect() }
    }
}

impl fmt::Debug for Vgg19 {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Vgg19").field("device", &self.device()).field("kind", &self.kind()).finish()
    }
}
