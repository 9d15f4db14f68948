//! SSIM and its relatives.

use tch::{no_grad, vision, Kind, Tensor};
use tch_losses::manager::Objective;
use tch_losses::{
    DataRange, Loss, MaskLayout, MsSsimL1Loss, MultiScaleSsimLoss, Reduction, ScalePooling, SsimForm,
    SsimLoss, SsimNormalize, SsimPadding, SsimWindow,
};

use crate::common::{assert_close, device, noise, value, values, waves, Relative};
use crate::support::{leaf, message_of, refusal, zeros};

fn near(what: &str, own: f64, expected: f64) {
    assert!((own - expected).abs() < 1e-10 * expected.abs(), "{what}: {own:?}, expected {expected:?}");
}

fn of_waves(loss: &dyn Loss, shape: [i64; 4]) -> f64 {
    let (x, y) = waves(shape);
    value(&no_grad(|| loss.forward(&x, &y)))
}

const SHAPE: [i64; 4] = [2, 3, 64, 48];

fn gaussian(size: i64, sigma: f64) -> SsimWindow {
    SsimWindow::Gaussian { size, sigma }
}

/// Every loss of this family with every preset, with windows that small images hold.
fn losses() -> Vec<(&'static str, Box<dyn Loss>)> {
    let small = gaussian(5, 1.5);
    let few =
        |loss: MultiScaleSsimLoss| Box::new(loss.with_window(small).with_weights(vec![0.5, 0.25, 0.25]));
    vec![
        ("SSIM", Box::new(SsimLoss::default())),
        ("SSIM of piq", Box::new(SsimLoss::piq())),
        ("SSIM of kornia", Box::new(SsimLoss::kornia())),
        ("SSIM of torchmetrics", Box::new(SsimLoss::torchmetrics())),
        ("MS-SSIM", few(MultiScaleSsimLoss::default())),
        ("MS-SSIM of piq", few(MultiScaleSsimLoss::piq())),
        ("MS-SSIM of torchmetrics", few(MultiScaleSsimLoss::torchmetrics())),
        ("MS-SSIM + L1", Box::new(MsSsimL1Loss::default().with_sigmas(vec![0.5, 1.0, 2.0]))),
        ("MS-SSIM + L1 of old", Box::new(MsSsimL1Loss::default().with_layout(MaskLayout::ScaleMajor))),
    ]
}

#[test]
fn ssim_of_the_references() {
    let score = |loss: &dyn Loss, shape| 1.0 - of_waves(loss, shape);
    let default = SsimLoss::default();
    near("pytorch-msssim", score(&default, SHAPE), 0.8461433806810098);
    let (x, y) = waves(SHAPE);
    let per_image = values(&default.clone().with_reduction(Reduction::None).forward(&x, &y));
    near("its first", 1.0 - per_image[0], 0.8471014940365436);
    near("its second", 1.0 - per_image[1], 0.8451852673254758);
    near("piq", score(&SsimLoss::piq(), SHAPE), 0.8461423656088054);
    let kornia = SsimLoss::kornia();
    near("kornia", value(&kornia.forward(&x, &y)), 0.07481093865819927);
    let of_kornia = |loss: &SsimLoss| 1.0 - 2.0 * value(&loss.forward(&x, &y));
    near("kornia valid", of_kornia(&kornia.clone().with_padding(SsimPadding::Valid)), 0.8461423400775732);
    near("kornia 5", of_kornia(&kornia.with_window(gaussian(5, 1.5))), 0.8289800210581828);
    let torchmetrics = SsimLoss::torchmetrics();
    near("torchmetrics", score(&torchmetrics, SHAPE), 0.8503781446690266);
    let uniform = torchmetrics.with_window(SsimWindow::Uniform { size: 7 });
    near("torchmetrics uniform", score(&uniform, SHAPE), 0.8627932011650074);

    let large = [1, 3, 520, 400];
    near("pytorch-msssim, large", score(&default, large), 0.8514989114978101);
    near("piq, large", score(&SsimLoss::piq(), large), 0.9246795453239711);
    let whole = SsimLoss::piq().with_downsample(false);
    near("piq, large, not shrunk", score(&whole, large), 0.8514977359650948);
}

#[test]
fn multi_scale_ssim_of_the_references() {
    let odd = [1, 3, 193, 180];
    let score = |loss: &dyn Loss| 1.0 - of_waves(loss, odd);
    let default = MultiScaleSsimLoss::default();
    near("pytorch-msssim", score(&default), 0.9659252719714767);
    near("of 161 pixels", 1.0 - of_waves(&default, [1, 3, 161, 161]), 0.9659500280786898);
    let piq = MultiScaleSsimLoss::piq();
    near("piq's module", score(&piq), 0.9659358163274442);
    near("piq's function", score(&piq.with_weights(default.weights)), 0.9659324866554305);
    let torchmetrics = MultiScaleSsimLoss::torchmetrics();
    near("torchmetrics", score(&torchmetrics), 0.9661583002238858);
    let simple = torchmetrics.with_normalize(SsimNormalize::Simple);
    near("torchmetrics simple", score(&simple), 0.9831769648378417);
}

