//! What only a CUDA device shows. With feature `cuda` the other tests run on it, too.
#![cfg(feature = "cuda")]

mod common;

use common::{device, noise, vgg};
use tch::{Device, Kind};
use tch_losses::{BceWithLogitsLoss, Error, L1Loss, Laplacian, Loss, MseLoss, Sobel, VggPerceptual};

#[test]
fn partners_on_another_device() {
    let image = noise(1, &[1, 3, 8, 8], Kind::Float);
    let on_cpu = image.to_device(Device::Cpu);
    let losses: [Box<dyn Loss>; 6] = [
        Box::new(L1Loss::default()),
        Box::new(MseLoss::default()),
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
    let bce = BceWithLogitsLoss { pos_weight: Some(on_cpu), ..Default::default() };
    let error = bce.try_forward(&image, &image).unwrap_err();
    assert!(matches!(error, Error::Device { argument: "pos_weight", .. }), "{error}");
}
