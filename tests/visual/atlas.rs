//! The atlas: distortions as PyTorch and Pillow have them, and losses whose answers are known.

use std::collections::HashMap;
use std::path::Path;

use tch::{Device, Kind, Tensor};
use tch_losses::visual::{Answers, Atlas, Distortion, LossAnswers, Point, Subject};
use tch_losses::{Error, L1Loss, Loss, MseLoss, PsnrLoss, Result};

use crate::common::{uniform, value};

/// A photo and its distortions, by `scripts/fixtures/atlas.py`.
fn recorded() -> HashMap<String, Tensor> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/atlas.safetensors");
    Tensor::read_safetensors(path).unwrap().into_iter().collect()
}

fn photo() -> Tensor {
    recorded().remove("photo").unwrap()
}

/// The same photo, so far from black and white that nothing is cut off.
fn pale() -> Tensor {
    photo() * 0.4 + 0.3
}

fn largest(difference: Tensor) -> f64 {
    value(&difference.abs().max())
}

fn mean(tensor: Tensor) -> f64 {
    value(&tensor.mean(Kind::Double))
}

#[test]
fn distortions_are_those_of_torchvision_and_pillow() {
    let recorded = recorded();
    let photo = &recorded["photo"];
    let mut checked = 0;
    for (name, expected) in &recorded {
        let Some((kind, strength)) = name.split_once(' ') else { continue };
        let strength = strength.parse().unwrap();
        let apply = |distortion: Distortion| distortion.apply(photo, strength, 0).unwrap();
        checked += 1;
        match kind {
            "blur" => assert!(largest(apply(Distortion::Blur) - expected) < 2e-6, "{name}"),
            "contrast" => assert!(largest(apply(Distortion::Contrast) - expected) < 2e-6, "{name}"),
            "rotation" => {
                // torchvision fills what comes from beyond the edge with black.
                let inner = |image: &Tensor| image.narrow(2, 5, 30).narrow(3, 5, 38);
                let off = largest(inner(&apply(Distortion::Rotation)) - inner(expected));
                assert!(off < 1e-4, "{name}: {off}");
            }
            "jpeg" => {
                // Two programs round colours and coefficients differently. What they do to the photo is nearly the same.
                let (own, theirs) = (apply(Distortion::Jpeg) - photo, expected - photo);
                let length = |difference: &Tensor| value(&difference.square().sum(Kind::Double)).sqrt();
                let cosine = value(&(&own * &theirs).sum(Kind::Double)) / (length(&own) * length(&theirs));
                let ratio = length(&own) / length(&theirs);
                assert!(cosine > 0.95 && (ratio - 1.0).abs() < 0.05, "{name}: {cosine} {ratio}");
            }
            _ => panic!("{name}"),
        }
    }
    assert_eq!(checked, 9);
}

#[test]
fn shifts_move_pixels_and_repeat_the_edge() {
    let photo = photo();
    let whole = Distortion::Shift.apply(&photo, 3.0, 0).unwrap();
    assert!(largest(whole.narrow(3, 3, 45) - photo.narrow(3, 0, 45)) < 1e-4);
    assert!(largest(whole.narrow(3, 0, 3) - photo.narrow(3, 0, 1)) < 1e-4);
    let half = Distortion::Shift.apply(&photo, 0.5, 0).unwrap();
    let between = (photo.narrow(3, 0, 47) + photo.narrow(3, 1, 47)) / 2.0;
    assert!(largest(half.narrow(3, 1, 47) - between) < 1e-4);
}

#[test]
fn checkerboards_alternate() {
    let photo = pale();
    let change = Distortion::Checkerboard.apply(&photo, 0.1, 0).unwrap() - &photo;
    for (row, column) in [(0, 0), (0, 1), (1, 0), (1, 1), (17, 4), (39, 47)] {
        let expected = if (row + column) % 2 == 0 { 0.1 } else { -0.1 };
        let found = change.double_value(&[0, 1, row, column]);
        assert!((found - expected).abs() < 1e-6, "{row} {column}: {found}");
    }
    assert!(largest(change.abs() - 0.1) < 1e-6);
}

#[test]
fn colour_casts_keep_the_luminance() {
    let photo = pale();
    let change = Distortion::ColourCast.apply(&photo, 0.2, 0).unwrap() - &photo;
    let channel = |number| change.narrow(1, number, 1);
    assert!(largest(channel(0) - 0.2) < 1e-6);
    assert!(largest(channel(2) + 0.2) < 1e-6);
    assert!(largest(channel(0) * 0.299 + channel(1) * 0.587 + channel(2) * 0.114) < 1e-6);
}