#[test]
fn ms_ssim_and_l1_of_the_references() {
    let kornia = MsSsimL1Loss::default();
    near("kornia", of_waves(&kornia, SHAPE), 9.874325524768844);
    let paper = kornia.clone().with_alpha(0.84).with_compensation(1.0);
    near("alpha of the paper", of_waves(&paper, SHAPE), 0.20091844456308208);
    let old = kornia.clone().with_layout(MaskLayout::ScaleMajor);
    near("the old layout", of_waves(&old, SHAPE), 11.405818207776749);
    let (x, y) = waves(SHAPE);
    let single = value(&kornia.forward(&x.to_kind(Kind::Float), &y.to_kind(Kind::Float)));
    assert!((single - 9.874272346496582).abs() < 1e-3, "{single}");
}

#[test]
fn equal_images_cost_nothing_and_the_order_does_not_matter() {
    let (x, y) = waves([2, 3, 40, 36]);
    for (name, loss) in losses() {
        let same = value(&loss.forward(&x, &x));
        // kornia's eps.
        assert!(same.abs() < 1e-6, "{name}: {same}");
        near(name, value(&loss.forward(&y, &x)), value(&loss.forward(&x, &y)));
    }
}

/// The photo with more and more noise, and smoothed more and more.
#[test]
fn the_loss_grows_with_the_distortion() {
    let file = format!("{}/assets/real.png", env!("CARGO_MANIFEST_DIR"));
    let photo =
        vision::image::load(file).unwrap().unsqueeze(0).to_kind(Kind::Float).to_device(device()) / 255.0;
    let grain = noise(5, &photo.size(), Kind::Float);
    for (name, loss) in losses() {
        let mut last = [0.0; 2];
        for step in 1..5 {
            let noisy = (&photo + &grain * (0.05 * f64::from(step))).clamp(0.0, 1.0);
            let side = 2 * i64::from(step) + 1;
            let smooth = photo.avg_pool2d([side, side], [1, 1], [side / 2, side / 2], false, false, None);
            for (last, distorted) in last.iter_mut().zip([noisy, smooth]) {
                let loss = value(&loss.forward(&distorted, &photo));
                assert!(loss > *last + 1e-3, "{name}: {loss} after {last}");
                *last = loss;
            }
        }
    }
}

/// Forward without a graph computes what libtorch's graph does.
#[test]
fn the_closed_form_is_the_gradient() {
    // Channels and images side by side, sizes that are odd, one channel of one image, and more images than a piece has.
    for shape in [[1, 1, 20, 21], [2, 3, 33, 20], [5, 2, 21, 40], [1, 7, 23, 22], [3, 1, 300, 301]] {
        for kind in [Kind::Double, Kind::Float] {
            let x = (noise(1, &shape, kind) + 1.0) / 2.0;
            let y = (&x + noise(2, &shape, kind) * 0.2).clamp(0.0, 1.0);
            let of_old = shape[1] != 3 || shape[2] > 100;
            for (name, loss) in losses().into_iter().filter(|(name, _)| !(of_old && name.ends_with("old"))) {
                let (alone, both, target) = (leaf(&x), leaf(&x), leaf(&y));
                let (own, expected) = (loss.forward(&alone, &y), loss.forward(&both, &target));
                let what = format!("{name} {shape:?} {kind:?}");
                let tolerance = if kind == Kind::Double { 1e-10 } else { 1e-4 };
                assert_close(&what, &own, &expected, tolerance, Relative::ToLargest);
                own.backward();
                expected.backward();
                assert_close(&what, &alone.grad(), &both.grad(), tolerance, Relative::ToLargest);
            }
        }
    }
}

#[test]
fn gradients_are_finite_where_nothing_varies() {
    let shape = [1, 3, 24, 20];
    for kind in [Kind::Float, Kind::Double] {
        let flat = |value: f64| zeros(&shape).to_kind(kind) + value;
        let (photo, _) = waves(shape);
        let photo = photo.to_kind(kind);
        for (name, loss) in losses() {
            let pairs = [
                (photo.copy(), photo.copy()),
                (flat(0.0), flat(0.0)),
                (flat(1.0), flat(1.0)),
                (flat(0.6), flat(0.6 + 1e-7)),
                (flat(0.0), flat(1.0)),
                (photo.copy(), flat(0.0)),
                (flat(1.0), photo.copy()),
                (photo.copy(), 1.0 - &photo),
            ];
            for (x, y) in pairs {
                for (x, y) in [(leaf(&x), y.copy()), (leaf(&x), leaf(&y))] {
                    let loss = loss.forward(&x, &y);
                    loss.backward();
                    let both = [&x, &y].map(|leaf| leaf.grad()).into_iter().filter(Tensor::defined);
                    for numbers in both.chain([loss]) {
                        assert!(values(&numbers).iter().all(|number| number.is_finite()), "{name} {kind:?}");
                    }
                }
            }
        }
    }
}

