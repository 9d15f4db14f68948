//! Every kind of bad input gives its error, naming the argument, what was given and what is accepted.

mod common;

use common::{assert_close, device, noise, vgg, Relative};
use tch::{Kind, Reduction, Tensor};
use tch_losses::{
    Architecture, BceLoss, BceWithLogitsLoss, Error, FeatureCriterion, HuberLoss, InputNormalization, L1Loss,
    Laplacian, Loss, LossMap, MseLoss, Network, SmoothL1Loss, Sobel, Tap, VggPerceptual,
};

fn zeros(shape: &[i64]) -> Tensor {
    Tensor::zeros(shape, (Kind::Float, device()))
}

fn losses() -> Vec<Box<dyn LossMap>> {
    vec![
        Box::new(L1Loss::default()),
        Box::new(MseLoss::default()),
        Box::new(SmoothL1Loss::default()),
        Box::new(HuberLoss::default()),
        Box::new(BceLoss::default()),
        Box::new(BceWithLogitsLoss::default()),
        Box::new(Sobel::default()),
        Box::new(Laplacian::default()),
        Box::new(VggPerceptual::new(vgg())),
    ]
}

/// The losses that take images only.
fn image_losses() -> Vec<Box<dyn LossMap>> {
    losses().split_off(6)
}