#[test]
fn noise_is_normal_and_belongs_to_its_seed() {
    let grey = Tensor::full([1, 3, 128, 128], 0.5, (Kind::Float, Device::Cpu));
    let noise = |strength, seed| Distortion::Noise.apply(&grey, strength, seed).unwrap() - &grey;
    let one = noise(0.05, 7);
    assert_eq!(one, noise(0.05, 7));
    assert!(largest(&one * 2.0 - noise(0.1, 7)) < 1e-6);
    assert!(largest(&one - noise(0.05, 8)) > 0.01);
    // Of 49152 numbers: five standard deviations of each moment.
    let unit = &one / 0.05;
    let count: f64 = 49152.0;
    for (power, expected, deviation) in [(1.0, 0.0, 1.0), (2.0, 1.0, 2.0), (4.0, 3.0, 96.0)] {
        let found = mean(unit.pow_tensor_scalar(power));
        assert!((found - expected).abs() < 5.0 * (f64::sqrt(deviation) / count.sqrt()), "{power}: {found}");
    }
}

#[test]
fn patches_are_grey_and_as_large_as_said() {
    let dark = Tensor::zeros([1, 3, 40, 60], (Kind::Float, Device::Cpu));
    let patch = |area, seed| Distortion::MissingPatch.apply(&dark, area, seed).unwrap();
    for seed in 0..20 {
        // A quarter of the area is half of each side.
        let patch = patch(0.25, seed);
        assert_eq!(value(&patch.sum(Kind::Double)), 0.5 * 3.0 * 20.0 * 30.0);
        let columns: Vec<f64> = patch.amax([0, 1, 2], false).try_into().unwrap();
        let first = columns.iter().position(|column| *column > 0.0).unwrap();
        assert!(columns[first..first + 30].iter().all(|column| *column == 0.5));
    }
    assert_ne!(patch(0.1, 0), patch(0.1, 1));
    assert_eq!(mean(patch(1.0, 3)), 0.5);
}

#[test]
fn nothing_is_no_distortion_and_nothing_leaves_the_range() {
    let photo = photo();
    for distortion in Distortion::ALL {
        let nothing = distortion.apply(&photo, 0.0, 0).unwrap();
        // A JPEG of the best quality rounds colours.
        let tolerance = if distortion == Distortion::Jpeg { 1.0 / 255.0 } else { 1e-5 };
        let change = mean((nothing - &photo).abs());
        assert!(change <= tolerance, "{distortion:?}: {change}");
        let strong = distortion.apply(&photo, distortion.most(), 0).unwrap();
        assert!(value(&strong.min()) >= 0.0 && value(&strong.max()) <= 1.0, "{distortion:?}");
        assert!(distortion.strengths().is_sorted(), "{distortion:?}");
    }
}

#[test]
fn what_cannot_be_distorted_is_named() {
    let photo = photo();
    for strength in [-0.1, 8.1, f64::NAN] {
        let error = Distortion::Blur.apply(&photo, strength, 0).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("option `strength` is {strength}, expected a number from 0 to 8")
        );
    }
    for other in [photo.narrow(1, 0, 1), photo.narrow(2, 0, 31), photo.repeat([2, 1, 1, 1])] {
        let error = Distortion::Noise.apply(&other, 0.1, 0).unwrap_err();
        assert!(matches!(error, Error::Shape { argument: "image", .. }), "{error}");
    }
}

/// The mean squared difference of luminance.
#[derive(Debug)]
struct OfLuminance;

impl Loss for OfLuminance {
    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let weights = Tensor::from_slice(&[0.299f32, 0.587, 0.114]).view([1, 3, 1, 1]);
        let luminance = |image: &Tensor| (image * &weights).sum_dim_intlist(1, false, Kind::Float);
        Ok((luminance(input) - luminance(target)).square().mean(Kind::Float))
    }
}

/// Says the same to everything.
#[derive(Debug)]
struct Indifferent;

impl Loss for Indifferent {
    fn try_forward(&self, input: &Tensor, _target: &Tensor) -> Result<Tensor> {
        Ok((input * 0.0).mean(Kind::Float) + 3.0)
    }
}