/// The negative of an image has an MS-SSIM of 0, from which nothing is learnt, unless its factors are moved.
#[test]
fn negative_structure() {
    let (x, _) = waves([1, 2, 32, 32]);
    let loss = MultiScaleSsimLoss::default().with_window(gaussian(5, 1.5)).with_weights(vec![0.5, 0.5]);
    let of = |loss: &MultiScaleSsimLoss| {
        let x = leaf(&x);
        let loss = loss.forward(&x, &(1.0 - &x.detach()));
        loss.backward();
        (value(&loss), value(&x.grad().abs().max()))
    };
    assert_eq!(of(&loss), (1.0, 0.0));
    let (moved, gradient) = of(&loss.with_normalize(SsimNormalize::Simple));
    assert!(moved > 0.5 && moved < 1.0 && gradient > 0.0, "{moved} {gradient}");
    let ssim = SsimLoss::default();
    assert!(value(&ssim.forward(&x, &(1.0 - &x))) > 1.0);
    assert_eq!(value(&ssim.with_nonnegative(true).forward(&x, &(1.0 - &x))), 1.0);
}

#[test]
fn ranges_are_converted() {
    let (x, y) = waves([1, 3, 24, 20]);
    for (name, loss) in [("SSIM", SsimLoss::default()), ("kornia", SsimLoss::kornia())] {
        let expected = value(&loss.forward(&x, &y));
        let bytes = loss.clone().with_data_range(DataRange::Bytes).forward(&(&x * 255.0), &(&y * 255.0));
        near(name, value(&bytes), expected);
        let signed = loss.with_data_range(DataRange::Signed).forward(&(&x * 2.0 - 1.0), &(&y * 2.0 - 1.0));
        near(name, value(&signed), expected);
    }
}

#[test]
fn maps_lie_within_a_border() {
    let (x, y) = waves([1, 3, 24, 20]);
    let map = SsimLoss::default().loss_map(&x, &y).unwrap().unwrap();
    let inner = map.narrow(2, 5, 14).narrow(3, 5, 10);
    assert_eq!(value(&(map.abs().sum(None) - inner.abs().sum(None)).abs().le(1e-12).all()), 1.0);
    // All of it, scaled: the mean over the places of the window is the loss.
    near("mean", value(&inner.mean(None)) * 140.0 / 480.0, value(&SsimLoss::default().forward(&x, &y)));

    // Two by two pixels are one, and the last row of an odd number has none.
    let (x, y) = waves([1, 1, 385, 390]);
    for loss in [SsimLoss::piq(), SsimLoss::piq().with_padding(SsimPadding::Reflect)] {
        let map = loss.loss_map(&x, &y).unwrap().unwrap();
        assert_eq!(map.size(), [1, 1, 385, 390]);
        near("mean of the shrunk", value(&map.mean(None)), value(&loss.forward(&x, &y)));
        let pixel = |row: i64, column: i64| map.double_value(&[0, 0, row, column]);
        assert_eq!(pixel(100, 100), pixel(101, 101));
        assert_eq!(pixel(384, 100), 0.0);
    }
}

