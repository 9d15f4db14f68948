//! The VGG19 feature extractor behind the perceptual losses.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use tch::nn::init::{FanInOut, NonLinearity, NormalOrUniform};
use tch::{nn, Device, Kind, Tensor};

use crate::base::check;
use crate::base::precision::{is_floating, FLOATING};
use crate::weights::{prefix, Cache, WeightsError, WeightsFile, VGG19};
use crate::{Error, Result};

mod layer;
mod pass;
mod winograd;

pub use layer::VggLayer;
pub(crate) use pass::{Pass, Trace};

/// The stride, padding and dilation of every convolution.
const CONVOLUTION: &[i64] = &[1, 1];
/// 2x2 pooling with a stride of 2.
const POOLING: &[i64] = &[2, 2];
const UNPADDED: &[i64] = &[0, 0];
const UNDILATED: &[i64] = &[1, 1];

struct Convolution {
    weight: Tensor,
    bias: Tensor,
}

impl Convolution {
    /// With the ReLU that follows, in place on what nothing else holds.
    fn apply(&self, x: &Tensor) -> Result<Tensor> {
        let Convolution { weight, bias } = self.in_order()?;
        Ok(x.f_conv2d(&weight, Some(&bias), CONVOLUTION, CONVOLUTION, CONVOLUTION, 1)?.f_relu_()?)
    }

    /// The same with the weight as convolutions are fastest; shared where it is so already. A weight in a
    /// caller's variable store is not: `VarStore::save` takes contiguous tensors only.
    fn in_order(&self) -> Result<Convolution> {
        let weight = in_order(&self.weight, self.weight.device(), self.weight.kind())?;
        Ok(Convolution { weight, bias: self.bias.shallow_clone() })
    }
}

