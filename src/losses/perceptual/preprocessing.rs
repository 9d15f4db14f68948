//! From images to what a network takes.

use std::fmt;

use tch::Tensor;

use crate::networks::Extractor;
use crate::{DataRange, Error, InputNormalization, Result, Tap};

/// What happens to images before a network sees them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Preprocessing {
    pub data_range: DataRange,
    pub normalization: InputNormalization,
}

impl Preprocessing {
    /// Checks the options.
    pub(super) fn check(self) -> Result<()> {
        self.data_range.check()
    }

    /// The images `[N, 3, H, W]` as the network is to see them. One channel is repeated to three.
    pub(super) fn apply(self, images: &Tensor) -> Result<Tensor> {
        self.normalization.apply(&in_three_channels(images)?, self.data_range)
    }

    /// Checks that the network can take these images, once they are prepared, as far as the deepest of the taps.
    pub(super) fn check_images(
        network: &dyn Extractor,
        argument: &'static str,
        images: &Tensor,
        taps: &[Tap],
    ) -> Result<()> {
        let size = images.size();
        if size.len() != 4 || size[1] == 3 {
            return network.check_images(argument, images, taps);
        }
        if size[1] != 1 {
            let expected = "[N, C, H, W] with 1 or 3 channels".into();
            return Err(Error::Shape { argument, given: size, expected });
        }
        match network.check_images(argument, &in_three_channels(images)?, taps) {
            // As the caller gave them.
            Err(Error::Shape { argument, expected, .. }) => {
                let expected = expected.replace("[N, 3, H, W]", "[N, 1, H, W]");
                Err(Error::Shape { argument, given: size, expected })
            }
            checked => checked,
        }
    }
}

fn in_three_channels(images: &Tensor) -> Result<Tensor> {
    match images.size()[..] {
        [_, 1, _, _] => Ok(images.f_expand([-1i64, 3, -1, -1].as_slice(), false)?),
        _ => Ok(images.shallow_clone()),
    }
}

impl fmt::Display for Preprocessing {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let Preprocessing { data_range, normalization } = self;
        write!(formatter, "normalization {normalization:?}")?;
        match normalization {
            InputNormalization::None => Ok(()),
            _ => write!(formatter, ", data range {data_range}"),
        }
    }
}
