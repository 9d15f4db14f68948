//! What chunking is for: the memory that a step with very many classes needs. It is the peak of the whole process, for
//! libtorch's allocations do not go through Rust's allocator.

use tch::{nn, Device, Kind, Tensor};
use tch_losses::{Chunking, LinearCrossEntropyConfig, LinearCrossEntropyLoss, Loss};

use crate::common::status;

/// The largest part of the process that was ever in memory, in bytes.
fn peak() -> usize {
    status("VmHWM") as usize
}

/// One step of `batch` rows: value and gradients.
fn step(batch: i64, chunking: Chunking) -> [Tensor; 3] {
    let (features, classes) = (32, 16384);
    tch::manual_seed(1);
    let vs = nn::VarStore::new(Device::Cpu);
    let config = LinearCrossEntropyConfig::new(features, classes).with_chunking(chunking);
    let loss = LinearCrossEntropyLoss::new(&vs.root(), config).unwrap();
    let input = Tensor::randn([batch, features], (Kind::Float, Device::Cpu)).set_requires_grad(true);
    let target = Tensor::randint(classes, [batch], (Kind::Int64, Device::Cpu));
    let value = loss.forward(&input, &target);
    value.backward();
    [value.detach(), input.grad(), loss.linear.ws.grad()]
}

pub fn the_logits_are_never_in_memory_all_at_once() {
    // The logits do not depend on the threads, but each thread has memory of its own for matrix products.
    tch::set_num_threads(1);
    let batch = 2048;
    let logits = 4 * batch as usize * 16384;
    // What libtorch keeps for itself, and the parameters.
    let _ = step(8, Chunking::Off);
    let _ = step(8, Chunking::Rows(4));
    let before = peak();
    let pieces = step(batch, Chunking::Rows(32));
    let in_pieces = peak() - before;
    let whole = step(batch, Chunking::Off);
    let at_once = peak() - before;
    // At once, there are the logits, their logarithms and their gradient, all of them written, so that they are in
    // memory whatever the allocator. It may have some left from before, less than one of the three.
    assert!(at_once > 2 * logits, "{at_once} bytes at once, {logits} of logits: the comparison is void");
    // In pieces, the same of 32 rows is 6 MB, and the layer with its gradient and their copies 8 MB: 14 MB. An
    // allocator that keeps each of these twice, in huge pages of 2 MB, takes 40 MB; the bound is 67 MB.
    assert!(in_pieces < logits / 2, "{in_pieces} bytes in pieces, {logits} of logits");
    // f32, sums of up to 2048 numbers in another order: 84 epsilons.
    for (own, other) in pieces.iter().zip(&whole) {
        let difference = (own - other).abs().max() / other.abs().max();
        assert!(difference.double_value(&[]) < 1e-5, "{difference}");
    }
}
