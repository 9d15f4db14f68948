//! What only a CUDA device shows. With feature `cuda` the other tests run on it, too.
#![cfg(feature = "cuda")]

mod common;

use std::time::Instant;

use common::{assert_close, device, noise, vgg, Relative};
use tch::{autocast, Cuda, Device, Kind, Tensor};
use tch_losses::{
    BceLoss, BceWithLogitsLoss, CrossEntropyLoss, Error, FeatureCriterion, HuberLoss, InputNormalization,
    KlDivLoss, L1Loss, Laplacian, Loss, MseLoss, NllLoss, PoissonNllLoss, SmoothL1Loss, Sobel, Streaming,
    VggPerceptual,
};

#[test]
fn partners_on_another_device() {
    let image = noise(1, &[1, 3, 8, 8], Kind::Float);
    let on_cpu = image.to_device(Device::Cpu);
    let losses: [Box<dyn Loss>; 11] = [
        Box::new(L1Loss::default()),
        Box::new(MseLoss::default()),
        Box::new(SmoothL1Loss::default()),
        Box::new(HuberLoss::default()),
        Box::new(KlDivLoss::default()),
        Box::new(PoissonNllLoss::default()),
        Box::new(CrossEntropyLoss::default()),
        Box::new(BceWithLogitsLoss::default()),
        Box::new(Sobel::default()),
        Box::new(Laplacian::default()),
        Box::new(VggPerceptual::new(vgg())),
    ];
    for loss in losses {
        assert_eq!(loss.forward(&image, &image).device(), device(), "{loss:?}");
        let error = loss.try_forward(&image, &on_cpu).unwrap_err();
        assert_eq!(error.to_string(), "`target` is on Cpu, expected Cuda(0), the device of `input`");
    }
}

#[test]
fn weights_and_networks_on_another_device() {
    let image = noise(1, &[1, 3, 8, 8], Kind::Float);
    let on_cpu = image.to_device(Device::Cpu);
    let error = VggPerceptual::new(vgg()).try_forward(&on_cpu, &on_cpu).unwrap_err();
    assert_eq!(error.to_string(), "`input` is on Cpu, expected Cuda(0), the device of the network");
    let bce = BceWithLogitsLoss { pos_weight: Some(on_cpu.copy()), ..Default::default() };
    let error = bce.try_forward(&image, &image).unwrap_err();
    assert!(matches!(error, Error::Device { argument: "pos_weight", .. }), "{error}");
    let bce = BceLoss { weight: Some(on_cpu), ..Default::default() };
    let error = bce.try_forward(&image, &image).unwrap_err();
    assert!(matches!(error, Error::Device { argument: "weight", .. }), "{error}");
}

#[test]
fn classes_and_their_weights_on_another_device() {
    let scores = noise(1, &[2, 3], Kind::Float);
    let classes = Tensor::zeros([2], (Kind::Int64, Device::Cpu));
    let weight = || Some(Tensor::ones([3], (Kind::Float, Device::Cpu)));
    let losses: [Box<dyn Loss>; 2] = [Box::new(CrossEntropyLoss::default()), Box::new(NllLoss::default())];
    for loss in losses {
        let error = loss.try_forward(&scores, &classes).unwrap_err();
        assert!(matches!(error, Error::Device { argument: "target", .. }), "{error}");
    }
    let losses: [Box<dyn Loss>; 2] = [
        Box::new(CrossEntropyLoss { weight: weight(), ..Default::default() }),
        Box::new(NllLoss { weight: weight(), ..Default::default() }),
    ];
    for loss in losses {
        let error = loss.try_forward(&scores, &classes.to_device(device())).unwrap_err();
        assert!(matches!(error, Error::Device { argument: "weight", .. }), "{error}");
    }
}