fn subject<'a>(name: &'a str, loss: &'a dyn Loss) -> Subject<'a> {
    Subject { name, family: "pixel", loss }
}

fn answers(loss: &LossAnswers, distortion: Distortion) -> &Answers {
    loss.answers.iter().find(|answers| answers.distortion == distortion).unwrap()
}

#[test]
fn losses_with_known_answers() {
    let (mse, l1, psnr) = (MseLoss::default(), L1Loss::default(), PsnrLoss::default());
    let subjects = [
        subject("MSE", &mse),
        subject("L1", &l1),
        subject("PSNR", &psnr),
        subject("luminance", &OfLuminance),
        subject("indifferent", &Indifferent),
    ];
    let photos = [pale(), pale().flip([3])];
    let mut told = Vec::new();
    let atlas = Atlas::measure(&subjects, &photos, 5, |done, all| told.push((done, all))).unwrap();
    assert_eq!(told, (1..=108).map(|done| (done, 108)).collect::<Vec<_>>());
    assert_eq!((atlas.photos, atlas.seed, atlas.error), (2, 5, 0.05));
    let [of_mse, of_l1, of_psnr, of_luminance, indifferent] = &atlas.losses[..] else { panic!() };

    // A pale photo does not change that much by every distortion.
    let reached = |answers: &&Answers| answers.at_equal_error.is_some();
    let count = of_mse.answers.iter().filter(reached).count();
    assert!((4..=9).contains(&count), "{count}");
    for (of_mse, of_psnr) in of_mse.answers.iter().zip(&of_psnr.answers).filter(|(of_mse, _)| reached(of_mse))
    {
        let point = of_mse.at_equal_error.unwrap();
        assert!((point.value / 0.0025 - 1.0).abs() < 1e-4, "{of_mse:?}");
        assert!((of_mse.sensitivity.unwrap() - 1.0).abs() < 1e-4, "{of_mse:?}");
        // The gradient is 2 / n times the difference, whose length is 0.05 times the root of n.
        let count = photos[0].numel() as f64;
        assert!((point.gradient * count.sqrt() / 0.1 - 1.0).abs() < 1e-4, "{of_mse:?}");
        assert!((point.way_back - 1.0).abs() < 1e-4, "{of_mse:?}");
        assert!((of_psnr.sensitivity.unwrap() - 1.0).abs() < 1e-4, "{of_psnr:?}");
    }
    let board = answers(of_l1, Distortion::Checkerboard);
    for (point, strength) in board.points.iter().zip(Distortion::Checkerboard.strengths()) {
        assert_eq!(point.strength, strength);
        assert!((point.value - strength).abs() < 1e-5, "{point:?}");
        // Each pixel is off by as much, so the signs are the difference.
        assert!((point.way_back - 1.0).abs() < 1e-4, "{point:?}");
    }
    let cast = answers(of_luminance, Distortion::ColourCast).sensitivity.unwrap();
    assert!(cast.abs() < 1e-6, "{cast}");
    // Where channels change alike, the luminance changes as they do.
    let board = answers(of_luminance, Distortion::Checkerboard).at_equal_error.unwrap();
    assert!((board.value / 0.0025 - 1.0).abs() < 1e-3, "{board:?}");
    // A gradient with the channels (0.299, 0.587, 0.114) beside one with (1, 1, 1).
    let expected = 1.0 / (3.0 * (0.299f64.powi(2) + 0.587f64.powi(2) + 0.114f64.powi(2))).sqrt();
    assert!((board.way_back - expected).abs() < 1e-3, "{board:?}");
    for answers in &indifferent.answers {
        assert_eq!(answers.sensitivity, None);
        assert!(answers.points.iter().all(|point| point.value == 0.0 && point.way_back == 0.0));
    }

    let agreement = &atlas.agreement;
    for (row, cosines) in agreement.iter().enumerate() {
        for (column, cosine) in cosines.iter().enumerate() {
            assert!((cosine - agreement[column][row]).abs() < 1e-9);
            let expected = match (row, column) {
                (4, _) | (_, 4) => 0.0,
                (0 | 2, 0 | 2) => 1.0,
                (one, other) if one == other => 1.0,
                _ => continue,
            };
            assert!((cosine - expected).abs() < 1e-3, "{row} {column}: {cosine}");
        }
    }
    assert!((0.1..0.99).contains(&agreement[0][1]), "{agreement:?}");

    let words = atlas.describe();
    assert!(words.contains("- **luminance** Blind to colour cast (×0.00)."), "{words}");
    assert!(words.contains("- **MSE** Its gradient nearly equals that of PSNR.\n"), "{words}");
    for page in [atlas.draw_sensitivity(&photos[0]), atlas.draw_curves(Distortion::ColourCast, &photos[0])] {
        assert_eq!(page.unwrap().width(), 1680);
    }
    assert_eq!(atlas.draw_agreement().width(), 1680);
}

