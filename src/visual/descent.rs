//! What a loss alone makes of a picture.

use tch::nn::{self, OptimizerConfig};
use tch::{no_grad, Kind, Tensor};

use crate::base::check;
use crate::base::precision::accumulation_kind;
use crate::{Error, Loss, Result};

/// The step of Adam at the start, in values of pixels; it falls to 0 along half a cosine.
const RATE: f64 = 0.03;

/// Changes the picture `start` so that `loss` calls it like `real`, and nothing else is asked of it: what the loss
/// restores alone.
///
/// The pixels are the parameters of Adam. Its step is 0.03 at the start and falls to 0 along half a cosine. After each
/// step, pixels are brought back between 0 and 1. How large the loss is does not matter, for Adam does not look at it.
///
/// - **Shapes**: `real` and `start` are image batches `[N, C, H, W]` of one shape, from 0 to 1.
/// - **Progress**: `progress` is told the number of each step that is done.
///
/// # Errors
/// Other shapes or kinds; images that the loss refuses; a loss or a gradient that is not finite.
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::visual::descend;
/// use tch_losses::{Loss, MseLoss};
///
/// # tch::manual_seed(0);
/// let real = Tensor::rand([1, 3, 16, 16], (Kind::Float, Device::Cpu));
/// let grey = real.full_like(0.5);
/// let restored = descend(&MseLoss::default(), &grey, &real, 100, |_| ())?;
/// let mse = MseLoss::default().forward(&restored, &real).double_value(&[]);
/// assert!(mse < 1e-3, "{mse}");
/// # Ok::<(), tch_losses::Error>(())
/// ```
pub fn descend(
    loss: &dyn Loss,
    start: &Tensor,
    real: &Tensor,
    steps: u64,
    mut progress: impl FnMut(u64),
) -> Result<Tensor> {
    check::image("start", start)?;
    check::image_pair(start, real)?;
    // Steps are too small for half kinds.
    let kind = accumulation_kind(start.kind());
    let real = &real.f_to_kind(kind)?;
    let mut store = nn::VarStore::new(start.device());
    store.set_kind(kind);
    let mut pixels = store.root().f_var_copy("pixels", &start.f_detach()?)?;
    let mut adam = nn::Adam::default().build(&store, RATE)?;
    for step in 0..steps {
        adam.set_lr(RATE * 0.5 * (1.0 + (std::f64::consts::PI * step as f64 / steps as f64).cos()));
        let value = loss.try_forward(&pixels, real)?.f_mean(None)?;
        // Gradients of a mean over all pixels would be as small as the number that Adam adds to their size.
        adam.zero_grad();
        value.f_mul_scalar(pixels.numel() as f64)?.f_backward()?;
        let sum = value.f_detach()?.f_double_value(&[])?
            + pixels.f_grad()?.f_sum(Kind::Double)?.f_double_value(&[])?;
        if !sum.is_finite() {
            let (given, expected) =
                (format!("{sum} in step {}", step + 1), "a finite value and gradient".into());
            return Err(Error::Value { argument: "loss", given, expected });
        }
        adam.step();
        let _ = no_grad(|| pixels.f_clamp_(0.0, 1.0))?;
        progress(step + 1);
    }
    Ok(pixels.f_detach()?.f_to_kind(start.kind())?)
}
