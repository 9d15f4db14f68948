//! The objective of CycleGAN.

use super::{discriminator, generator};
use crate::manager::objective::{LossSpec, Objective};
use crate::{GanLoss, L1Loss};

/// The objective of CycleGAN: two generators between two sets of photos, without pairs.
///
/// `G_A` makes a B of an A, and `G_B` an A of a B. `D_A` judges what looks like a B, and `D_B` what looks like an A: each
/// discriminator is called after the generator that it is against, as in the source. With `fake_b = G_A(a)` and
/// `fake_a = G_B(b)`:
///
/// | name | loss | weight | tags | of |
/// |---|---|---|---|---|
/// | `G_GAN_A` | `GanLoss`, lsgan, generator | 1 | G | `D_A(fake_b)` |
/// | `G_GAN_B` | `GanLoss`, lsgan, generator | 1 | G | `D_B(fake_a)` |
/// | `G_CYCLE_A` | `L1Loss` | 10 | G, cycle | `G_B(fake_b)`, `a` |
/// | `G_CYCLE_B` | `L1Loss` | 10 | G, cycle | `G_A(fake_a)`, `b` |
/// | `G_IDT_A` | `L1Loss` | 5 | G, identity | `G_A(b)`, `b` |
/// | `G_IDT_B` | `L1Loss` | 5 | G, identity | `G_B(a)`, `a` |
/// | `D_GAN_A` | `GanLoss`, lsgan, discriminator, factor 0.5 | 1 | D | `D_A(b)`, `D_A(fake_b)` |
/// | `D_GAN_B` | `GanLoss`, lsgan, discriminator, factor 0.5 | 1 | D | `D_B(a)`, `D_B(fake_a)` |
///
/// Both generators' step minimises the sum of the losses with the tag G. They have different inputs, so each is computed
/// by its name. For the discriminators, the fakes are detached, and come from a pool of the latest 50. The weights 10 are
/// `lambda_A` and `lambda_B`; those of the identity are half of them, `lambda_identity`.
///
/// Source: J.-Y. Zhu et al., [*Unpaired image-to-image translation using cycle-consistent adversarial
/// networks*](https://arxiv.org/abs/1703.10593) (2017);
/// [`cycle_gan_model.py`](https://github.com/junyanz/pytorch-CycleGAN-and-pix2pix/blob/master/models/cycle_gan_model.py).
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::manager::cyclegan;
///
/// let mut manager = cyclegan().build(Device::Cpu)?;
/// # let [a, again, outputs] = [3, 3, 1].map(|channels| Tensor::rand([1, channels, 8, 8], (Kind::Float, Device::Cpu)));
/// // `again` is a after both generators, `outputs` is what a discriminator says of a fake.
/// let cycle = manager.compute("G_CYCLE_A", (&again, &a))?;
/// let gan = manager.compute("G_GAN_A", &outputs)?;
/// # assert!((cycle + gan).double_value(&[]) > 0.0);
/// # Ok::<(), tch_losses::Error>(())
/// ```
#[doc(alias = "CycleGANModel")]
pub fn cyclegan() -> Objective {
    let l1 = || LossSpec::L1Loss(L1Loss::default());
    let gan = GanLoss::cyclegan();
    Objective::default()
        .with("G_GAN_A", generator(gan), 1.0, &["G"])
        .with("G_GAN_B", generator(gan), 1.0, &["G"])
        .with("G_CYCLE_A", l1(), 10.0, &["G", "cycle"])
        .with("G_CYCLE_B", l1(), 10.0, &["G", "cycle"])
        .with("G_IDT_A", l1(), 5.0, &["G", "identity"])
        .with("G_IDT_B", l1(), 5.0, &["G", "identity"])
        .with("D_GAN_A", discriminator(gan), 1.0, &["D"])
        .with("D_GAN_B", discriminator(gan), 1.0, &["D"])
}
