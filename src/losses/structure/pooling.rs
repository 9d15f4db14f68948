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
        Ok(self.padded(planes)?.f_avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None)?)
    }

    /// The adjoint of [`halved`](Self::halved) for such planes.
    pub(super) fn back(self, gradient: &Tensor, planes: &Tensor) -> Result<Tensor> {
        let padded = self.padded(planes)?;
        let gradient = padded.f_avg_pool2d_backward(gradient, [2, 2], [2, 2], [0, 0], false, true, None)?;
        let (repeated, [rows, columns]) = self.margins(planes);
        if repeated > 0 {
            return Ok(planes.f_replication_pad2d_backward(&gradient, [repeated, 0, repeated, 0])?);
        }
        let size = planes.size();
        Ok(gradient.f_narrow(2, rows, size[2])?.f_narrow(3, columns, size[3])?)
    }

    /// With what lies around them. The pool is not asked to pad: on CUDA, libtorch's way back is wrong then where
    /// channels are last in memory.
    fn padded(self, planes: &Tensor) -> Result<Tensor> {
        let (repeated, [rows, columns]) = self.margins(planes);
        if repeated > 0 {
            return Ok(planes.f_replication_pad2d([repeated, 0, repeated, 0])?);
        }
        if (rows, columns) == (0, 0) {
            return Ok(planes.shallow_clone());
        }
        Ok(planes.f_constant_pad_nd([columns, columns, rows, rows].as_slice())?)
    }
}