#[test]
fn what_is_too_small() {
    let small = zeros(&[1, 1, 10, 64]);
    let expected =
        "`input` has shape [1, 1, 10, 64], expected [N, C, H, W] with H and W at least 11; a smaller \
                    `window` takes fewer";
    assert_eq!(refusal(&SsimLoss::default(), &small, &small), expected);
    let reflect = zeros(&[1, 1, 64, 5]);
    let expected =
        "`input` has shape [1, 1, 64, 5], expected [N, C, H, W] with H and W at least 6; a smaller `window` \
                    takes fewer";
    assert_eq!(refusal(&SsimLoss::kornia(), &reflect, &reflect), expected);
    let multi = MultiScaleSsimLoss::default();
    let expected =
        "`input` has shape [1, 1, 160, 300], expected [N, C, H, W] with H and W at least 161; fewer \
                    `weights` or a smaller `window` take fewer";
    let image = zeros(&[1, 1, 160, 300]);
    assert_eq!(message_of(multi.try_forward(&image, &image)), expected);
    // Each kind of halving takes images of the size that the message names, and no smaller ones.
    for pooling in [ScalePooling::Zeros, ScalePooling::Replicate, ScalePooling::Floor] {
        for padding in [SsimPadding::Valid, SsimPadding::Reflect] {
            for scales in 1..5 {
                let loss = MultiScaleSsimLoss::default()
                    .with_window(gaussian(5, 1.5))
                    .with_pooling(pooling)
                    .with_padding(padding)
                    .with_weights(vec![0.5; scales]);
                let error = message_of(loss.try_forward(&zeros(&[1, 1, 1, 99]), &zeros(&[1, 1, 1, 99])));
                let least = error.split("at least ").nth(1).unwrap().split(';').next().unwrap();
                let least: i64 = least.parse().unwrap();
                let image = zeros(&[1, 2, least, least + 1]);
                loss.forward(&leaf(&image), &image).backward();
                loss.forward(&image, &leaf(&image)).backward();
            }
        }
    }
    let grey = zeros(&[1, 1, 8, 8]);
    let old = MsSsimL1Loss::default().with_layout(MaskLayout::ScaleMajor);
    let expected = "`input` has shape [1, 1, 8, 8], expected [N, C, H, W] with 3 channels";
    assert_eq!(refusal(&old, &grey, &grey), expected);
}

#[test]
fn options_out_of_their_range() {
    let image = zeros(&[1, 3, 200, 200]);
    let window = |size, sigma| SsimLoss::default().with_window(gaussian(size, sigma));
    for (loss, problem) in [
        (window(4, 1.5), "option `window` is of the size 4, expected an odd size of at least 1"),
        (window(-1, 1.5), "option `window` is of the size -1, expected an odd size of at least 1"),
        (window(3, 0.0), "option `window` is with a sigma of 0, expected a finite sigma greater than 0"),
        (window(3, f64::NAN), "option `window` is with a sigma of NaN, expected a finite sigma greater than 0"),
        (
            window(193, 1.5).with_downsample(true),
            "option `window` is of the size 193 with `downsample`, expected a size of at most 192, which shrunk \
             images have at least",
        ),
    ] {
        assert_eq!(refusal(&loss, &image, &image), problem);
    }
    let weights = |weights: Vec<f64>| {
        message_of(MultiScaleSsimLoss::default().with_weights(weights).try_forward(&image, &image))
    };
    assert_eq!(weights(vec![]), "option `weights` is of 0 numbers, expected 1 to 30 numbers");
    assert_eq!(weights(vec![1.0; 31]), "option `weights` is of 31 numbers, expected 1 to 30 numbers");
    for number in [f64::NAN, f64::INFINITY, -0.5] {
        let expected = format!("option `weights` is {number} among them, expected finite numbers, 0 or more");
        assert_eq!(weights(vec![0.5, number]), expected);
    }
    let sigmas = |sigmas: Vec<f64>| refusal(&MsSsimL1Loss::default().with_sigmas(sigmas), &image, &image);
    assert_eq!(sigmas(vec![]), "option `sigmas` is empty, expected a number at least");
    let expected = "option `sigmas` is 0 among them, expected numbers greater than 0, up to 1000";
    assert_eq!(sigmas(vec![0.5, 0.0]), expected);
    // 30 scales of a window of 5 pixels: the size is told, and nothing overflows.
    let many =
        MultiScaleSsimLoss::default().with_window(gaussian(1 << 40 | 1, 1.5)).with_weights(vec![0.1; 30]);
    assert!(
        message_of(many.try_forward(&image, &image)).contains("at least 9223372036854775807"),
        "overflow"
    );
}

#[test]
fn options_in_a_file() {
    let read = |options: &str| {
        let text = format!("[losses.structure]\nloss = \"SSIMLoss\"\noptions = {{ {options} }}");
        Objective::from_toml(&text).map(|objective| objective.to_toml().unwrap())
    };
    let with = |window: SsimWindow| {
        let mut objective = Objective::default();
        let spec = tch_losses::manager::LossSpec::SsimLoss(SsimLoss::kornia().with_window(window));
        objective.losses.insert("structure".into(), spec.into());
        objective.to_toml().unwrap()
    };
    let kornia = "exact_window = true, padding = \"reflect\", eps = 1e-12, form = \"halved\"";
    let own = |window: &str| read(&format!("{kornia}, window = {window}")).unwrap();
    assert_eq!(own("{ gaussian = { size = 5 } }"), with(gaussian(5, 1.5)));
    assert_eq!(own("{ uniform = { size = 7 } }"), with(SsimWindow::Uniform { size: 7 }));
    assert_eq!(SsimLoss::kornia().form, SsimForm::Halved);
    let error = read("window = { gaussian = { size = 6 } }").unwrap_err().to_string();
    assert!(error.contains("window: given of the size 6, expected an odd size of at least 1"), "{error}");
}
