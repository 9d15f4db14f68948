//! [`Predictions`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::base::check;
use crate::{Error, Result};

/// What a discriminator gives for a batch of images: raw outputs, without a sigmoid.
///
/// It comes [from](From) references and copies nothing:
///
/// | discriminator | given |
/// |---|---|
/// | one | `&Tensor` |
/// | one for each of several scales | `&Vec<Tensor>`, a slice or an array |
/// | the same with their features | `&Vec<Vec<Tensor>>`, a slice or an array of `Vec`s |
///
/// The outputs of a scale with features are its last tensor. A single discriminator with features is a list of one
/// scale.
#[derive(Debug, Clone, Copy)]
pub enum Predictions<'a> {
    /// The outputs of one discriminator.
    One(&'a Tensor),
    /// The outputs of each scale.
    Scales(&'a [Tensor]),
    /// The features of each scale, of which the last are the outputs.
    Features(&'a [Vec<Tensor>]),
}

macro_rules! from {
    ($($list:ty [$($size:tt)*] => $variant:ident;)*) => {$(
        impl<'a $($size)*> From<&'a $list> for Predictions<'a> {
            fn from(given: &'a $list) -> Self {
                Predictions::$variant(given)
            }
        }
    )*};
}

from! {
    Tensor [] => One;
    [Tensor] [] => Scales;
    Vec<Tensor> [] => Scales;
    [Tensor; N] [, const N: usize] => Scales;
    [Vec<Tensor>] [] => Features;
    Vec<Vec<Tensor>> [] => Features;
    [Vec<Tensor>; N] [, const N: usize] => Features;
}

impl<'a> Predictions<'a> {
    /// The outputs of each scale, of which there is one at least: floating, of one kind, on one device.
    pub(super) fn outputs(self, argument: &'static str) -> Result<Vec<&'a Tensor>> {
        let outputs: Vec<&Tensor> = match self {
            Predictions::One(outputs) => vec![outputs],
            Predictions::Scales(scales) => scales.iter().collect(),
            Predictions::Features(scales) => {
                let last = |features: &'a Vec<Tensor>| features.last();
                let last: Option<Vec<&Tensor>> = scales.iter().map(last).collect();
                last.ok_or_else(|| empty(argument, "a scale without tensors", "the features of each scale"))?
            }
        };
        let Some(first) = outputs.first() else {
            return Err(empty(argument, "no scale", "one scale at least"));
        };
        check::floating(argument, first)?;
        for other in &outputs[1..] {
            check::floating(argument, other)?;
            same_kind_and_device(argument, other, first, "the first scale")?;
        }
        Ok(outputs)
    }
}

/// The outputs of each scale for real and for fake images: as many of one as of the other, on one device, of one kind.
pub(super) fn real_and_fake<'a>(
    real: Predictions<'a>,
    fake: Predictions<'a>,
) -> Result<(Vec<&'a Tensor>, Vec<&'a Tensor>)> {
    let (real, fake) = (real.outputs("real")?, fake.outputs("fake")?);
    check::partners(("real", real[0]), ("fake", fake[0]))?;
    if real.len() != fake.len() {
        let expected = format!("{}, as many as `real`", real.len());
        return Err(Error::Value { argument: "fake", given: count(fake.len(), "scale"), expected });
    }
    Ok((real, fake))
}

/// So many things, in words.
pub(super) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// An error about a list.
pub(super) fn empty(argument: &'static str, given: &str, expected: &str) -> Error {
    Error::Value { argument, given: given.into(), expected: expected.into() }
}

pub(super) fn same_kind_and_device(
    argument: &'static str,
    tensor: &Tensor,
    first: &Tensor,
    called: &str,
) -> Result<()> {
    if tensor.kind() != first.kind() {
        let expected = format!("{:?}, the kind of {called}", first.kind());
        return Err(Error::Kind { argument, given: tensor.kind(), expected });
    }
    if tensor.device() != first.device() {
        let expected = format!("{:?}, the device of {called}", first.device());
        return Err(Error::Device { argument, given: tensor.device(), expected });
    }
    Ok(())
}

/// How the losses of several scales, or of several layers, become one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ListReduction {
    /// Their mean.
    #[default]
    Mean,
    /// Their sum.
    Sum,
}

impl ListReduction {
    /// What each of `count` losses counts in their sum.
    pub(super) fn share(self, count: usize) -> f64 {
        match self {
            ListReduction::Mean => 1.0 / count as f64,
            ListReduction::Sum => 1.0,
        }
    }
}