#[test]
fn the_same_photos_and_seed_give_the_same_atlas() {
    let l1 = L1Loss::default();
    let measure = |seed| Atlas::measure(&[subject("L1", &l1)], &[photo()], seed, |_, _| ()).unwrap();
    assert_eq!(measure(1), measure(1));
    assert_ne!(measure(1), measure(2));
}

#[test]
fn words_come_from_the_numbers() {
    let times =
        [Some(1.0), Some(0.2), Some(3.0), Some(-0.5), Some(0.01), None, Some(1.0), Some(1.0), Some(12.0)];
    let point =
        |value| Point { strength: 1.0, value, gradient: 1.0, way_back: if value < 0.1 { 0.0 } else { 0.5 } };
    let of = |(distortion, times): (Distortion, Option<f64>)| Answers {
        distortion,
        points: Vec::new(),
        at_equal_error: times.map(point),
        sensitivity: times,
    };
    let answers = Distortion::ALL.into_iter().zip(times).map(of).collect();
    let losses = vec![LossAnswers { name: "Own".into(), family: "edge".into(), answers }];
    let atlas = Atlas { photos: 1, seed: 0, error: 0.05, losses, agreement: vec![vec![1.0]] };
    let words = atlas.describe();
    let expected = "### edge\n\n- **Own** Calls better than the photo checkerboard (×-0.5). Blind to shift (×0.01). \
                    Sees little of JPEG (×0.2). Sees above all missing patch (×12), noise (×3.0). Its gradient does not \
                    lead back from checkerboard, shift.\n";
    assert!(words.ends_with(expected), "{words}");
    assert!(words.contains("| noise | Own ×3.0 | Own ×3.0 | Own 0.50 |"), "{words}");
    assert!(words.contains("| rotation |  |  |  |"), "{words}");

    // Numbers that look equal have one word.
    let mut atlas = atlas;
    for (answers, times) in atlas.losses[0].answers.iter_mut().zip([0.094, 0.096, 0.104, 0.38, 0.42, 2.52]) {
        answers.sensitivity = Some(times);
    }
    let words = atlas.describe();
    let expected =
        "- **Own** Blind to Gaussian blur (×0.09). Sees little of noise (×0.1), JPEG (×0.1). Sees above all \
                    missing patch (×12).";
    assert!(words.contains(expected), "{words}");
    // Nothing is drawn that is not there.
    assert_eq!(atlas.draw_sensitivity(&photo()).unwrap().width(), 1680);
    assert_eq!(atlas.draw_curves(Distortion::Blur, &photo()).unwrap().width(), 1680);
}

/// Has no gradient.
#[derive(Debug)]
struct Detached;

impl Loss for Detached {
    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        L1Loss::default().try_forward(&input.detach(), target)
    }
}

#[test]
fn what_cannot_be_measured_is_named() {
    let l1 = L1Loss::default();
    let measure = |subjects: &[Subject], photos: &[Tensor]| {
        Atlas::measure(subjects, photos, 0, |_, _| ()).unwrap_err().to_string()
    };
    let of_l1 = [subject("L1", &l1)];
    assert_eq!(measure(&[], &[photo()]), "option `subjects` is empty, expected one or more");
    assert_eq!(measure(&of_l1, &[]), "option `photos` is empty, expected one or more");
    assert!(measure(&of_l1, &[photo().narrow(3, 0, 20)]).starts_with("`image` has shape [1, 3, 40, 20]"));
    assert!(measure(&of_l1, &[photo().get(0)]).starts_with("`photo` has shape"));
    let error = measure(&[subject("detached", &Detached)], &[photo()]);
    assert!(error.starts_with("`loss` has no gradient with respect to `input`"), "{error}");
    // The streams of numbers are as good as any photo.
    let random = Tensor::from_slice(&(0..3072).map(|index| uniform(index, 0)).collect::<Vec<f64>>());
    assert!(Atlas::measure(&of_l1, &[random.view([1, 3, 32, 32])], 0, |_, _| ()).is_ok());
}
