//! Images that a generator has made before.

use anyhow::Result;
use fastrand::Rng;
use tch::{no_grad, Device, Kind, Tensor};

use crate::shared::checkpoint::Saved;

/// So many images.
const CAPACITY: i64 = 50;

/// The latest images of a generator, of which the discriminator sees some instead of the newest ones: so it does not
/// forget what it has learnt.
///
/// A. Shrivastava et al., [*Learning from Simulated and Unsupervised Images through Adversarial
/// Training*](https://arxiv.org/abs/1612.07828) (2017).
#[derive(Debug)]
pub struct Pool {
    /// `[CAPACITY, 3, size, size]`, of which the first `count` are images.
    images: Tensor,
    count: i64,
}

impl Pool {
    pub fn new(size: i64, device: Device) -> Pool {
        Pool { images: Tensor::zeros([CAPACITY, 3, size, size], (Kind::Float, device)), count: 0 }
    }

    /// For each image either the image itself or, half of the time, an older one, whose place it takes. The pool
    /// fills first.
    pub fn swap(&mut self, images: &Tensor, chance: &mut Rng) -> Tensor {
        let swap_one = |index| {
            let image = images.narrow(0, index, 1).detach();
            if self.count < CAPACITY {
                self.images.narrow(0, self.count, 1).copy_(&image);
                self.count += 1;
                return image;
            }
            if chance.bool() {
                return image;
            }
            let mut place = self.images.narrow(0, chance.i64(0..CAPACITY), 1);
            let older = place.copy();
            place.copy_(&image);
            older
        };
        let swapped: Vec<Tensor> = no_grad(|| (0..images.size()[0]).map(swap_one).collect());
        Tensor::cat(&swapped, 0)
    }

    /// Everything that changes, by name.
    pub fn state(&self, prefix: &str) -> [(String, Tensor); 2] {
        let count = Tensor::from(self.count);
        [(format!("{prefix}.images"), self.images.shallow_clone()), (format!("{prefix}.count"), count)]
    }

    /// Goes on from a [`state`](Self::state).
    pub fn restore(&mut self, prefix: &str, saved: &Saved) -> Result<()> {
        self.images.f_copy_(&saved.find(&format!("{prefix}.images"))?)?;
        self.count = i64::try_from(&saved.find(&format!("{prefix}.count"))?)?;
        Ok(())
    }
}
