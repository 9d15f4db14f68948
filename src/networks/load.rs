//! Where the parameters of a [`Network`] come from.

use std::path::Path;

use tch::nn::init::{FanInOut, NonLinearity, NormalOrUniform};
use tch::{nn, Device, Kind, Tensor};

use super::architectures::Initialization;
use super::ops::{Layer, Parameter, Pooling, Role};
use super::{Architecture, Network};
use crate::base::precision::{is_floating, FLOATING};
use crate::weights::{prefix, Cache, WeightsError, WeightsFile};
use crate::{Error, Result};

impl Network {
    /// A network with its parameters in a variable store: of the store's kind, contiguous, not trainable, and
    /// named as in torchvision's state dict (`features.0.weight`, ...).
    ///
    /// The parameters start random, as torchvision's do, and batch norms as the identity:
    ///
    /// | | weights of convolutions | biases |
    /// |---|---|---|
    /// | VGG | Kaiming normal by fan-out: of the deviation `sqrt(2 / fan-out)` | zero |
    /// | AlexNet | uniform, up to `sqrt(1 / fan-in)` | the same |
    /// | SqueezeNet | Kaiming uniform by fan-in: up to `sqrt(6 / fan-in)` | zero |
    ///
    /// Call [`tch::manual_seed`] first to make that reproducible, or
    /// [`nn::VarStore::load`] afterwards to fill the parameters from a file.
    ///
    /// # Panics
    /// When memory runs out or the store's kind is not floating, as tch's own layers do.
    ///
    /// ```no_run
    /// use tch::{nn, Device};
    /// use tch_losses::{Architecture, Network};
    ///
    /// let mut vs = nn::VarStore::new(Device::cuda_if_available());
    /// let network = Network::new(&vs.root(), &Architecture::VGG19);
    /// vs.load("vgg19.safetensors")?;
    /// # Ok::<(), tch::TchError>(())
    /// ```
    pub fn new(vs: &nn::Path, architecture: &Architecture) -> Network {
        let kaiming_normal = nn::Init::Kaiming {
            dist: NormalOrUniform::Normal,
            fan: FanInOut::FanOut,
            non_linearity: NonLinearity::ReLU,
        };
        // Of the last weight of a convolution: its bias comes next.
        let mut bound = 0.0;
        let result = build(architecture, |index, Parameter { submodule, role }, shape| {
            let of_convolution = shape.len() == 4;
            if of_convolution {
                bound = architecture.uniform_bound(shape);
            }
            let init = match (role, architecture.initialization()) {
                (Role::Weight, Initialization::KaimingNormal) if of_convolution => kaiming_normal,
                (Role::Weight, _) if of_convolution => nn::Init::Uniform { lo: -bound, up: bound },
                (Role::Bias, Initialization::Default) => nn::Init::Uniform { lo: -bound, up: bound },
                (Role::Weight | Role::RunningVar, _) => nn::Init::Const(1.0),
                (Role::Bias | Role::RunningMean, _) => nn::Init::Const(0.0),
            };
            let tensor = nn::f_init(init, shape, vs.device(), vs.kind())?;
            let mut path = vs / "features" / index;
            if let Some(submodule) = submodule {
                path = path / submodule;
            }
            Ok(path.add(role.name(), tensor, false))
        });
        match result {
            Ok(layers) => Network::from_layers(*architecture, layers),
            Err(error) => panic!("{error}"),
        }
    }

    /// The network that torchvision trained on ImageNet (`vgg19(weights="DEFAULT")`), in f32 on `device`.
    ///
    /// The first call fetches the [weights](Architecture::known_weights), verifies them, and keeps those of
    /// the convolutional part in a form that loads fast: 80 MB of 575 for VGG19, 59 of 553 for VGG16, 10 of
    /// 244 for AlexNet, 3 of 5 for SqueezeNet. If `torch.hub` has the file already, nothing is fetched.
    /// [`weights::Cache`](crate::weights::Cache) tells where the files are, and which environment variables
    /// decide.
    ///
    /// # Errors
    /// Those of [`Cache::get`](crate::weights::Cache::get). Their messages say how to go on by hand on a machine
    /// without network.
    ///
    /// ```no_run
    /// use tch::Device;
    /// use tch_losses::{Architecture, Network};
    ///
    /// let network = Network::pretrained(&Architecture::VGG19, Device::cuda_if_available())?;
    /// # Ok::<(), tch_losses::Error>(())
    /// ```
    pub fn pretrained(architecture: &Architecture, device: Device) -> Result<Network> {
        Network::from_file(Cache::from_env()?.get(architecture.known_weights())?, architecture, device)
    }

    /// A network with the weights of a safetensors or `.pth` file, in f32 on `device`.
    ///
    /// - **Tensors**: the file holds torchvision's `features.*` of the architecture in any floating kind, for
    ///   VGG19 `features.{0,2,5,..,34}.{weight,bias}`. Other tensors (`classifier.*`) are not read.
    /// - **Formats**: a `.pth` file is what `torch.save` wrote of the model's `state_dict()`, in any of
    ///   PyTorch's formats ([`weights::pth`](crate::weights::pth)).
    /// - **Prefixes**: the names may have a prefix from a wrapper: `module.` (`DataParallel`), `_orig_mod.`
    ///   (`torch.compile`), `model.`, `state_dict.`, or several of these.
    ///
    /// # Errors
    /// - [`Error::Read`] if the file cannot be read;
    /// - [`Error::Weights`] if the file is damaged or of another format, or if a tensor is missing, is
    ///   there with more than one prefix, or has another shape or kind.
    ///
    /// ```no_run
    /// use tch::Device;
    /// use tch_losses::{Architecture, Network, PerceptualLoss};
    ///
    /// let device = Device::cuda_if_available();
    /// let network = Network::from_file("vgg19.safetensors", &Architecture::VGG19, device)?;
    /// let loss = PerceptualLoss::new(network);
    /// # Ok::<(), tch_losses::Error>(())
    /// ```
    pub fn from_file(path: impl AsRef<Path>, architecture: &Architecture, device: Device) -> Result<Network> {
        let path = path.as_ref();
        let unusable = |problem| Error::from(WeightsError::Unusable { path: path.into(), problem });
        let mut file = WeightsFile::open(path)?;
        let prefix = prefix::find(&file, "features.0.weight").map_err(unusable)?;
        let layers = build(architecture, |index, parameter, shape| -> Result<Tensor> {
            let name = format!("{prefix}features.{index}.{parameter}");
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
        })?;
        let layers = layers.into_iter().map(|layer| layer.to_kind(Kind::Float)).collect::<Result<_>>()?;
        Ok(Network::from_layers(*architecture, layers))
    }
}

/// The layers of an architecture, with a parameter for each index, name and shape.
fn build(
    architecture: &Architecture,
    mut parameter: impl FnMut(usize, Parameter, &[i64]) -> Result<Tensor>,
) -> Result<Vec<Layer>> {
    let layers = architecture.table(Pooling::Max).layers.into_iter().enumerate();
    let layers = layers.map(|(index, layer)| {
        Layer::new(layer.operation, |of_layer, shape| parameter(index, of_layer, shape))
    });
    layers.collect()
}
