//! Random numbers that follow from the seed, the purpose and the step, so that a run can be resumed.

use fastrand::Rng;

/// A source of chance for one purpose in one step.
pub fn chance(seed: u64, purpose: &str, step: u64) -> Rng {
    let purpose = purpose.bytes().fold(seed, |hash, byte| Rng::with_seed(hash ^ u64::from(byte)).u64(..));
    Rng::with_seed(purpose.wrapping_add(Rng::with_seed(step).u64(..)))
}
