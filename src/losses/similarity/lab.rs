//! The colour space Lab.

use tch::Tensor;

use super::branchless::{above, choose};
use super::filtered::channels_back;
use crate::base::image::color::{channel, Row};
use crate::base::tensor::scalar;
use crate::Result;

/// From linear red, green and blue to X, Y and Z over those of the white of daylight, D50.
const XYZ: [Row; 3] = [
    [0.4124564 / WHITE[0], 0.3575761 / WHITE[0], 0.1804375 / WHITE[0]],
    [0.2126729 / WHITE[1], 0.7151522 / WHITE[1], 0.0721750 / WHITE[1]],
    [0.0193339 / WHITE[2], 0.1191920 / WHITE[2], 0.9503041 / WHITE[2]],
];
const WHITE: Row = [0.964_211_994_421_199_4, 1.0, 0.825_188_284_518_828_8];

/// Where the curve of sRGB begins to bend, and where the cube root begins.
const BEND: f64 = 0.04045;
const ROOT: f64 = 0.008856;
/// The slope of the straight part before the cube root.
const SLOPE: f64 = 903.3 / 116.0;

/// Images `[N, 3, H, W]` in sRGB from 0 to 1 as L, a and b. Negative values lie on the straight parts of the curves.
pub(super) fn lab(colors: &Tensor) -> Result<Tensor> {
    let bent =
        colors.f_clamp_min(BEND)?.f_add_scalar(0.055)?.f_div_scalar(1.055)?.f_pow_tensor_scalar(2.4)?;
    let linear = choose(&above(colors, BEND)?, &bent, &colors.f_div_scalar(12.92)?)?;
    let [x, y, z] = XYZ.map(|row| responses(&channel(&linear, row)?));
    let (x, y, z) = (x?, y?, z?);
    let (a, b) = (x.f_sub(&y)?.f_mul_scalar(500.0)?, y.f_sub(&z)?.f_mul_scalar(200.0)?);
    Ok(Tensor::f_cat(&[y.f_mul_scalar(116.0)?.f_sub_scalar(16.0)?, a, b], 1)?)
}

/// The cube root, with a straight part near 0.
fn responses(light: &Tensor) -> Result<Tensor> {
    let root = light.f_clamp_min(ROOT)?.f_pow_tensor_scalar(1.0 / 3.0)?;
    let straight = light.f_mul_scalar(SLOPE)?.f_add_scalar(16.0 / 116.0)?;
    choose(&above(light, ROOT)?, &root, &straight)
}

/// Lab without a graph, and what its gradient needs.
pub(super) struct Trace {
    /// What [`lab`] returns.
    pub lab: Tensor,
    /// The slopes of the linear colours, by channel.
    of_colors: Tensor,
    /// The slopes of the responses to X, Y and Z: `[N, 3, H, W]`.
    of_lights: Tensor,
}

impl Trace {
    pub fn of(colors: &Tensor) -> Result<Trace> {
        let shifted = colors.f_clamp_min(BEND)?.f_add_scalar_(0.055)?;
        let mut bent = shifted.f_div_scalar(1.055)?.f_pow_tensor_scalar(2.4)?;
        let is_bent = above(colors, BEND)?;
        let linear = choose(&is_bent, &bent, &colors.f_div_scalar(12.92)?)?;
        // The slope of a power is the power over its base: a quotient is faster than another power.
        let of_bent = bent.f_mul_scalar_(2.4)?.f_div_(&shifted)?;
        let of_colors = choose(&is_bent, &of_bent, &scalar(1.0 / 12.92, colors)?)?;

        let [x, y, z] = XYZ.map(|row| channel(&linear, row));
        let lights = Tensor::f_cat(&[x?, y?, z?], 1)?;
        let clamped = lights.f_clamp_min(ROOT)?;
        let mut root = clamped.f_pow_tensor_scalar(1.0 / 3.0)?;
        let is_root = above(&lights, ROOT)?;
        let straight = lights.f_mul_scalar(SLOPE)?.f_add_scalar_(16.0 / 116.0)?;
        let responses = choose(&is_root, &root, &straight)?;
        let of_root = root.f_div_(&clamped)?.f_div_scalar_(3.0)?;
        let of_lights = choose(&is_root, &of_root, &scalar(SLOPE, colors)?)?;
        let [x, y, z] = [0, 1, 2].map(|index| responses.f_narrow(1, index, 1));
        let (x, y, z) = (x?, y?, z?);
        let lightness = y.f_mul_scalar(116.0)?.f_sub_scalar_(16.0)?;
        let (a, b) = (x.f_sub(&y)?.f_mul_scalar_(500.0)?, y.f_sub(&z)?.f_mul_scalar_(200.0)?);
        Ok(Trace { lab: Tensor::f_cat(&[lightness, a, b], 1)?, of_colors, of_lights })
    }

    /// The gradient of the images, given that of [`lab`](Self::lab).
    pub fn gradient(&self, gradient: &Tensor) -> Result<Tensor> {
        let part = |tensor: &Tensor, index: i64| tensor.f_narrow(1, index, 1);
        let [lightness, a, b] = [0, 1, 2].map(|index| part(gradient, index));
        let (a, b) = (a?.f_mul_scalar(500.0)?, b?.f_mul_scalar(200.0)?);
        let of_x = a.f_mul(&part(&self.of_lights, 0)?)?;
        let of_y =
            lightness?.f_mul_scalar(116.0)?.f_sub_(&a)?.f_add_(&b)?.f_mul_(&part(&self.of_lights, 1)?)?;
        let of_z = b.f_neg()?.f_mul_(&part(&self.of_lights, 2)?)?;
        Ok(channels_back(&[(&of_x, XYZ[0]), (&of_y, XYZ[1]), (&of_z, XYZ[2])])?.f_mul_(&self.of_colors)?)
    }
}