/// The message of both ways to call the loss.
fn refusal(loss: &dyn LossMap, input: &Tensor, target: &Tensor) -> String {
    let value = loss.try_forward(input, target).expect_err("bad input was accepted").to_string();
    let map = loss.loss_map(input, target).expect_err("bad input was accepted").to_string();
    assert_eq!(value, map, "{loss:?}");
    value
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
    let reduction = Reduction::Other(7);
    let losses: [Box<dyn LossMap>; 8] = [
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
        let expected = "option `reduction` is Other(7), expected None, Mean or Sum";
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
        let bce = BceWithLogitsLoss { weight: Some(other), ..Default::default() };
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
fn sobel_eps() {
    let image = zeros(&[1, 3, 8, 8]);
    for (eps, given) in [(-1e-6, "-0.000001"), (f64::NAN, "NaN"), (f64::INFINITY, "inf")] {
        let sobel = Sobel { eps, ..Default::default() };
        let expected = format!("option `eps` is {given}, expected a finite number, 0 or more");
        assert_eq!(refusal(&sobel, &image, &image), expected);
        assert_eq!(sobel.response(&image).unwrap_err().to_string(), expected);
    }
}

#[test]
fn bce_weights() {
    let logits = zeros(&[2, 3]);
    let with = |weight: Option<Tensor>, pos_weight: Option<Tensor>| {
        let of_probabilities =
            BceLoss { weight: weight.as_ref().map(Tensor::shallow_clone), ..Default::default() };
        let of_probabilities = of_probabilities.try_forward(&logits, &logits);
        let loss = BceWithLogitsLoss { weight, pos_weight, ..Default::default() };
        let loss = loss.try_forward(&logits, &logits).map_err(|error| error.to_string());
        match of_probabilities {
            Ok(_) => {}
            Err(error) => assert_eq!(loss.as_ref().unwrap_err(), &error.to_string()),
        }
        loss
    };
    for shape in [vec![], vec![3], vec![1], vec![2, 1], vec![2, 3]] {
        assert!(with(Some(zeros(&shape)), Some(zeros(&shape))).is_ok(), "{shape:?}");
    }
    for shape in [vec![2], vec![4], vec![1, 2, 3], vec![5, 3], vec![0]] {
        let expected = |name| {
            format!(
                "`{name}` has shape {shape:?}, expected a shape that broadcasts to [2, 3], the shape of `input`"
            )
        };
        assert_eq!(with(Some(zeros(&shape)), None).unwrap_err(), expected("weight"));
        assert_eq!(with(None, Some(zeros(&shape))).unwrap_err(), expected("pos_weight"));
    }
    assert_eq!(with(Some(Tensor::new()), None).unwrap_err(), "`weight` is an undefined tensor");
    // Any real kind, as in PyTorch.
    for kind in [Kind::Double, Kind::Half, Kind::Int64, Kind::Uint8] {
        let weight = || Some(zeros(&[3]).to_kind(kind));
        assert!(with(weight(), weight()).is_ok(), "{kind:?}");
    }
    for kind in [Kind::Bool, Kind::ComplexFloat] {
        let expected = |name| {
            format!("`{name}` has kind {kind:?}, expected Half, BFloat16, Float or Double or an integer")
        };
        assert_eq!(with(Some(zeros(&[3]).to_kind(kind)), None).unwrap_err(), expected("weight"));
        assert_eq!(with(None, Some(zeros(&[3]).to_kind(kind))).unwrap_err(), expected("pos_weight"));
    }
}

#[test]
fn images_that_vgg19_cannot_take() {
    let vgg = vgg();
    let loss = VggPerceptual::new(vgg.clone());
    for shape in [[1, 1, 8, 8], [1, 4, 8, 8], [1, 3, 3, 8], [1, 3, 8, 3]] {
        let expected = format!(
            "`input` has shape {shape:?}, expected [N, 3, H, W] with H and W at least 4 to reach relu3_3"
        );
        assert_eq!(refusal(&loss, &zeros(&shape), &zeros(&shape)), expected);
    }
    // The least size is that of the deepest layer asked for.
    for (layer, place) in common::relus() {
        let taps = [layer.clone()];
        let side = place.stride;
        assert_eq!(place.least, side, "{layer}");
        assert!(vgg.features(&zeros(&[1, 3, side, side]), &taps).is_ok(), "{layer}");
        if side > 1 {
            let error = vgg.features(&zeros(&[1, 3, side - 1, side]), &taps).unwrap_err();
            assert!(matches!(error, Error::Shape { argument: "images", .. }), "{layer}: {error}");
        }
    }
}

#[test]
fn options_of_the_perceptual_loss() {
    let image = zeros(&[1, 3, 8, 8]);
    let with = |taps: &[(Tap, f64)]| VggPerceptual { taps: taps.into(), ..VggPerceptual::new(vgg()) };
    let expected = "option `taps` is empty, expected at least one tap";
    assert_eq!(refusal(&with(&[]), &image, &image), expected);
    assert_eq!(with(&[]).response(&image).unwrap_err().to_string(), expected);
    assert_eq!(with(&[]).target_features(&image).unwrap_err().to_string(), expected);
    for (weight, given) in [(-1.0, "-1"), (f64::NAN, "NaN"), (f64::INFINITY, "inf")] {
        let loss = with(&[(Tap::RELU1_1, 1.0), (Tap::RELU1_2, weight)]);
        let expected = format!("option `taps` is {given}, expected a finite number, 0 or more");
        assert_eq!(refusal(&loss, &image, &image), expected);
    }
    let error = vgg().features(&image, &[]).unwrap_err();
    assert_eq!(error.to_string(), "option `taps` is empty, expected at least one tap");
    for name in ["relu6_1", "relu3_5", "bn1_1", "RELU1_1", "features.37", "features.01", ""] {
        let expected = format!(
            "option `taps` is {name:?}, expected a layer of vgg19: conv1_1 to conv5_4, relu1_1 to relu5_4, pool1 to \
             pool5 or features.0 to features.36"
        );
        let taps = [Tap::RELU1_1, Tap::from(name)];
        assert_eq!(vgg().features(&image, &taps).unwrap_err().to_string(), expected);
        let loss = with(&taps.map(|tap| (tap, 1.0)));
        assert_eq!(refusal(&loss, &image, &image), expected);
        assert_eq!(loss.target_features(&image).unwrap_err().to_string(), expected);
    }
    let error = Network::pretrained(&Architecture::VGG16, device()).unwrap_err();
    let expected = "option `architecture` is vgg16, expected one with known weights: vgg19";
    assert_eq!(error.to_string(), expected);
    let error = vgg().to_kind(Kind::Int64).unwrap_err();
    assert_eq!(error.to_string(), "option `kind` is Int64, expected Half, BFloat16, Float or Double");
}

#[test]
fn target_features_of_another_making() {
    let image = noise(1, &[1, 3, 8, 8], Kind::Float);
    let loss = VggPerceptual::new(vgg());
    let features = loss.target_features(&image).unwrap();
    let refused =
        |loss: &VggPerceptual, image: &Tensor| loss.try_forward_features(image, &features).unwrap_err();

    let other_taps = VggPerceptual { taps: vec![(Tap::RELU1_2, 1.0)], ..loss.clone() };
    assert!(matches!(refused(&other_taps, &image), Error::Option { option: "target features", .. }));
    let normalization = InputNormalization::ImageNetFromUnit;
    let other_range = VggPerceptual { normalization, ..loss.clone() };
    assert!(matches!(refused(&other_range, &image), Error::Option { option: "target features", .. }));
    // A batch of two against the features of one would be broadcast.
    for shape in [[1, 3, 8, 9], [2, 3, 8, 8]] {
        let other_size = noise(1, &shape, Kind::Float);
        assert!(matches!(refused(&loss, &other_size), Error::Option { option: "target features", .. }));
    }
    let other_kind = VggPerceptual { network: loss.network.to_kind(Kind::Double).unwrap(), ..loss.clone() };
    assert!(matches!(refused(&other_kind, &image), Error::Kind { argument: "target features", .. }));
    // The weights and the criterion are the comparison's own affair.
    let other_weights = VggPerceptual {
        taps: loss.taps.iter().map(|(tap, _)| (tap.clone(), 0.5)).collect(),
        criterion: FeatureCriterion::Mse,
        ..loss.clone()
    };
    assert!(other_weights.try_forward_features(&image, &features).is_ok());
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
