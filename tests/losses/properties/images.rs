//! What holds for every loss, whatever its numbers.
//!
//! Bounds: 1e-12 in f64 (4500 epsilons) and 1e-5 in f32 (84 epsilons) are for one number reached in two ways, through
//! sums that libtorch adds in blocks, so that a sum of n numbers is off by some √n / 2 epsilons at most (here n is up
//! to 12288). Behind the layers of VGG19, each of which adds to the rounding, it is 1e-10 in f64. There the
//! gradient is compared in f64 alone: in f32, rounding takes activations across a ReLU's kink.

use tch::{no_grad, Kind, Tensor};
use tch_losses::{
    BceWithLogitsLoss, DataRange, FeatureCriterion, HuberLoss, InputNormalization, L1Loss, Laplacian, Loss,
    MseLoss, PerceptualLoss, Reduction, SmoothL1Loss, Sobel, Tap,
};

use crate::common::{assert_close, device, few_roundings, noise, value, vgg, Relative};
use crate::support::{images, leaf, with_gradients};

/// Every image loss, VGG's network in `kind`.
fn image_losses(kind: Kind) -> Vec<Box<dyn Loss + Send>> {
    let mut losses = distances(kind);
    losses.push(Box::new(BceWithLogitsLoss::default()));
    losses.push(Box::new(BceWithLogitsLoss {
        weight: Some(noise(11, &[1, 3, 1, 1], kind).abs().into()),
        pos_weight: Some(noise(12, &[3, 1, 1], kind).abs().into()),
        ..Default::default()
    }));
    losses
}

/// Those that are 0 for equal images; the least cross entropy is the entropy of the target.
fn distances(kind: Kind) -> Vec<Box<dyn Loss + Send>> {
    let vgg = vgg().to_kind(kind).unwrap();
    vec![
        Box::new(L1Loss::default()),
        Box::new(MseLoss::default()),
        Box::new(SmoothL1Loss { beta: 0.5, ..Default::default() }),
        Box::new(HuberLoss { delta: 0.5, ..Default::default() }),
        Box::new(Sobel::default()),
        Box::new(Laplacian::default()),
        Box::new(PerceptualLoss::new(vgg.clone())),
        Box::new(PerceptualLoss {
            taps: vec![(Tap::RELU2_1, 0.5), (Tap::RELU1_1, 2.0)],
            criterion: FeatureCriterion::Mse,
            data_range: DataRange::Signed,
            normalization: InputNormalization::ImageNet,
            ..PerceptualLoss::new(vgg)
        }),
    ]
}

/// Rounding leaves some 1e-16 / 1e-6 of a slope of a loss of the magnitude of 1: 1e-8 of slopes of 1/60. A kink
/// is within a step or not, on every machine alike.
#[test]
fn gradients_are_the_slopes_of_the_loss() {
    let step = 1e-6;
    for loss in image_losses(Kind::Double) {
        // Small, and not square; every element of both arguments is moved up and down.
        let (input, target) = (noise(3, &[1, 3, 4, 5], Kind::Double), noise(4, &[1, 3, 4, 5], Kind::Double));
        let (_, to_input, to_target) = with_gradients(loss.as_ref(), &input, &target);
        let slopes = |moves_input: bool| {
            let slopes: Vec<f64> = (0..input.numel() as i64)
                .map(|index| {
                    let at = |offset: f64| {
                        let moved = |tensor: &Tensor| {
                            let copy = tensor.copy();
                            let mut element = copy.view([-1]).narrow(0, index, 1);
                            let _ = element.g_add_scalar_(offset);
                            copy
                        };
                        no_grad(|| match moves_input {
                            true => value(&loss.forward(&moved(&input), &target)),
                            false => value(&loss.forward(&input, &moved(&target))),
                        })
                    };
                    (at(step) - at(-step)) / (2.0 * step)
                })
                .collect();
            Tensor::from_slice(&slopes).view_as(&input).to_device(device())
        };
        assert_close(&format!("{loss:?} input"), &to_input, &slopes(true), 1e-5, Relative::ToLargest);
        assert_close(&format!("{loss:?} target"), &to_target, &slopes(false), 1e-5, Relative::ToLargest);
    }
}

#[test]
fn the_mean_of_the_map_is_the_loss() {
    for kind in [Kind::Double, Kind::Float] {
        let (input, target) = images(kind);
        let tolerance = if kind == Kind::Double { 1e-12 } else { 1e-5 };
        for loss in image_losses(kind) {
            let map = loss.loss_map(&input, &target).unwrap().unwrap();
            assert_eq!(map.size(), [2, 1, 8, 12], "{loss:?}");
            let own = loss.forward(&input, &target);
            assert_close(&format!("{loss:?}"), &map.mean(kind), &own, tolerance, Relative::ToLargest);
        }
    }
}

#[test]
fn the_map_does_not_depend_on_the_reduction() {
    let (input, target) = images(Kind::Double);
    let with = |reduction| -> [Box<dyn Loss>; 7] {
        [
            Box::new(L1Loss { reduction }),
            Box::new(MseLoss { reduction }),
            Box::new(SmoothL1Loss { reduction, ..Default::default() }),
            Box::new(HuberLoss { reduction, ..Default::default() }),
            Box::new(BceWithLogitsLoss { reduction, ..Default::default() }),
            Box::new(Sobel { reduction, ..Default::default() }),
            Box::new(Laplacian { reduction }),
        ]
    };
    for (mean, sum) in with(Reduction::Mean).iter().zip(&with(Reduction::Sum)) {
        let maps = [mean, sum].map(|loss| loss.loss_map(&input, &target).unwrap().unwrap());
        assert_eq!(maps[0], maps[1], "{mean:?}");
    }
}

