//! [`ScalePooling`].

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::Result;

/// How the images of a scale become those of the next one: means of 2 by 2 pixels. What differs is where a side is odd.
///
/// In an objective's file it is a word: `pooling = "floor"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScalePooling {
    /// Zeros lie around an odd side, and count.
    #[default]
    Zeros,
    /// If any side is odd, the first row and the first column count twice.
    Replicate,
    /// The last row or column of an odd side is left out.
    Floor,
}

impl ScalePooling {
    /// How many rows and columns lie around planes before they are halved: repeated ones above and to the left, or
    /// zeros on all sides.
    fn margins(self, planes: &Tensor) -> (i64, [i64; 2]) {
        let size = planes.size();
        let odd = [size[2] % 2, size[3] % 2];
        match self {
            ScalePooling::Zeros => (0, odd),
            ScalePooling::Replicate => (odd[0].max(odd[1]), [0, 0]),
            ScalePooling::Floor => (0, [0, 0]),
        }
    }

    pub(super) fn halved(self, planes: &Tensor) -> Result<Tensor> {
        let (repeated, zeros) = self.margins(planes);
        let planes = self.repeated(planes, repeated)?;
        Ok(planes.f_avg_pool2d([2, 2], [2, 2], zeros, false, true, None)?)
    }

    /// The adjoint of [`halved`](Self::halved) for such planes.
    pub(super) fn back(self, gradient: &Tensor, planes: &Tensor) -> Result<Tensor> {
        let (repeated, zeros) = self.margins(planes);
        let pooled = self.repeated(planes, repeated)?;
        let gradient = pooled.f_avg_pool2d_backward(gradient, [2, 2], [2, 2], zeros, false, true, None)?;
        match repeated {
            0 => Ok(gradient),
            _ => Ok(planes.f_replication_pad2d_backward(&gradient, [repeated, 0, repeated, 0])?),
        }
    }

    /// With so many more rows above and columns to the left.
    fn repeated(self, planes: &Tensor, count: i64) -> Result<Tensor> {
        match count {
            0 => Ok(planes.shallow_clone()),
            _ => Ok(planes.f_replication_pad2d([count, 0, count, 0])?),
        }
    }
}
