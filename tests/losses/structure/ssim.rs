//! SSIM and its relatives.

use tch::{no_grad, Kind, Tensor};
use tch_losses::{
    DataRange, Loss, MaskLayout, MsSsimL1Loss, MultiScaleSsimLoss, Reduction, ScalePooling, SsimForm,
    SsimLoss, SsimNormalize, SsimPadding, SsimWindow,
};

use crate::common::{assert_close, device, noise, value, values, waves, Relative};
use crate::support::refusal;

fn near(what: &str, own: f64, expected: f64) {
    assert!((own - expected).abs() < 1e-10 * expected.abs(), "{what}: {own:?}, expected {expected:?}");
}

fn score(loss: &dyn Loss, shape: [i64; 4]) -> f64 {
    let (x, y) = waves(shape);
    1.0 - value(&no_grad(|| loss.forward(&x, &y)))
}

const SHAPE: [i64; 4] = [2, 3, 64, 48];

#[test]
fn numbers_of_the_references() {
    let default = SsimLoss::default();
    near("pytorch-msssim", score(&default, SHAPE), 0.8461433806810098);
    let (x, y) = waves(SHAPE);
    let per_image = values(&default.clone().with_reduction(Reduction::None).forward(&x, &y));
    near("its first", 1.0 - per_image[0], 0.8471014940365436);
    near("its second", 1.0 - per_image[1], 0.8451852673254758);
    near("piq", score(&SsimLoss::piq(), SHAPE), 0.8461423656088054);
    let kornia = SsimLoss::kornia();
    near("kornia", value(&kornia.forward(&x, &y)), 0.07481093865819927);
    let of_kornia = |loss: &SsimLoss| 1.0 - 2.0 * value(&loss.forward(&x, &y));
    near("kornia valid", of_kornia(&kornia.clone().with_padding(SsimPadding::Valid)), 0.8461423400775732);
    let five = SsimWindow::Gaussian { size: 5, sigma: 1.5 };
    near("kornia 5", of_kornia(&kornia.with_window(five)), 0.8289800210581828);
    let torchmetrics = SsimLoss::torchmetrics();
    near("torchmetrics", score(&torchmetrics, SHAPE), 0.8503781446690266);
    let uniform = torchmetrics.with_window(SsimWindow::Uniform { size: 7 });
    near("torchmetrics uniform", score(&uniform, SHAPE), 0.8627932011650074);
}