#[test]
fn the_map_is_where_the_difference_is() {
    let real = noise(5, &[1, 3, 16, 16], Kind::Double);
    let fake = real.copy();
    let _ = fake.narrow(2, 4, 4).narrow(3, 8, 4).g_add_scalar_(0.5);
    for loss in
        [&L1Loss::default() as &dyn Loss, &MseLoss::default(), &Sobel::default(), &Laplacian::default()]
    {
        let map = loss.loss_map(&fake, &real).unwrap().unwrap();
        // One pixel around the block, for the reach of the 3x3 kernels.
        let block = map.narrow(2, 3, 6).narrow(3, 7, 6).sum(None);
        assert!(value(&block) > 0.0, "{loss:?}");
        assert_close(&format!("{loss:?}"), &block, &map.sum(None), 1e-12, Relative::ToLargest);
    }
}

#[test]
fn equal_images_cost_nothing() {
    let (image, _) = images(Kind::Float);
    for loss in distances(Kind::Float) {
        let (loss_value, to_input, to_target) = with_gradients(loss.as_ref(), &image, &image.copy());
        assert_eq!(value(&loss_value), 0.0, "{loss:?}");
        assert_eq!(value(&(to_input.abs().sum(None) + to_target.abs().sum(None))), 0.0, "{loss:?}");
    }
}

#[test]
fn an_expanded_target_is_as_good_as_copies_of_it() {
    let (input, target) = images(Kind::Double);
    let one = target.narrow(0, 0, 1);
    for loss in image_losses(Kind::Double) {
        let expanded = loss.forward(&input, &one.expand_as(&input));
        let copied = loss.forward(&input, &Tensor::cat(&[&one, &one], 0));
        assert_close(&format!("{loss:?}"), &expanded, &copied, 1e-12, Relative::ToLargest);
        // And an expanded input, down to the tensor it was expanded from.
        let small = leaf(&one);
        loss.forward(&small.expand_as(&input), &target).backward();
        let (_, large, _) = with_gradients(loss.as_ref(), &one.expand_as(&input).contiguous(), &target);
        let summed = large.sum_dim_intlist([0i64].as_slice(), true, None);
        assert_close(&format!("{loss:?} input"), &small.grad(), &summed, 1e-10, Relative::ToLargest);
    }
}

#[test]
fn reduced_precision_images_give_reduced_precision_losses() {
    for kind in [Kind::Half, Kind::BFloat16] {
        let tolerance = few_roundings(kind);
        let (input, target) = images(kind);
        for loss in image_losses(Kind::Float) {
            // What the same, already rounded, images give in f32.
            let (in_f32, target_f32) = (input.to_kind(Kind::Float), target.to_kind(Kind::Float));
            let expected = with_gradients(loss.as_ref(), &in_f32, &target_f32);
            let actual = with_gradients(loss.as_ref(), &input, &target);
            let map = loss.loss_map(&input, &target).unwrap().unwrap();
            assert_eq!(map.kind(), kind, "{loss:?}");
            assert!(
                loss.response(&input).unwrap().is_none_or(|response| response.kind() == kind),
                "{loss:?}"
            );
            for (actual, expected) in [(actual.0, expected.0), (actual.1, expected.1), (actual.2, expected.2)]
            {
                assert_eq!(actual.kind(), kind, "{loss:?}");
                let actual = actual.to_kind(Kind::Float);
                assert_close(
                    &format!("{loss:?} {kind:?}"),
                    &actual,
                    &expected,
                    tolerance,
                    Relative::ToLargest,
                );
            }
        }
    }
}

#[test]
fn second_order_gradients_exist() {
    // A gradient penalty: the gradient of a gradient's norm.
    let (input, target) = images(Kind::Double);
    let sobel = Sobel { reduction: Reduction::None, ..Default::default() };
    for loss in [&MseLoss::default() as &dyn Loss, &sobel] {
        let input = leaf(&input);
        let mean = loss.forward(&input, &target).mean(Kind::Double);
        let first = Tensor::run_backward(&[mean], &[&input], true, true);
        first[0].square().sum(None).backward();
        assert!(value(&input.grad().abs().sum(None)) > 0.0, "{loss:?}");
    }
}

#[test]
fn the_smallest_images() {
    for shape in [[1i64, 1, 1, 1], [1, 1, 1, 7], [2, 5, 7, 1]] {
        let (input, target) = (noise(8, &shape, Kind::Float), noise(9, &shape, Kind::Float));
        for loss in [&Sobel::default() as &dyn Loss, &Laplacian::default()] {
            let (loss_value, gradient, _) = with_gradients(loss, &input, &target);
            assert!(value(&loss_value).is_finite(), "{loss:?} {shape:?}");
            assert_eq!(gradient.size(), shape);
            let map = loss.loss_map(&input, &target).unwrap().unwrap();
            assert_eq!(map.size(), [shape[0], 1, shape[2], shape[3]]);
        }
    }
    // The deepest of the default taps has a stride of 4.
    let (input, target) = (noise(8, &[1, 3, 4, 4], Kind::Float), noise(9, &[1, 3, 4, 4], Kind::Float));
    assert!(value(&PerceptualLoss::new(vgg()).forward(&input, &target)) > 0.0);
}
