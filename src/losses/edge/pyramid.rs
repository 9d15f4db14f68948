//! The level of a Laplacian pyramid that [`EdgeLoss`](super::EdgeLoss) compares, in the size of the image.
//!
//! An image is blurred, every second pixel of it is dropped, and what is left is spread and blurred again. The difference
//! to the image is the fine detail. All of it is linear in the image.
//!
//! The blur is made of shifted views: in libtorch, a convolution of each channel by itself takes a hundred times as long.

use tch::Tensor;

use crate::base::tensor::scalar;
use crate::Result;

/// Of `[0.05, 0.25, 0.4, 0.25, 0.05]` along both axes, from the border to the centre.
const ALONG: [f32; 3] = [0.05, 0.25, 0.4];

/// How far the blur reaches.
const REACH: i64 = 2;

/// The weight at these distances from the border of the kernel. MPRNet rounds the products to f32, whatever the images'
/// kind.
fn weight(row: usize, column: usize) -> f64 {
    f64::from(ALONG[row] * ALONG[column])
}

/// The detail in planes `[N, C, H, W]`. Works in libtorch's graph and without.
pub(super) fn detail(planes: &Tensor) -> Result<Tensor> {
    Ok(planes.f_sub(&blur(&every_second(&blur(planes)?)?)?)?)
}

/// The adjoint of [`detail`].
pub(super) fn adjoint(planes: &Tensor) -> Result<Tensor> {
    Ok(planes.f_sub(&blur_adjoint(&every_second(&blur_adjoint(planes)?)?)?)?)
}

/// Beyond its borders, an image goes on as it ends.
fn blur(planes: &Tensor) -> Result<Tensor> {
    inside(&planes.f_replication_pad2d([REACH; 4].as_slice())?)
}

/// What falls on a pixel beyond the border goes to the pixel that it repeats.
fn blur_adjoint(planes: &Tensor) -> Result<Tensor> {
    let wide = inside(&planes.f_constant_pad_nd([2 * REACH; 4].as_slice())?)?;
    Ok(planes.f_replication_pad2d_backward(&wide, [REACH; 4].as_slice())?)
}

/// The weighted sums where the kernel lies within the planes: `[N, C, H - 4, W - 4]`.
fn inside(padded: &Tensor) -> Result<Tensor> {
    let size = padded.size();
    let [.., height, width] = size[..] else { unreachable!("an image has four dimensions") };
    let rows = |by: i64| padded.f_narrow(2, by, height - 2 * REACH);
    // The kernel is symmetric: two rows have the same weights, and two columns.
    let pairs = [rows(0)?.f_add(&rows(4)?)?, rows(1)?.f_add(&rows(3)?)?, rows(2)?];
    let columns: [&[i64]; 3] = [&[0, 4], &[1, 3], &[2]];
    let inner = [size[0], size[1], height - 2 * REACH, width - 2 * REACH];
    let mut sum = Tensor::f_zeros(inner, (padded.kind(), padded.device()))?;
    for (column, places) in columns.into_iter().enumerate() {
        let mut weighted = pairs[0].f_mul_scalar(weight(0, column))?;
        for (row, pair) in pairs.iter().enumerate().skip(1) {
            weighted = weighted.f_addcmul_(pair, &scalar(weight(row, column), padded)?)?;
        }
        for by in places {
            sum = sum.f_add_(&weighted.f_narrow(3, *by, inner[3])?)?;
        }
    }
    Ok(sum)
}

/// Four times the pixels in even rows and columns, from 0, among zeros.
fn every_second(planes: &Tensor) -> Result<Tensor> {
    let even = |planes: &Tensor| planes.f_slice(2, 0, None, 2)?.f_slice(3, 0, None, 2);
    let kept = planes.f_zeros_like()?;
    even(&kept)?.f_copy_(&even(planes)?.f_mul_scalar(4.0)?)?;
    Ok(kept)
}
