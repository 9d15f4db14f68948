//! The colour space Lab.

use tch::Tensor;

use crate::base::image::color::{channel, Row};
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

/// Images `[N, 3, H, W]` in sRGB from 0 to 1 as L, a and b. Negative values lie on the straight parts of the curves.
pub(super) fn lab(colors: &Tensor) -> Result<Tensor> {
    let bent =
        colors.f_clamp_min(BEND)?.f_add_scalar(0.055)?.f_div_scalar(1.055)?.f_pow_tensor_scalar(2.4)?;
    let linear = bent.f_where_self(&colors.f_gt(BEND)?, &colors.f_div_scalar(12.92)?)?;
    let [x, y, z] = XYZ.map(|row| responses(&channel(&linear, row)?));
    let (x, y, z) = (x?, y?, z?);
    let (a, b) = (x.f_sub(&y)?.f_mul_scalar(500.0)?, y.f_sub(&z)?.f_mul_scalar(200.0)?);
    Ok(Tensor::f_cat(&[y.f_mul_scalar(116.0)?.f_sub_scalar(16.0)?, a, b], 1)?)
}

/// The cube root, with a straight part near 0.
fn responses(light: &Tensor) -> Result<Tensor> {
    let root = light.f_clamp_min(ROOT)?.f_pow_tensor_scalar(1.0 / 3.0)?;
    let straight = light.f_mul_scalar(903.3 / 116.0)?.f_add_scalar(16.0 / 116.0)?;
    Ok(root.f_where_self(&light.f_gt(ROOT)?, &straight)?)
}
