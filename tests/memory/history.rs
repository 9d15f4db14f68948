//! What a manager's history takes.

use tch::{Device, Kind, Tensor};
use tch_losses::manager::{LossManager, Term};
use tch_losses::CharbonnierLoss;

use crate::common::status;
use crate::streaming::MB;

/// A step has four tensors of 3 MB. The values of hundreds of steps, of a few bytes each, leave that as it is: they do not
/// lie between the tensors, where the allocator cannot join what is free.
pub fn remembered_values_do_not_hold_the_memory_around_them() {
    let mut manager = LossManager::new();
    manager.register("G", Term::new(CharbonnierLoss::default())).unwrap();
    let images = || Tensor::rand([4, 3, 256, 256], (Kind::Float, Device::Cpu));
    let (fake, real) = (images(), images());
    let mut steps = |count: usize| {
        for _ in 0..count {
            let fake = fake.detach().set_requires_grad(true);
            manager.compute("G", (&fake, &real)).unwrap().backward();
        }
    };
    steps(10);
    let before = status("VmRSS");
    steps(400);
    let grown = status("VmHWM").saturating_sub(before) / MB;
    assert!(grown < 100, "{grown} MB");
}
