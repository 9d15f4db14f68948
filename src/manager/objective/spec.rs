//! Losses as data: what a file can say about them.

use std::fmt;
use std::path::PathBuf;

use serde::de::{DeserializeOwned, Error as _, MapAccess, Visitor};
use serde::ser::{Error as _, SerializeMap};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use tch::Device;

use super::{
    BceSpec, BceWithLogitsSpec, CrossEntropySpec, MultiLabelSoftMarginSpec, MultiMarginSpec, Networks,
    NllSpec,
};
use crate::manager::Term;
use crate::{
    check, Error, FeatureCriterion, HingeEmbeddingLoss, HuberLoss, InputNormalization, KlDivLoss, L1Loss,
    Laplacian, MseLoss, MultiLabelMarginLoss, PoissonNllLoss, Result, SmoothL1Loss, Sobel, SoftMarginLoss,
    VggLayer, VggPerceptual,
};

/// What the options of a loss in a file become.
pub(super) trait Build {
    /// Whether they make sense, as far as can be told without the tensors.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// The loss itself, on `device`.
    fn build(&self, device: Device, networks: &mut Networks) -> Result<Term>;
}

/// Makes [`LossSpec`] of the losses that a file can have: their names here, their options and, where it is
/// another one, PyTorch's spelling of the name.
macro_rules! loss_specs {
    ($($name:ident($options:ty) $(= $pytorch:literal)?,)*) => {
        /// A loss of two tensors with its options, as data: what a [`TermSpec`](super::TermSpec) says of it.
        ///
        /// In a file it is its name and, where they are not the defaults, its options: `loss = "Sobel"`,
        /// `options = { eps = 1e-4 }`. The names and the options are those of the types in this crate;
        /// PyTorch's spelling of a name (`MSELoss`) is understood as well. Options that are tensors are lists
        /// of numbers.
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        #[allow(missing_docs)] // the types say it all
        pub enum LossSpec {
            $($name($options),)*
        }

        impl LossSpec {
            /// The name in a file.
            pub fn name(&self) -> &'static str {
                match self {
                    $(LossSpec::$name(_) => stringify!($name),)*
                }
            }

            pub(super) fn options(&self) -> serde_json::Result<Value> {
                match self {
                    $(LossSpec::$name(options) => serde_json::to_value(options),)*
                }
            }

            fn read(name: &str, options: Value) -> std::result::Result<LossSpec, Problem> {
                match name {
                    $(stringify!($name) $(| $pytorch)? => Ok(LossSpec::$name(read(options)?)),)*
                    _ => {
                        let names = [$(stringify!($name)),*].join(", ");
                        let problem = format!("`{name}` is no loss, expected one of {names}");
                        Err(Problem { path: "loss".into(), problem })
                    }
                }
            }

            fn as_build(&self) -> &dyn Build {
                match self {
                    $(LossSpec::$name(options) => options,)*
                }
            }
        }
    };
}

loss_specs! {
    L1Loss(L1Loss),
    MseLoss(MseLoss) = "MSELoss",
    SmoothL1Loss(SmoothL1Loss),
    HuberLoss(HuberLoss),
    BceLoss(BceSpec) = "BCELoss",
    BceWithLogitsLoss(BceWithLogitsSpec) = "BCEWithLogitsLoss",
    CrossEntropyLoss(CrossEntropySpec),
    NllLoss(NllSpec) = "NLLLoss",
    KlDivLoss(KlDivLoss) = "KLDivLoss",
    PoissonNllLoss(PoissonNllLoss) = "PoissonNLLLoss",
    HingeEmbeddingLoss(HingeEmbeddingLoss),
    SoftMarginLoss(SoftMarginLoss),
    MultiMarginLoss(MultiMarginSpec),
    MultiLabelMarginLoss(MultiLabelMarginLoss),
    MultiLabelSoftMarginLoss(MultiLabelSoftMarginSpec),
    Sobel(Sobel),
    Laplacian(Laplacian),
    VggPerceptual(VggPerceptualSpec),
}

impl LossSpec {
    pub(super) fn from_parts(name: &str, options: Value) -> std::result::Result<LossSpec, Problem> {
        if let Some(path) = null("options", &options) {
            // TOML has numbers that are not finite, which end up as null; for an option that may be left out
            // it would mean just that.
            return Err(Problem { path, problem: "null, or a number that is not finite".into() });
        }
        let spec = LossSpec::read(name, options)?;
        spec.check()?;
        Ok(spec)
    }

    /// Whether its options make sense.
    pub(super) fn check(&self) -> std::result::Result<(), Problem> {
        match self.as_build().check() {
            Ok(()) => Ok(()),
            Err(Error::Option { option, given, expected }) => {
                let problem = format!("{given} is not {expected}");
                Err(Problem { path: super::join("options", option), problem })
            }
            Err(error) => Err(Problem { path: "options".into(), problem: error.to_string() }),
        }
    }

    /// The loss itself, on `device`.
    pub(super) fn build(&self, device: Device, networks: &mut Networks) -> Result<Term> {
        self.as_build().build(device, networks)
    }
}

