//! What only a CUDA device shows. With feature `cuda`, all other tests run on it, too.
#![cfg(feature = "cuda")]

use std::collections::BTreeSet;
use std::time::Instant;

use tch::{autocast, Cuda, Device, Kind, Tensor};
use tch_losses::{
    DataRange, Error, FeatureCriterion, InputNormalization, L1Loss, Laplacian, Loss, PerceptualLoss, Sobel,
    Streaming,
};

use super::for_each;
use crate::common::{assert_close, device, noise, value, vgg, Relative};

/// A partner on another device is an error that names it. Weights are brought to the input's device.
#[test]
fn partners_on_another_device() {
    for_each(|subject| {
        for position in 1..subject.arguments.len() {
            let role = subject.arguments[position].called();
            let mut tensors = subject.tensors();
            tensors[position] = tensors[position].to_device(Device::Cpu);
            match subject.compute(subject.reductions()[0], &tensors) {
                // Labels of sequences may be on the CPU.
                Ok(loss) => {
                    assert_eq!((subject.loss(), loss.device()), ("CtcLoss", device()), "{}", subject.name);
                }
                Err(Error::Device { argument, .. }) => assert_eq!(argument, role, "{}", subject.name),
                Err(error) => panic!("{}: {error}", subject.name),
            }
        }
    });
}

#[test]
fn networks_on_another_device() {
    let on_cpu = noise(1, &[1, 3, 8, 8], Kind::Float).to_device(Device::Cpu);
    let error = PerceptualLoss::new(vgg()).try_forward(&on_cpu, &on_cpu).unwrap_err();
    assert_eq!(error.to_string(), "`input` is on Cpu, expected Cuda(0), the device of the network");
}

/// The host goes on while the device is busy: whoever waited for it would wait for the work queued before.
#[test]
fn which_losses_wait_for_the_device() {
    let matrix = noise(3, &[4096, 4096], Kind::Float);
    // Many times as long as a step of any loss here.
    let occupy = || {
        let mut product = matrix.shallow_clone();
        for _ in 0..40 {
            product = product.matmul(&matrix) * 1e-3;
        }
        product
    };
    let _ = occupy();
    let mut waiting = BTreeSet::new();
    let mut check = |loss: &str, step: &dyn Fn()| {
        let returned_early = || {
            let start = Instant::now();
            let _product = occupy();
            step();
            let returned = start.elapsed();
            Cuda::synchronize(0);
            returned < start.elapsed() / 2
        };
        // Memory is allocated and kernels are loaded the first time, which does wait.
        step();
        Cuda::synchronize(0);
        // Whoever waits does so each time, and returns when all is finished; a host that is busy with something else
        // may be late now and then.
        if !(0..4).any(|_| returned_early()) {
            waiting.insert(loss.to_owned());
        }
    };
    let (input, target) = (noise(1, &[4, 3, 64, 64], Kind::Float), noise(2, &[4, 3, 64, 64], Kind::Float));
    let perceptual = PerceptualLoss::new(vgg());
    let images: [Box<dyn Loss>; 6] = [
        Box::new(L1Loss::default()),
        Box::new(Sobel::default()),
        Box::new(Laplacian::default()),
        Box::new(PerceptualLoss {
            data_range: DataRange::Signed,
            normalization: InputNormalization::ImageNet,
            streaming: Streaming::Images(2),
            ..perceptual.clone()
        }),
        Box::new(PerceptualLoss {
            criterion: FeatureCriterion::Mse,
            ..PerceptualLoss::new(perceptual.network.to_kind(Kind::Half).unwrap())
        }),
        Box::new(PerceptualLoss { streaming: Streaming::Off, ..perceptual }),
    ];
    for loss in images {
        check(&format!("{loss:?}"), &|| {
            let input = input.detach().set_requires_grad(true);
            loss.forward(&input, &target).backward();
        });
    }
    // Networks are loaded here; their losses are above. A weight of the recordings is on the CPU, and has a gradient.
    let mut seen = BTreeSet::new();
    for_each(|subject| {
        let has_weight = !subject.case.tensor_options.is_empty();
        if subject.family == "perceptual" || has_weight || !seen.insert(subject.loss()) {
            return;
        }
        let tensors = subject.tensors();
        check(subject.loss(), &|| {
            let leaves = subject.leaves(&tensors);
            subject.compute(subject.reductions()[0], &leaves).unwrap().backward();
        });
    });
    // Their pages say so. The clusters of an adaptive soft-max have sizes, CTC reads its labels, and the decomposition of
    // a matrix reports whether it succeeded.
    let waits = ["AdaptiveLogSoftmaxWithLoss", "CtcLoss", "InformationWeightedSsimLoss"];
    // These start so many kernels that the device's queue may be full. libtorch's kernel of a hinge of classes waits now
    // and then.
    let may_wait = ["FsimLoss", "MultiMarginLoss", "VifLoss", "VsiLoss"];
    waiting.retain(|loss| !may_wait.contains(&loss.as_str()));
    assert_eq!(waiting, waits.map(str::to_owned).into());
}

/// Under autocast the network computes in f16; the loss and its gradient are f32, and those of the graph.
#[test]
fn under_autocast() {
    let (input, target) = (noise(1, &[3, 3, 32, 32], Kind::Float), noise(2, &[3, 3, 32, 32], Kind::Float));
    for criterion in [FeatureCriterion::L1, FeatureCriterion::Mse] {
        let loss =
            PerceptualLoss { criterion, streaming: Streaming::Images(2), ..PerceptualLoss::new(vgg()) };
        let step = |target: &Tensor| {
            let input = input.detach().set_requires_grad(true);
            let value = autocast(true, || loss.forward(&input, target));
            // As a trainer's loss scaling does; the graph's own gradients would vanish.
            (&value * 65536.0).backward();
            (value.detach(), input.grad())
        };
        let (own, gradient) = step(&target);
        let (expected, direction) = step(&target.detach().set_requires_grad(true));
        let exact = loss.forward(&input, &target);
        assert_eq!((own.kind(), gradient.kind()), (Kind::Float, Kind::Float));
        assert_ne!(own, exact, "autocast did nothing");
        // Features are rounded to half an epsilon of f16, 5e-4, which their mean averages out.
        assert_close("value", &own, &expected, 1e-3, Relative::ToLargest);
        // Both ways are off by a thousandth or two of a feature, and turn a few thousandths of the signs behind L1 and
        // the ReLUs, each of which changes its share of the gradient by as much as twice: 2 √0.005, a seventh of its
        // norm, or a cosine of 0.99. The room is for five times as many signs.
        let (a, e) = (gradient.flatten(0, -1), direction.flatten(0, -1));
        let cosine = value(&(a.dot(&e) / (a.norm() * e.norm())));
        assert!(cosine > 0.95, "{cosine}");
    }
}
