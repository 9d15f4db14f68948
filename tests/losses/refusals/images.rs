//! What the losses on images refuse, in both ways to call them.

use tch::{Kind, Tensor};
use tch_losses::{
    BceLoss, BceWithLogitsLoss, Error, HuberLoss, L1Loss, Laplacian, Loss, MseLoss, PerceptualLoss,
    Reduction, SmoothL1Loss, Sobel,
};

use crate::common::{assert_close, device, noise, vgg, Relative};
use crate::support::{refusal, zeros};

fn losses() -> Vec<Box<dyn Loss>> {
    vec![
        Box::new(L1Loss::default()),
        Box::new(MseLoss::default()),
        Box::new(SmoothL1Loss::default()),
        Box::new(HuberLoss::default()),
        Box::new(BceLoss::default()),
        Box::new(BceWithLogitsLoss::default()),
        Box::new(Sobel::default()),
        Box::new(Laplacian::default()),
        Box::new(PerceptualLoss::new(vgg())),
    ]
}

/// The losses that take images only.
fn image_losses() -> Vec<Box<dyn Loss>> {
    losses().split_off(6)
}

#[test]
fn undefined_tensors() {
    let image = zeros(&[1, 3, 8, 8]);
    for loss in losses() {
        let loss = loss.as_ref();
        assert_eq!(refusal(loss, &Tensor::new(), &image), "`input` is an undefined tensor");
        assert_eq!(refusal(loss, &image, &Tensor::new()), "`target` is an undefined tensor");
    }
}

#[test]
fn kinds() {
    let image = zeros(&[1, 3, 8, 8]);
    for loss in losses() {
        let loss = loss.as_ref();
        for kind in [Kind::Int64, Kind::Uint8, Kind::Bool, Kind::ComplexFloat] {
            let expected = format!("`input` has kind {kind:?}, expected Half, BFloat16, Float or Double");
            assert_eq!(refusal(loss, &image.to_kind(kind), &image), expected);
            let expected = format!("`target` has kind {kind:?}, expected Half, BFloat16, Float or Double");
            assert_eq!(refusal(loss, &image, &image.to_kind(kind)), expected);
        }
        assert_eq!(
            refusal(loss, &image, &image.to_kind(Kind::Double)),
            "`target` has kind Double, expected Float, the kind of `input`"
        );
    }
}

#[test]
fn shapes_that_differ() {
    let image = zeros(&[2, 3, 8, 8]);
    for loss in losses() {
        // The second row has as many elements; its first is what NHWC images look like.
        let wrong = [
            [2i64, 3, 8, 9].as_slice(),
            &[1, 3, 8, 8],
            &[2, 1, 8, 8],
            &[3, 8, 8],
            &[],
            &[2, 8, 8, 3],
            &[3, 2, 8, 8],
            &[2, 3, 4, 16],
            &[384],
        ];
        for shape in wrong {
            assert_eq!(
                refusal(loss.as_ref(), &image, &zeros(shape)),
                format!("`target` has shape {shape:?}, expected [2, 3, 8, 8], the shape of `input`")
            );
        }
    }
}

#[test]
fn what_is_not_an_image() {
    for loss in image_losses() {
        for shape in
            [vec![3, 8, 8], vec![], vec![0, 3, 8, 8], vec![1, 0, 8, 8], vec![1, 3, 0, 8], vec![1, 3, 8, 0]]
        {
            assert_eq!(
                refusal(loss.as_ref(), &zeros(&shape), &zeros(&shape)),
                format!("`input` has shape {shape:?}, expected [N, C, H, W] with every size at least 1")
            );
            assert!(matches!(loss.response(&zeros(&shape)), Err(Error::Shape { argument: "image", .. })));
        }
    }
    // The losses on values take any shape, but a map needs an image.
    for loss in losses().into_iter().take(6) {
        let vector = zeros(&[5]);
        assert!(loss.try_forward(&vector, &vector).is_ok());
        assert!(matches!(loss.loss_map(&vector, &vector), Err(Error::Shape { argument: "input", .. })));
    }
}

#[test]
fn reductions() {
    let image = zeros(&[1, 3, 8, 8]);
    let reduction = Reduction::BatchMean;
    let losses: [Box<dyn Loss>; 8] = [
        Box::new(L1Loss { reduction }),
        Box::new(MseLoss { reduction }),
        Box::new(SmoothL1Loss { reduction, ..Default::default() }),
        Box::new(HuberLoss { reduction, ..Default::default() }),
        Box::new(BceLoss { reduction, ..Default::default() }),
        Box::new(BceWithLogitsLoss { reduction, ..Default::default() }),
        Box::new(Sobel { reduction, ..Default::default() }),
        Box::new(Laplacian { reduction }),
    ];
    for loss in losses {
        let expected = "option `reduction` is batchmean, expected none, mean or sum";
        assert_eq!(refusal(loss.as_ref(), &image, &image), expected);
    }
}

#[test]
fn layouts_that_are_not_dense() {
    let image = zeros(&[1, 3, 8, 8]);
    let mut others = vec![image.to_sparse(None, None::<i64>, 0)];
    if device() == tch::Device::Cpu {
        others.push(image.to_mkldnn());
    }
    for other in others {
        for loss in losses() {
            let expected =
                |name| format!("`{name}` is a sparse or mkldnn tensor, expected a dense one (`to_dense`)");
            assert_eq!(refusal(loss.as_ref(), &other, &image), expected("input"));
            assert_eq!(refusal(loss.as_ref(), &image, &other), expected("target"));
        }
        let bce = BceWithLogitsLoss { weight: Some(other.into()), ..Default::default() };
        assert!(matches!(bce.try_forward(&image, &image), Err(Error::Layout { argument: "weight" })));
    }
}

#[test]
fn messages_of_libtorch_come_without_their_backtrace() {
    let error = Error::from(zeros(&[2]).f_add(&zeros(&[3])).unwrap_err()).to_string();
    assert!(error.contains("The size of tensor a (2) must match"), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
}

#[test]
fn forward_panics_with_the_message_of_the_error() {
    let (image, other) = (zeros(&[1, 3, 8, 8]), zeros(&[1, 3, 8, 9]));
    let expected = "`target` has shape [1, 3, 8, 9], expected [1, 3, 8, 8], the shape of `input`";
    for loss in losses() {
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| loss.forward(&image, &other)));
        assert_eq!(panic.unwrap_err().downcast_ref::<String>().unwrap(), expected);
    }
}

#[test]
fn a_refused_call_leaves_the_next_one_right() {
    let image = |seed| noise(seed, &[1, 3, 8, 8], Kind::Float).abs(); // probabilities for some
    let (input, target) = (image(1), image(2));
    for loss in losses() {
        let before = loss.forward(&input, &target);
        assert!(loss.try_forward(&input, &zeros(&[1])).is_err());
        let input = input.detach().set_requires_grad(true);
        let after = loss.forward(&input, &target);
        // Where a gradient is wanted, the sums may run in another order: some epsilons of f32.
        assert_close(&format!("{loss:?}"), &after.detach(), &before, 1e-5, Relative::ToLargest);
        assert!(after.requires_grad(), "{loss:?}");
    }
}
