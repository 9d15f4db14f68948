//! [`TargetFeatures`].

use std::fmt;

use tch::Tensor;

use super::preprocessing::Preprocessing;
use crate::{Error, Pooling, Result, Tap};

/// The features of a target, computed once and compared with many inputs: see
/// [`PerceptualLoss::target_features`](crate::PerceptualLoss::target_features).
#[derive(Debug)]
pub struct TargetFeatures {
    of: Preparation,
    features: Vec<Tensor>,
    /// For a loss that compares them, too.
    images: Option<Tensor>,
}

/// All that decides what the features of an image are, except the image and the parameters.
#[derive(Debug, PartialEq)]
pub(super) struct Preparation {
    pub taps: Vec<Tap>,
    pub pooling: Pooling,
    pub preprocessing: Preprocessing,
    pub image_size: Vec<i64>,
}

impl TargetFeatures {
    pub(super) fn new(of: Preparation, features: Vec<Tensor>) -> TargetFeatures {
        TargetFeatures { of, features, images: None }
    }

    /// With the images themselves.
    pub(super) fn with_images(self, images: Tensor) -> TargetFeatures {
        TargetFeatures { images: Some(images), ..self }
    }

    /// The images, for a loss that compares them, too.
    pub(super) fn images(&self) -> Result<&Tensor> {
        self.images.as_ref().ok_or_else(|| Error::Option {
            option: "target features",
            given: "made by a loss on features alone".into(),
            expected: "features with their images".into(),
        })
    }

    /// The features at each tap, if they were made like this.
    pub(super) fn features(&self, wanted: &Preparation) -> Result<&[Tensor]> {
        if self.of != *wanted {
            return Err(Error::Option {
                option: "target features",
                given: format!("made for {}", self.of),
                expected: wanted.to_string(),
            });
        }
        Ok(&self.features)
    }
}

impl fmt::Display for Preparation {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let Preparation { taps, pooling, preprocessing, image_size } = self;
        let taps: Vec<&str> = taps.iter().map(Tap::as_str).collect();
        write!(formatter, "images of {image_size:?}, taps {}, {preprocessing}", taps.join(", "))?;
        match pooling {
            Pooling::Max => Ok(()),
            pooling => write!(formatter, ", pooling {pooling:?}"),
        }
    }
}