/// The convolutional part of VGG19 (torchvision's `vgg19().features`), frozen.
///
/// Sixteen 3x3 convolutions with ReLU in five blocks, 2x2 max-pooling between the blocks. The parameters
/// never require gradients; those of the image flow through.
///
/// It computes in the kind of its parameters, f32 unless changed with [`to_kind`](Self::to_kind). Cloning
/// shares them, so that one network can serve several losses. On CUDA, libtorch by default rounds the factors
/// of f32 convolutions to 10 bits (TF32), as PyTorch does; `NVIDIA_TF32_OVERRIDE=0` in the environment
/// forbids it.
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
    /// (`features.0.weight`, ...), of the store's kind, contiguous, and not trainable.
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
            let (device, kind) = (vs.device(), vs.kind());
            let init = |init, shape: &[i64]| nn::f_init(init, shape, device, kind).unwrap();
            let weight = init(weights, &layer.weight_shape());
            let bias = init(nn::Init::Const(0.0), &[layer.channels()]);
            Convolution { weight: path.add("weight", weight, false), bias: path.add("bias", bias, false) }
        });
        Vgg19 { convolutions: convolutions.collect() }
    }

    /// The network that torchvision trained on ImageNet (`vgg19(weights="DEFAULT")`), in f32 on `device`.
    ///
    /// The weights are fetched the first time (575 MB), verified, and kept in a form that loads fast (80 MB);
    /// what `torch.hub` has already is used instead. [`weights::Cache`](crate::weights::Cache) tells where,
    /// and which environment variables decide.
    ///
    /// # Errors
    /// As for [`Cache::get`](crate::weights::Cache::get). Messages say how to go on by hand on a machine
    /// without network.
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
    /// The file holds the tensors `features.{0,2,5,..,34}.{weight,bias}` as torchvision's `vgg19` names them,
    /// in any floating kind; others (`classifier.*`) are not read. A `.pth` file is one that `torch.save`
    /// wrote of the model's `state_dict()`, in any of PyTorch's formats
    /// ([`weights::pth`](crate::weights::pth)). The names may have a prefix that wrappers give them: `module.`
    /// (`DataParallel`), `_orig_mod.` (`torch.compile`), `model.`, `state_dict.`, or several of these.
    ///
    /// # Errors
    /// [`Error::Read`] where the file cannot be read, [`Error::Weights`] where it is
    /// damaged or no such file, lacks a tensor, has it with more than one prefix, or has one of another shape or
    /// kind.
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
        let unusable = |problem| Error::from(WeightsError::Unusable { path: path.into(), problem });
        let mut file = WeightsFile::open(path)?;
        let prefix = prefix::find(&file, "features.0.weight").map_err(unusable)?;
        let mut parameter = |layer: VggLayer, role, shape: &[i64]| -> Result<Tensor> {
            let name = format!("{prefix}features.{}.{role}", layer.convolution_index());
            let Some((given, kind)) = file.find(&name) else {
                return Err(unusable(format!("the tensor `{name}` is {}", prefix::missing(&file, &name))));
            };
            if given != shape {
                return Err(unusable(format!("`{name}` has shape {given:?}, expected {shape:?}")));
            }
            if !is_floating(kind) {
                return Err(unusable(format!("`{name}` has kind {kind:?}, expected {}", FLOATING)));
            }
            Ok(file.read(&name)?.f_to_device(device)?.f_to_kind(Kind::Float)?)
        };
        let convolutions = VggLayer::ALL.into_iter().map(|layer| {
            Ok(Convolution {
                weight: in_order(&parameter(layer, "weight", &layer.weight_shape())?, device, Kind::Float)?,
                bias: parameter(layer, "bias", &[layer.channels()])?,
            })
        });
        Ok(Vgg19 { convolutions: convolutions.collect::<Result<_>>()? })
    }

    /// The same network computing in another kind: [`Kind::BFloat16`] or [`Kind::Half`] for speed and memory,
    /// [`Kind::Double`] for checks. This one is left as it is; the parameters are shared where the kind is
    /// the same.
    ///
    /// # Errors
    /// [`Error::Option`] for a kind that is not floating.
    pub fn to_kind(&self, kind: Kind) -> Result<Vgg19> {
        if !is_floating(kind) {
            let expected = FLOATING.into();
            return Err(Error::Option { option: "kind", given: format!("{kind:?}"), expected });
        }
        if kind == self.kind() {
            return Ok(self.clone());
        }
        let convolutions = self.convolutions.iter().map(|Convolution { weight, bias }| {
            let weight = in_order(&weight.f_to_kind(kind)?, weight.device(), kind)?;
            Ok(Convolution { weight, bias: bias.f_to_kind(kind)? })
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
    /// The features may lie in memory with the channels last, as libtorch's convolutions are fastest: `view`
    /// may ask for `contiguous()` first. The network runs only as deep as the deepest of the layers. The
    /// images are taken as they are: what range they were trained for is the caller's affair (see
    /// [`InputNormalization`](crate::InputNormalization)).
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
        self.collect(images, layers, |layer, x| self.convolutions[layer.ordinal()].apply(x))
    }

    /// The features of checked images at each of the `layers`.
    fn collect(
        &self,
        images: &Tensor,
        layers: &[VggLayer],
        convolve: impl Fn(VggLayer, &Tensor) -> Result<Tensor>,
    ) -> Result<Vec<Tensor>> {
        let deepest = *layers.iter().max().expect("there are layers");
        let mut features = HashMap::new();
        self.run(images, deepest, convolve, |layer, activation| {
            if layers.contains(&layer) {
                features.insert(layer, activation.shallow_clone());
            }
            Ok(())
        })?;
        Ok(layers.iter().map(|layer| features[layer].shallow_clone()).collect())
    }

    /// Runs the network on checked images down to `deepest`, shows `visit` the activations after each ReLU,
    /// and returns for each pooling layer where in its input the maxima were.
    fn run(
        &self,
        images: &Tensor,
        deepest: VggLayer,
        convolve: impl Fn(VggLayer, &Tensor) -> Result<Tensor>,
        mut visit: impl FnMut(VggLayer, &Tensor) -> Result<()>,
    ) -> Result<Vec<Tensor>> {
        let mut maxima = Vec::new();
        let mut x = self.in_order(&images.f_to_kind(self.kind())?)?;
        for layer in VggLayer::ALL {
            if layer.starts_block() && layer != VggLayer::Relu1_1 {
                let pooled = x.f_max_pool2d_with_indices(POOLING, POOLING, UNPADDED, UNDILATED, false)?;
                x = pooled.0;
                maxima.push(pooled.1);
            }
            x = convolve(layer, &x)?;
            visit(layer, &x)?;
            if layer == deepest {
                break;
            }
        }
        Ok(maxima)
    }

    /// The tensor, of a kind of the network's, in the order in memory that its convolutions are fastest in.
    fn in_order(&self, tensor: &Tensor) -> Result<Tensor> {
        in_order(tensor, self.device(), self.kind())
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

/// `[N, C, H, W]` images or convolution weights in the order in memory that convolutions are fastest in.
fn in_order(tensor: &Tensor, device: Device, kind: Kind) -> Result<Tensor> {
    let channels_last = match device {
        Device::Cpu => kind != Kind::Double,
        _ => matches!(kind, Kind::Half | Kind::BFloat16),
    };
    if !channels_last {
        return Ok(tensor.shallow_clone());
    }
    // PyTorch's `contiguous(memory_format=torch.channels_last)`.
    let last = tensor.f_permute([0i64, 2, 3, 1].as_slice())?.f_contiguous()?;
    Ok(last.f_permute([0i64, 3, 1, 2].as_slice())?)
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
