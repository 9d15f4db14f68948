//! Losses as data: what a file can say about them.

use serde::de::DeserializeOwned;
use serde_json::Value;
use tch::Device;

use super::networks::Networks;
use super::node::Node;
use super::others;
use super::problem::{nearest, Problem};
use super::read::{field_names, read};
use super::{
    BceSpec, BceWithLogitsSpec, CrossEntropySpec, MultiLabelSoftMarginSpec, MultiMarginSpec, NllSpec,
    VggPerceptualSpec,
};
use crate::base::check;
use crate::manager::Term;
use crate::{
    Error, HingeEmbeddingLoss, HuberLoss, KlDivLoss, L1Loss, Laplacian, MseLoss, MultiLabelMarginLoss,
    PoissonNllLoss, Result, SmoothL1Loss, Sobel, SoftMarginLoss,
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

            /// The options that are the defaults.
            pub(super) fn default_of(&self) -> LossSpec {
                match self {
                    $(LossSpec::$name(_) => LossSpec::$name(<$options>::default()),)*
                }
            }

            /// The names of the options of the loss with this name, if there is one.
            pub(super) fn option_names(name: &str) -> Option<&'static [&'static str]> {
                match name {
                    $(stringify!($name) $(| $pytorch)? => Some(field_names::<$options>()),)*
                    _ => None,
                }
            }

            fn read(name: &str, options: &Node) -> std::result::Result<LossSpec, Problem> {
                match name {
                    $(stringify!($name) $(| $pytorch)? => Ok(LossSpec::$name(read_options(options)?)),)*
                    _ => Err(unknown(name, &[$(stringify!($name)),*])),
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
    pub(super) fn from_parts(name: &str, options: &Node) -> std::result::Result<LossSpec, Problem> {
        let spec = LossSpec::read(name, options)?;
        spec.check().map_err(|problem| {
            let option = problem.path.strip_prefix("options.").and_then(|option| options.get(option));
            problem.or_line(option.unwrap_or(options).line)
        })?;
        Ok(spec)
    }

    /// Whether its options make sense.
    pub(super) fn check(&self) -> std::result::Result<(), Problem> {
        let problem = match self.as_build().check() {
            Ok(()) => return Ok(()),
            Err(Error::Option { option, given, expected }) => {
                Problem::new(format!("given {given}, expected {expected}")).within(option)
            }
            Err(error) => Problem::new(error.to_string()),
        };
        Err(problem.within("options"))
    }

    /// The loss itself, on `device`.
    pub(super) fn build(&self, device: Device, networks: &mut Networks) -> Result<Term> {
        self.as_build().build(device, networks)
    }
}

fn read_options<T: DeserializeOwned>(options: &Node) -> std::result::Result<T, Problem> {
    read(options).map_err(|problem| problem.within("options"))
}

/// What people write for losses that are called otherwise.
const SYNONYMS: [(&str, &str); 9] = [
    ("L2", "MseLoss"),
    ("L2Loss", "MseLoss"),
    ("MAE", "L1Loss"),
    ("VGGLoss", "VggPerceptual"),
    ("VGG19", "VggPerceptual"),
    ("PerceptualLoss", "VggPerceptual"),
    ("GANLoss", "BceWithLogitsLoss"),
    ("binary_cross_entropy", "BceLoss"),
    ("binary_cross_entropy_with_logits", "BceWithLogitsLoss"),
];

fn unknown(name: &str, names: &[&'static str]) -> Problem {
    if let Some(usage) = others::usage(name) {
        return Problem::new(usage).within("loss");
    }
    // Without the module that it has in Python, `nn.L1Loss`.
    let own = name.rsplit('.').next().unwrap_or(name);
    let near = nearest(own, &[names, &others::NAMES].concat(), &SYNONYMS);
    let text = match near.map(|near| (near, others::usage(near))) {
        Some((near, None)) => format!("`{name}` is no loss, did you mean `{near}`?"),
        Some((near, Some(usage))) => format!("`{name}` is no loss, did you mean `{near}`? But {usage}"),
        None => format!("`{name}` is no loss, expected one of {}", names.join(", ")),
    };
    Problem::new(text).within("loss")
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
