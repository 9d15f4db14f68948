//! The options of losses that have tensors among them: as data, lists of numbers.

use serde::{Deserialize, Serialize};
use tch::{Device, Reduction, Tensor};

use super::networks::Networks;
use super::spec::Build;
use crate::base::check;
use crate::manager::Term;
use crate::{
    BceLoss, BceWithLogitsLoss, CrossEntropyLoss, MultiLabelSoftMarginLoss, MultiMarginLoss, NllLoss, Result,
};

/// Makes the options of a loss as data: its tensors as lists, and the rest as it is.
macro_rules! with_lists {
    ($(
        $(#[$doc:meta])*
        $spec:ident of $loss:ident {
            $($(#[$list_doc:meta])* $list:ident,)*
            ;
            $($(#[$option_doc:meta])* $option:ident: $type:ty,)*
        }
        $check:expr;
    )*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
            #[serde(default, deny_unknown_fields)]
            pub struct $spec {
                $($(#[$list_doc])* #[serde(skip_serializing_if = "Option::is_none")] pub $list: Option<Vec<f32>>,)*
                $($(#[$option_doc])* pub $option: $type,)*
                /// Its `reduction`.
                #[serde(with = "crate::base::reduction::name")]
                pub reduction: Reduction,
            }

            impl Default for $spec {
                fn default() -> Self {
                    let $loss { reduction, $($option,)* .. } = Default::default();
                    $spec { $($list: None,)* $($option,)* reduction }
                }
            }

            impl Build for $spec {
                fn check(&self) -> Result<()> {
                    $(finite(stringify!($list), &self.$list)?;)*
                    let check: fn(&$spec) -> Result<()> = $check;
                    check(self)
                }

                fn build(&self, device: Device, _: &mut Networks) -> Result<Term> {
                    Ok(Term::new($loss {
                        $($list: tensor(&self.$list, device)?,)*
                        $($option: self.$option,)*
                        reduction: self.reduction,
                    }))
                }
            }
        )*
    };
}

with_lists! {
    /// The options of [`BceLoss`] as data; the defaults are the same.
    BceSpec of BceLoss {
        /// Its `weight`, one number for each place on the last axis of the input (or one for all).
        weight,
        ;
    }
    |_| Ok(());

    /// The options of [`BceWithLogitsLoss`] as data; the defaults are the same.
    BceWithLogitsSpec of BceWithLogitsLoss {
        /// Its `weight`, one number for each place on the last axis of the input (or one for all).
        weight,
        /// Its `pos_weight`, one number for each place on the last axis of the input (or one for all).
        pos_weight,
        ;
    }
    |_| Ok(());

    /// The options of [`CrossEntropyLoss`] as data; the defaults are the same.
    CrossEntropySpec of CrossEntropyLoss {
        /// Its `weight`, one number for each class.
        weight,
        ;
        /// Its `ignore_index`.
        ignore_index: i64,
        /// Its `label_smoothing`.
        label_smoothing: f64,
    }
    |options| check::fraction("label_smoothing", options.label_smoothing);

    /// The options of [`NllLoss`] as data; the defaults are the same.
    NllSpec of NllLoss {
        /// Its `weight`, one number for each class.
        weight,
        ;
        /// Its `ignore_index`.
        ignore_index: i64,
    }
    |_| Ok(());

    /// The options of [`MultiMarginLoss`] as data; the defaults are the same.
    MultiMarginSpec of MultiMarginLoss {
        /// Its `weight`, one number for each class.
        weight,
        ;
        /// Its `p`.
        p: i64,
        /// Its `margin`.
        margin: f64,
    }
    |options| MultiMarginLoss { p: options.p, margin: options.margin, ..Default::default() }.check_options();

    /// The options of [`MultiLabelSoftMarginLoss`] as data; the defaults are the same.
    MultiLabelSoftMarginSpec of MultiLabelSoftMarginLoss {
        /// Its `weight`, one number for each class.
        weight,
        ;
    }
    |_| Ok(());
}

fn finite(option: &'static str, values: &Option<Vec<f32>>) -> Result<()> {
    values.iter().flatten().try_for_each(|value| check::finite(option, f64::from(*value)))
}

fn tensor(values: &Option<Vec<f32>>, device: Device) -> Result<Option<Tensor>> {
    let tensor = |values: &[f32]| Ok(Tensor::f_from_slice(values)?.f_to_device(device)?);
    values.as_deref().map(tensor).transpose()
}