/// What is wrong with a loss in a file, and where in its options, if it is there.
pub(super) struct Problem {
    pub path: String,
    pub problem: String,
}

/// Where there is a null in `value`, if there is one.
fn null(path: &str, value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(path.into()),
        Value::Array(values) => {
            values.iter().enumerate().find_map(|(index, value)| null(&format!("{path}[{index}]"), value))
        }
        Value::Object(fields) => {
            fields.iter().find_map(|(name, value)| null(&format!("{path}.{name}"), value))
        }
        _ => None,
    }
}

fn read<T: DeserializeOwned>(options: Value) -> std::result::Result<T, Problem> {
    serde_path_to_error::deserialize(options).map_err(|error| Problem {
        path: super::join("options", &error.path().to_string()),
        problem: error.inner().to_string(),
    })
}

/// Losses that are data themselves, and which of their options have a range.
macro_rules! build_copies {
    ($($loss:ident $({ $($option:ident: $check:ident),* })?)*) => {
        $(impl Build for $loss {
            fn check(&self) -> Result<()> {
                $($(check::$check(stringify!($option), self.$option)?;)*)?
                Ok(())
            }

            fn build(&self, _: Device, _: &mut Networks) -> Result<Term> {
                Ok(Term::new(*self))
            }
        })*
    };
}

build_copies! {
    L1Loss
    MseLoss
    SmoothL1Loss { beta: non_negative }
    HuberLoss { delta: positive }
    KlDivLoss
    PoissonNllLoss { eps: non_negative }
    HingeEmbeddingLoss { margin: finite }
    SoftMarginLoss
    MultiLabelMarginLoss
    Sobel { eps: non_negative }
    Laplacian
}

/// The options of [`VggPerceptual`] as data.
///
/// - **Defaults**: the pretrained weights and the loss's own defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VggPerceptualSpec {
    /// The weights of the network.
    pub weights: VggWeights,
    /// Its `taps`; in a file a table of weights by layer: `{ relu1_2 = 1.0, relu2_2 = 0.5 }`.
    #[serde(with = "taps")]
    pub taps: Vec<(VggLayer, f64)>,
    /// Its `criterion`.
    pub criterion: FeatureCriterion,
    /// Its `normalization`.
    pub normalization: InputNormalization,
}

impl Default for VggPerceptualSpec {
    fn default() -> Self {
        VggPerceptualSpec {
            weights: VggWeights::default(),
            taps: VggPerceptual::DEFAULT_TAPS.into(),
            criterion: FeatureCriterion::default(),
            normalization: InputNormalization::default(),
        }
    }
}

impl Build for VggPerceptualSpec {
    fn check(&self) -> Result<()> {
        VggPerceptual::check_taps(&self.taps)
    }

    fn build(&self, device: Device, networks: &mut Networks) -> Result<Term> {
        Ok(Term::new(VggPerceptual {
            taps: self.taps.clone(),
            criterion: self.criterion,
            normalization: self.normalization,
            ..VggPerceptual::new(networks.get(&self.weights, device)?)
        }))
    }
}

/// Where the weights of a [`Vgg19`](crate::Vgg19) come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(from = "PathBuf", into = "PathBuf")]
pub enum VggWeights {
    /// [`Vgg19::pretrained`](crate::Vgg19::pretrained); in a file the word `pretrained`.
    #[default]
    Pretrained,
    /// [`Vgg19::from_file`](crate::Vgg19::from_file); a relative path starts at the current directory.
    File(PathBuf),
}

const PRETRAINED: &str = "pretrained";

impl From<PathBuf> for VggWeights {
    fn from(path: PathBuf) -> VggWeights {
        if path.as_os_str() == PRETRAINED {
            VggWeights::Pretrained
        } else {
            VggWeights::File(path)
        }
    }
}

impl From<VggWeights> for PathBuf {
    fn from(weights: VggWeights) -> PathBuf {
        match weights {
            VggWeights::Pretrained => PRETRAINED.into(),
            VggWeights::File(path) => path,
        }
    }
}

/// Taps as a table, in the order given.
mod taps {
    use super::*;

    pub fn serialize<S: Serializer>(taps: &[(VggLayer, f64)], serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(taps.len()))?;
        for (index, (layer, weight)) in taps.iter().enumerate() {
            if taps[..index].iter().any(|(other, _)| other == layer) {
                return Err(S::Error::custom(format!("the tap {layer} is there twice")));
            }
            map.serialize_entry(&layer.to_string(), weight)?;
        }
        map.end()
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(VggLayer, f64)>, D::Error> {
        struct Table;
        impl<'de> Visitor<'de> for Table {
            type Value = Vec<(VggLayer, f64)>;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("a table of weights by layer, such as { relu1_2 = 1.0 }")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut taps = Vec::new();
                while let Some((layer, weight)) = map.next_entry::<String, f64>()? {
                    taps.push((layer.parse().map_err(A::Error::custom)?, weight));
                }
                Ok(taps)
            }
        }
        deserializer.deserialize_map(Table)
    }

    use std::result::Result;
}
