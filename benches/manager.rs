//! What the loss manager costs: `cargo bench --bench manager`.
//!
//! `manager/compute` against `manager/by_hand`, which computes the same loss and multiplies: the difference is the manager's
//! overhead, with everything that it does from time to time.

use criterion::{criterion_group, criterion_main, Criterion};
use tch::{Device, Kind, Tensor};
use tch_losses::manager::{LossManager, Term};
use tch_losses::{L1Loss, Loss};

fn compute(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("manager");
    let [x, y] = [1.0, 2.0].map(|value| Tensor::full([16], value, (Kind::Float, Device::Cpu)));
    let x = x.set_requires_grad(true);
    let loss = L1Loss::default();
    group.bench_function("by_hand", |bencher| bencher.iter(|| loss.forward(&x, &y) * 100.0));
    let mut manager = LossManager::new();
    manager.register("G_L1", Term::new(loss).weight(100.0).tags(["G"])).unwrap();
    let mut step = 0;
    group.bench_function("compute", |bencher| {
        bencher.iter(|| {
            manager.begin_step(0, step);
            step += 1;
            manager.compute("G_L1", (&x, &y)).unwrap()
        })
    });
    group.finish();
}

criterion_group!(benches, compute);
criterion_main!(benches);
