//! Losses as data: what a file can say about them.

/// Makes [`LossSpec`] of the rows of the catalogue.
macro_rules! catalogue {
    ($($family:ident { $($tensors:ident $name:ident $(($options:ty))? $(= $pytorch:literal)?;)* })*) => {
        /// A loss with its options, as data, for a [`TermSpec`](super::TermSpec). Every loss of this crate has a
        /// variant.
        ///
        /// In a file it is its name and the options that are not the defaults: `loss = "Sobel"`, `options = {
        /// eps = 1e-4 }`. The names and the options are those of the types in this crate. PyTorch's spelling
        /// of a name (`MSELoss`) is understood as well. A [`WeightTensor`](crate::WeightTensor) is a number,
        /// a list or a list of lists.
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        #[allow(missing_docs)] // the types say it all
        pub enum LossSpec {
            $($($name(options!($name $($options)?)),)*)*
        }

        impl LossSpec {
            /// The names of all losses, by family.
            pub const NAMES: &'static [&'static str] = &[$($(stringify!($name),)*)*];

            /// The name in a file.
            pub fn name(&self) -> &'static str {
                match self {
                    $($(LossSpec::$name(_) => stringify!($name),)*)*
                }
            }

            /// The family: the name of the loss's folder, such as `pixel`.
            pub fn family(&self) -> &'static str {
                match self {
                    $($(LossSpec::$name(_) => stringify!($family),)*)*
                }
            }

            pub(super) fn options(&self) -> serde_json::Result<Value> {
                match self {
                    $($(LossSpec::$name(options) => serde_json::to_value(options),)*)*
                }
            }

            /// The options that are the defaults.
            pub(super) fn default_of(&self) -> LossSpec {
                match self {
                    $($(LossSpec::$name(options) => LossSpec::$name(defaults!($tensors, options)),)*)*
                }
            }

            /// The names of the options of the loss with this name, if there is one.
            pub(super) fn option_names(name: &str) -> Option<&'static [&'static str]> {
                match name {
                    $($(stringify!($name) $(| $pytorch)? => Some(field_names::<options!($name $($options)?)>()),)*)*
                    _ => None,
                }
            }

            fn read(name: &str, options: &Node) -> std::result::Result<LossSpec, Problem> {
                let within_options = |problem: Problem| problem.within("options");
                match name {
                    $($(stringify!($name) $(| $pytorch)? => {
                        read(options).map(LossSpec::$name).map_err(within_options)
                    })*)*
                    _ => Err(unknown(name)),
                }
            }

            /// Whether the options make sense, as far as can be told without the tensors.
            ///
            /// # Errors
            /// [`Error::Option`] for the first option that is out of its range.
            pub fn check_options(&self) -> Result<()> {
                match self {
                    $($(LossSpec::$name(options) => check!($tensors, options),)*)*
                }
            }

            /// Whether the loss has parameters or a state, which need a variable store:
            /// [`Objective::build_in`](super::Objective::build_in).
            pub fn has_parameters(&self) -> bool {
                match self {
                    $($(LossSpec::$name(options) => has_parameters!($tensors, options),)*)*
                }
            }

            /// The loss itself.
            pub(in crate::manager) fn make(&self, site: &mut Site) -> Result<Function> {
                match self {
                    $($(LossSpec::$name(options) => make!($tensors, options, site),)*)*
                }
            }
        }
    };
}

/// The type of a row's options: that of the loss, unless the row names another.
macro_rules! options {
    ($name:ident) => {
        crate::$name
    };
    ($name:ident $options:ty) => {
        $options
    };
}

macro_rules! check {
    (unary, $options:ident) => {
        crate::UnaryLoss::check_options($options)
    };
    (binary, $options:ident) => {
        crate::Loss::check_options($options)
    };
    (ternary, $options:ident) => {
        crate::TernaryLoss::check_options($options)
    };
    (sequence, $options:ident) => {
        crate::SequenceLoss::check_options($options)
    };
    (features, $options:ident) => {
        $options.check_options()
    };
    (made, $options:ident) => {
        Make::check($options)
    };
}

macro_rules! has_parameters {
    (made, $options:ident) => {
        Make::has_parameters($options)
    };
    ($tensors:ident, $options:ident) => {{
        let _ = $options;
        false
    }};
}

macro_rules! defaults {
    (made, $options:ident) => {
        Make::defaults($options)
    };
    ($tensors:ident, $options:ident) => {{
        let _ = $options;
        Default::default()
    }};
}

macro_rules! make {
    (unary, $options:ident, $site:ident) => {
        Ok(Function::Unary(Box::new($options.clone())))
    };
    (binary, $options:ident, $site:ident) => {
        Ok(Function::Binary(Box::new($options.clone())))
    };
    (ternary, $options:ident, $site:ident) => {
        Ok(Function::Ternary(Box::new($options.clone())))
    };
    (sequence, $options:ident, $site:ident) => {
        Ok(Function::Sequence(Box::new($options.clone())))
    };
    (features, $options:ident, $site:ident) => {
        Ok(Function::Predictions(OfPredictions::Features(*$options)))
    };
    (made, $options:ident, $site:ident) => {
        Make::make($options, $site)
    };
}

pub(super) use {catalogue, check, defaults, has_parameters, make, options};