/// The host goes on while the device is busy: whoever waited for it would wait for the work queued before.
#[test]
fn no_loss_waits_for_the_device() {
    let (input, target) = (noise(1, &[4, 3, 64, 64], Kind::Float), noise(2, &[4, 3, 64, 64], Kind::Float));
    let perceptual = VggPerceptual::new(vgg());
    let losses: [Box<dyn Loss>; 12] = [
        Box::new(L1Loss::default()),
        Box::new(MseLoss::default()),
        Box::new(SmoothL1Loss::default()),
        Box::new(HuberLoss::default()),
        Box::new(KlDivLoss::default()),
        Box::new(PoissonNllLoss::default()),
        Box::new(BceWithLogitsLoss::default()),
        Box::new(Sobel::default()),
        Box::new(Laplacian::default()),
        Box::new(VggPerceptual {
            normalization: InputNormalization::ImageNetFromSigned,
            streaming: Streaming::Images(2),
            ..perceptual.clone()
        }),
        Box::new(VggPerceptual {
            criterion: FeatureCriterion::Mse,
            ..VggPerceptual::new(perceptual.network.to_kind(Kind::Half).unwrap())
        }),
        Box::new(VggPerceptual { streaming: Streaming::Off, ..perceptual }),
    ];
    let matrix = noise(3, &[4096, 4096], Kind::Float);
    // Many times as long as a step of any loss here.
    let occupy = || {
        let mut product = matrix.shallow_clone();
        for _ in 0..400 {
            product = product.matmul(&matrix) * 1e-3;
        }
        product
    };
    let step = |loss: &dyn Loss| {
        let input = input.detach().set_requires_grad(true);
        loss.forward(&input, &target).backward();
        input.grad()
    };
    let returned_early = |loss: &dyn Loss| {
        let start = Instant::now();
        let _product = occupy();
        let _gradient = step(loss);
        let returned = start.elapsed();
        Cuda::synchronize(0);
        returned < start.elapsed() / 2
    };
    for loss in losses {
        // Memory is allocated and kernels are loaded the first time, which does wait.
        let _ = (step(loss.as_ref()), occupy());
        Cuda::synchronize(0);
        // Whoever waits does so each time, and returns when all is finished; a host that is busy with something else
        // may be late now and then.
        assert!((0..10).any(|_| returned_early(loss.as_ref())), "{loss:?} waits for the device");
    }
}

/// Under autocast the network computes in f16; the loss and its gradient are f32, and those of the graph.
#[test]
fn under_autocast() {
    let (input, target) = (noise(1, &[3, 3, 32, 32], Kind::Float), noise(2, &[3, 3, 32, 32], Kind::Float));
    for criterion in [FeatureCriterion::L1, FeatureCriterion::Mse] {
        let loss = VggPerceptual { criterion, streaming: Streaming::Images(2), ..VggPerceptual::new(vgg()) };
        let step = |target: &Tensor| {
            let input = input.detach().set_requires_grad(true);
            let value = autocast(true, || loss.forward(&input, target));
            // As a trainer's loss scaling does; the graph's own gradients would vanish.
            (&value * 65536.0).backward();
            (value.detach(), input.grad())
        };
        let (value, gradient) = step(&target);
        let (expected, direction) = step(&target.detach().set_requires_grad(true));
        let exact = loss.forward(&input, &target);
        assert_eq!((value.kind(), gradient.kind()), (Kind::Float, Kind::Float));
        assert_ne!(value, exact, "autocast did nothing");
        // Features are rounded to half an epsilon of f16, 5e-4, which their mean averages out.
        assert_close("value", &value, &expected, 1e-3, Relative::ToLargest);
        // Both ways are off by a thousandth or two of a feature, and turn a few thousandths of the signs behind L1 and
        // the ReLUs, each of which changes its share of the gradient by as much as twice: 2 √0.005, a seventh of its
        // norm, or a cosine of 0.99. The room is for five times as many signs.
        let (a, e) = (gradient.flatten(0, -1), direction.flatten(0, -1));
        let cosine = common::value(&(a.dot(&e) / (a.norm() * e.norm())));
        assert!(cosine > 0.95, "{cosine}");
    }
}
