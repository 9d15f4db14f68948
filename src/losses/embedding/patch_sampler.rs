//! [`PatchSampler`].

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::base::tensor::on_device;
use crate::base::{check, setters};
use crate::{Error, Result};

/// Takes the features of random places of an image, for [`PatchNceLoss`](crate::PatchNceLoss).
///
/// All images of a batch have the same places, and so have `query` and `key`: draw them once for both.
///
/// The places are a function of their number and of the seed, on every machine. libtorch's generator is not touched.
///
/// - **Defaults**: `num_patches` 256, CUT's.
///
/// Source: [`PatchSampleF` of
/// CUT](https://github.com/taesungp/contrastive-unpaired-translation/blob/master/models/networks.py).
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::PatchSampler;
///
/// let sampler = PatchSampler::default().with_num_patches(4);
/// let features = Tensor::rand([2, 8, 3, 5], (Kind::Float, Device::Cpu));
/// let step = 7; // a seed for each training step
/// let places = sampler.indices(3 * 5, step)?;
/// let patches = sampler.sample(&features, &places)?;
/// assert_eq!(patches.size(), [2, 4, 8]);
/// # Ok::<(), tch_losses::Error>(())
/// ```
#[doc(alias = "PatchSampleF")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PatchSampler {
    /// How many places are drawn, if there are as many.
    pub num_patches: i64,
}

impl Default for PatchSampler {
    fn default() -> Self {
        PatchSampler { num_patches: 256 }
    }
}

setters!(PatchSampler { with_num_patches(num_patches: i64) });

impl PatchSampler {
    /// Checks whether each option is in its range.
    ///
    /// # Errors
    /// [`Error::Option`] for the first option that is out of its range.
    pub fn check_options(&self) -> Result<()> {
        check::at_least_1("num_patches", self.num_patches)
    }

    /// Different places of so many `positions`, the height times the width of the features: the first ones of a random
    /// permutation, `num_patches` at most.
    ///
    /// # Errors
    /// A negative number of `positions`, or options out of their range.
    pub fn indices(&self, positions: i64, seed: u64) -> Result<Vec<i64>> {
        self.check_options()?;
        if positions < 0 {
            let expected = "the height times the width".into();
            return Err(Error::Value { argument: "positions", given: positions.to_string(), expected });
        }
        let mut places: Vec<i64> = (0..positions).collect();
        let drawn = positions.min(self.num_patches) as usize;
        for place in 0..drawn {
            let number = xxh3_64_with_seed(&(place as u64).to_le_bytes(), seed);
            // The number as a part of 2^64, of what is left.
            let left = (places.len() - place) as u128;
            places.swap(place, place + ((u128::from(number) * left) >> 64) as usize);
        }
        places.truncate(drawn);
        Ok(places)
    }

    /// The features `[B, C, H, W]` at the places, counted row by row: `[B, P, C]`. Gradients flow to `features`.
    ///
    /// # Errors
    /// Features that are no images, and places that they do not have.
    pub fn sample(&self, features: &Tensor, indices: &[i64]) -> Result<Tensor> {
        check::image("features", features)?;
        let shape = features.size();
        let positions = shape[2] * shape[3];
        if let Some(place) = indices.iter().find(|place| !(0..positions).contains(*place)) {
            let expected = format!("places from 0 to {}", positions - 1);
            return Err(Error::Value { argument: "indices", given: place.to_string(), expected });
        }
        let places = on_device(&Tensor::f_from_slice(indices)?, features.device(), Kind::Int64)?;
        Ok(features.f_flatten(2, 3)?.f_index_select(2, &places)?.f_transpose(1, 2)?)
    }
}
