//! [`GanLoss`] as other libraries have it.

use super::{GanActivation, GanLoss, GanMode, ListReduction};

impl GanLoss {
    /// pix2pix of [pytorch-CycleGAN-and-pix2pix](https://github.com/junyanz/pytorch-CycleGAN-and-pix2pix): `Vanilla`,
    /// half the sum for the discriminator.
    pub fn pix2pix() -> Self {
        GanLoss { discriminator_factor: 0.5, ..GanLoss::of(GanMode::Vanilla) }
    }

    /// CycleGAN of [pytorch-CycleGAN-and-pix2pix](https://github.com/junyanz/pytorch-CycleGAN-and-pix2pix): `Lsgan`,
    /// half the sum for the discriminator. CUT has the same; its `nonsaturating`, which gives a value for each image,
    /// is not here.
    pub fn cyclegan() -> Self {
        GanLoss { mode: GanMode::Lsgan, ..GanLoss::pix2pix() }
    }

    /// `GANLoss` and `MultiScaleGANLoss` of
    /// [BasicSR](https://github.com/XPixelGroup/BasicSR/blob/master/basicsr/losses/gan_loss.py), which mmgeneration and
    /// KAIR have as well. `wgan_softplus` is [`GanMode::NonSaturating`]. BasicSR's `loss_weight` counts for the
    /// generator alone: it is [`generator_factor`](Self::generator_factor).
    pub fn basicsr(mode: GanMode) -> Self {
        GanLoss::of(mode)
    }

    /// [pix2pixHD](https://github.com/NVIDIA/pix2pixHD): `Lsgan`, half the sum for the discriminator, and the sum over
    /// scales. Its `no_lsgan` is the mode `Vanilla`, here on logits: where pix2pixHD's sigmoid saturates, its logarithm
    /// ends at -100.
    pub fn pix2pixhd() -> Self {
        GanLoss { scales: ListReduction::Sum, ..GanLoss::cyclegan() }
    }

    /// [SPADE](https://github.com/NVlabs/SPADE): `Hinge`, without a factor. Its modes `original`, `ls` and `w` are
    /// `Vanilla`, `Lsgan` and `Wgan`.
    pub fn spade() -> Self {
        GanLoss::of(GanMode::Hinge)
    }

    /// [StyleGAN2](https://github.com/NVlabs/stylegan2-ada-pytorch), StyleGAN2-ADA and StyleGAN3: `NonSaturating`. The
    /// R1 penalty is not part of it.
    pub fn stylegan2() -> Self {
        GanLoss::of(GanMode::NonSaturating)
    }

    /// [imaginaire](https://github.com/NVlabs/imaginaire): `Lsgan` has a factor of one half on all terms. Its
    /// `non_saturated` is `Vanilla`, computed as cross entropy. It takes the `k` best outputs only where `k` is below
    /// 1, which is not here.
    pub fn imaginaire(mode: GanMode) -> Self {
        let factor = if mode == GanMode::Lsgan { 0.5 } else { 1.0 };
        GanLoss { discriminator_factor: factor, generator_factor: factor, ..GanLoss::of(mode) }
    }

    /// [PyTorch-StudioGAN](https://github.com/POSTECH-CVLab/PyTorch-StudioGAN): `Lsgan` has a factor of one half on all
    /// terms. Its discriminator of the mode `Vanilla` has `sp(f - 1)` in place of `sp(f)`, which is not here.
    pub fn studiogan(mode: GanMode) -> Self {
        GanLoss::imaginaire(mode)
    }

    /// `PatchAdversarialLoss` of [MONAI](https://docs.monai.io/en/stable/losses.html): `Lsgan` behind a leaky ReLU,
    /// `Hinge` behind a hyperbolic tangent, with the hinge for the generator, too. MONAI's default is `Lsgan`. Its
    /// `bce` is `Vanilla`, here on logits: where MONAI's sigmoid saturates, its logarithm ends at -100. MONAI's
    /// tutorials halve the discriminator's sum.
    pub fn monai(mode: GanMode) -> Self {
        let activation = match mode {
            GanMode::Lsgan => GanActivation::LeakyRelu,
            GanMode::Hinge => GanActivation::Tanh,
            _ => GanActivation::None,
        };
        GanLoss { activation, hinged_generator: mode == GanMode::Hinge, ..GanLoss::of(mode) }
    }

    fn of(mode: GanMode) -> Self {
        GanLoss { mode, ..GanLoss::default() }
    }
}
