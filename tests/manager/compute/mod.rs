//! Computing by name: values, gradients, tags, maps, printing, and what is not registered.

mod names;
mod tags;

use std::collections::BTreeSet;

use serde_json::Value;
use tch::{Kind, Tensor};
use tch_losses::manager::log::{LoggedRun, LossLog, RunInfo};
use tch_losses::manager::{LossManager, ManagerError, Ramp, Schedule, Term};
use tch_losses::{
    BceLoss, BceWithLogitsLoss, CtcLoss, Error, HuberLoss, L1Loss, Laplacian, Loss, MseLoss, NllLoss,
    PerceptualLoss, Reduction, Result, SmoothL1Loss, Sobel, TernaryLoss, UnaryLoss,
};

use crate::common::{assert_close, noise, value, vgg, Relative};
use crate::{fixture, numbers};

/// How far a loss of these images in f32 may be from the fixture's, relative to it.
///
/// A loss is a sum of at most 384 terms, none of them negative: whatever the order, rounding takes less than
/// 383 * 2^-24 of it. The terms are differences of what the edge filters sum up from some ten pixels; as they are not
/// small beside these sums, 128 * 2^-24 of them is more than that rounds. The fixture's machine did the same.
const LOSS: f64 = 2.0 * (384.0 + 128.0) / (1u32 << 24) as f64;
/// The same of a weight, which a few operations in f64 give, each rounding by up to 2^-53 = 1.1e-16. The power of an
/// exponential ramp multiplies that by the logarithm of its result, at most ln(1e9) = 21, on either side.
const WEIGHT: f64 = 1e-14;

fn ramp(start_epoch: u64, end_epoch: u64, initial_value: f64, target_value: f64) -> Ramp {
    Ramp { start_epoch, end_epoch, initial_value, target_value }
}

/// The manager of `scripts/fixtures/manager.py`.
fn reference() -> Result<LossManager> {
    let mut manager = LossManager::new();
    let l2 = MseLoss { reduction: Reduction::Sum };
    let laplacian = Laplacian { reduction: Reduction::None };
    manager.register("G_GAN", BceWithLogitsLoss::default())?;
    manager.register(
        "G_L1",
        Term::new(L1Loss::default()).schedule(Schedule::linear(ramp(11, 31, 100.0, 10.0))?),
    )?;
    manager.register("G_L2", Term::new(l2).weight(0.01))?;
    manager.register(
        "G_SOBEL",
        Term::new(Sobel::default()).schedule(Schedule::exponential(ramp(1, 41, 0.1, 10.0))?),
    )?;
    manager.register("G_LAP", Term::new(laplacian).schedule(Schedule::linear(ramp(0, 10, 1.0, 0.0))?))?;
    manager.register("D_real", BceWithLogitsLoss::default())?;
    manager.register("D_fake", BceWithLogitsLoss::default())?;
    Ok(manager)
}

/// One step of the fixture's run.
fn compute(manager: &mut LossManager, step: u64) -> Result<()> {
    manager.begin_step(step / 4, step);
    let image = |k| noise(10 * step as i64 + k, &[2, 3, 8, 8], Kind::Float);
    let output = |k| noise(10 * step as i64 + k, &[2, 1, 3, 3], Kind::Float);
    let (fake, real, output_fake, output_real) = (image(0), image(1), output(2), output(3));
    let _ = manager.compute("D_real", (&output_real, &output_real.ones_like()))?;
    let _ = manager.compute("D_fake", (&output_fake, &output_fake.zeros_like()))?;
    let _ = manager.compute("G_GAN", (&output_fake, &output_fake.ones_like()))?;
    for name in ["G_L1", "G_L2", "G_SOBEL", "G_LAP"] {
        let _ = manager.compute(name, (&fake, &real))?;
    }
    Ok(())
}

#[test]
fn two_hundred_steps_as_in_the_reference() {
    let mut manager = reference().unwrap();
    let mut printed = fixture()["printed"].as_array().unwrap().iter().peekable();
    for step in 0..200 {
        compute(&mut manager, step).unwrap();
        while let Some(line) = printed.next_if(|line| line["step"] == step) {
            let precision = line["precision"].as_u64().unwrap() as usize;
            let printed = manager.format_losses(&[], precision).unwrap();
            assert_printed(&printed, line["losses"].as_str().unwrap(), precision);
            // No weight is so near to where its rounding turns that `WEIGHT` of it would matter.
            assert_eq!(manager.format_weights(&[], precision), line["weights"]);
        }
    }
    assert!(printed.next().is_none());

    let expected = fixture()["log"]["LOSSMANAGER_LOG"]["loss_functions"].as_object().unwrap();
    assert_eq!(manager.names(&[]), expected.keys().map(String::as_str).collect::<Vec<_>>());
    for (name, expected) in expected {
        let records = manager.history(name).unwrap();
        let (losses, weights) = (numbers(&expected["loss"]), numbers(&expected["weights"]));
        assert_eq!((records.len(), losses.len()), (200, 200));
        for (step, record) in records.iter().enumerate() {
            let what = format!("{name}, step {step}");
            assert_eq!((record.step, record.epoch), (step as u64, step as u64 / 4), "{what}");
            assert!((record.weight - weights[step]).abs() <= WEIGHT * weights[step], "{what}: weight");
            let close = (record.weighted - losses[step]).abs() <= LOSS * losses[step].abs();
            assert!(close, "{what}: {} is not {}", record.weighted, losses[step]);
            // The weight and the product are rounded to f32, each by up to 2^-24.
            let rounding = 2f64.powi(-22) * record.weighted.abs();
            assert!((record.value * record.weight - record.weighted).abs() <= rounding, "{what}: product");
        }
    }
}

/// The same words, and numbers that differ by no more than the losses do and by one in the last decimal, where the
/// difference is as small as it likes but lies across the place where rounding turns.
#[track_caller]
fn assert_printed(printed: &str, expected: &str, precision: usize) {
    let (printed_words, expected_words) = (printed.split(' '), expected.split(' '));
    assert_eq!(
        printed_words.clone().count(),
        expected_words.clone().count(),
        "{printed}, expected {expected}"
    );
    for (word, expected_word) in printed_words.zip(expected_words) {
        let is_same = match (word.parse::<f64>(), expected_word.parse::<f64>()) {
            (Ok(number), Ok(expected)) => {
                let last_decimal = 10f64.powi(-(precision as i32));
                (number - expected).abs() <= LOSS * expected + 1.001 * last_decimal
            }
            _ => word == expected_word,
        };
        assert!(is_same, "{printed}, expected {expected}");
    }
}

/// From the manager to the log to the reference's own file.
#[test]
fn the_log_is_the_references() {
    let folder = tempfile::tempdir().unwrap();
    let (log, exported) = (folder.path().join("loss_log.jsonl"), folder.path().join("loss_log.json"));
    let mut manager = reference().unwrap();
    let run = RunInfo {
        experiment: "fixture".into(),
        device: "cpu".into(),
        dataroot: "images".into(),
        dataset_length: 8,
    };
    manager.log_to(LossLog::open(&log, &run).unwrap());
    for step in 0..200 {
        compute(&mut manager, step).unwrap();
        if step % 7 == 0 {
            manager.flush().unwrap();
        }
    }
    drop(manager);
    LoggedRun::read(&log).unwrap().export(&exported).unwrap();

    let mut actual: Value = serde_json::from_slice(&std::fs::read(&exported).unwrap()).unwrap();
    let mut expected = fixture()["log"].clone();
    let losses = [&mut actual, &mut expected].map(|log| log["LOSSMANAGER_LOG"]["loss_functions"].take());
    assert_eq!(actual, expected);
    let names = |losses: &Value| losses.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(&losses[0]), names(&losses[1]));
    for (name, expected) in losses[1].as_object().unwrap() {
        for (key, tolerance) in [("loss", LOSS), ("weights", WEIGHT)] {
            let (actual, expected) = (numbers(&losses[0][name][key]), numbers(&expected[key]));
            assert_eq!((actual.len(), expected.len()), (200, 200));
            let mut pairs = actual.iter().zip(&expected);
            assert!(pairs.all(|(a, e)| (a - e).abs() <= tolerance * e.abs()), "{name} {key}");
        }
    }
}

#[test]
fn the_graph_is_intact() {
    let mut manager = LossManager::new();
    manager.register("SOBEL", Term::new(Sobel::default()).weight(2.5)).unwrap();
    let leaf = || noise(1, &[1, 3, 6, 6], Kind::Double).set_requires_grad(true);
    let real = noise(2, &[1, 3, 6, 6], Kind::Double);
    let (fake, alone) = (leaf(), leaf());
    let weighted = manager.compute("SOBEL", (&fake, &real)).unwrap();
    weighted.backward();
    let loss = Sobel::default().forward(&alone, &real);
    loss.backward();
    // The same computation on the same numbers.
    assert_eq!(value(&weighted), 2.5 * value(&loss));
    // The weight enters the gradient at another place, which moves some roundings of 2^-53.
    let tolerance = Relative::ToElement { floor: 1e-12 };
    assert_close("gradient", &fake.grad(), &(alone.grad() * 2.5), 1e-12, tolerance);
    let record = manager.history("SOBEL").unwrap()[0].clone();
    assert_eq!((record.value, record.weight, record.weighted), (value(&loss), 2.5, 2.5 * value(&loss)));
}

#[test]
fn losses_that_are_not_reduced_come_back_whole() {
    let mut manager = LossManager::new();
    let elements = MseLoss { reduction: Reduction::None };
    manager.register("MSE", Term::new(elements).weight(3.0)).unwrap();
    let (x, y) = (Tensor::from_slice(&[1.0, 2.0]), Tensor::from_slice(&[3.0, 2.0]));
    let weighted = manager.compute("MSE", (&x, &y)).unwrap();
    assert_eq!(weighted, Tensor::from_slice(&[12.0, 0.0]));
    let record = manager.last_records(&[]).unwrap()[0].clone();
    assert_eq!((record.value, record.weighted), (2.0, 6.0));
}

/// The record says what the training saw, rounding included: a product in f32 or f64 is rounded as IEEE 754 has it, on
/// every machine.
#[test]
fn the_recorded_product_is_libtorchs() {
    let mut manager = LossManager::new();
    manager.register("L1", Term::new(L1Loss::default()).weight(0.1)).unwrap();
    for kind in [Kind::Double, Kind::Float, Kind::Half, Kind::BFloat16] {
        let (x, y) = (noise(1, &[37], kind), noise(2, &[37], kind));
        let weighted = manager.compute("L1", (&x, &y)).unwrap();
        assert_eq!(weighted.kind(), kind);
        let recorded = manager.last_total(&[]).unwrap();
        let actual = value(&weighted.to_kind(Kind::Double));
        assert_eq!(recorded, actual, "{kind:?}");
    }
}

/// A loss of a user's own.
#[derive(Debug)]
struct Hinge {
    margin: f64,
}

impl TernaryLoss for Hinge {
    fn try_forward(&self, anchor: &Tensor, positive: &Tensor, negative: &Tensor) -> Result<Tensor> {
        let distance = |other: &Tensor| (anchor - other).square().sum(None).sqrt();
        Ok((distance(positive) - distance(negative) + self.margin).f_relu()?)
    }
}

/// Another one.
#[derive(Debug)]
struct MeanSquare;

impl UnaryLoss for MeanSquare {
    fn try_forward(&self, input: &Tensor) -> Result<Tensor> {
        Ok(input.f_square()?.f_mean(None)?)
    }
}

#[test]
fn losses_of_other_inputs() {
    let mut manager = LossManager::new();
    manager.register("TRIPLET", Term::ternary(Hinge { margin: 1.0 }).weight(2.0).tags(["T"])).unwrap();
    manager.register("PENALTY", Term::value().weight(10.0).tags(["T"])).unwrap();
    manager.register("SQUARE", Term::unary(MeanSquare).weight(0.5).tags(["T"])).unwrap();
    let [anchor, positive, negative] =
        [[0.0, 0.0], [3.0, 4.0], [0.0, 2.0]].map(|point| Tensor::from_slice(&point));
    let triplet = manager.compute("TRIPLET", (&anchor, &positive, &negative)).unwrap();
    assert_eq!(value(&triplet), 8.0); // (5 - 2 + 1) * 2
    let four = (positive.square().sum(None), negative.square().sum(None));
    let penalty = manager.compute("PENALTY", &four.0 - &four.1).unwrap();
    assert_eq!(value(&penalty), 210.0);
    let square = manager.compute("SQUARE", &positive).unwrap();
    assert_eq!(value(&square), 6.25); // (9 + 16) / 2 * 0.5
    assert_eq!(manager.last_total(&["T"]).unwrap(), 224.25);
}

fn tagged() -> LossManager {
    let mut manager = LossManager::new();
    manager.register("A", Term::new(L1Loss::default()).weight(2.0).tags(["G", "image"])).unwrap();
    manager.register("B", Term::new(MseLoss::default()).weight(3.0).tags(["G"])).unwrap();
    manager.register("C", Term::new(Sobel::default()).weight(5.0).tags(["image", "edges"])).unwrap();
    manager.register("D", Term::value()).unwrap();
    manager
}

#[test]
fn maps_are_the_losses_own_without_weight_and_graph() {
    let mut manager = tagged();
    manager.register("VGG", Term::new(PerceptualLoss::new(vgg())).weight(7.0).tags(["deep"])).unwrap();
    let fake = noise(1, &[2, 3, 8, 8], Kind::Float).set_requires_grad(true);
    let real = noise(2, &[2, 3, 8, 8], Kind::Float);
    let map = manager.loss_map("C", (&fake, &real)).unwrap();
    assert_eq!(Some(map.shallow_clone()), Sobel::default().loss_map(&fake, &real).unwrap());
    assert!(!map.requires_grad());
    let maps = manager.loss_maps(&["deep", "G"], (&fake, &real)).unwrap();
    assert_eq!(maps.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["A", "B", "VGG"]);
    assert!(maps.iter().all(|(_, map)| map.size() == [2, 1, 8, 8]));
    for no_map in [
        manager.loss_map("D", (&fake, &real)), // a value that the training loop computes
        manager.loss_map("A", &fake),          // another number of tensors
    ] {
        assert!(matches!(no_map.unwrap_err(), Error::Manager(ManagerError::LossInputs { .. })));
    }
    manager.register("NLL", NllLoss::default()).unwrap();
    let no_map = manager.loss_map("NLL", (&fake, &real)).unwrap_err();
    assert!(matches!(no_map, Error::Manager(ManagerError::NoLossMap { .. })));
}

#[test]
fn all_image_losses_have_maps() {
    let mut manager = LossManager::new();
    manager.register("L1", L1Loss::default()).unwrap();
    manager.register("MSE", MseLoss::default()).unwrap();
    manager.register("BCE", BceWithLogitsLoss::default()).unwrap();
    manager.register("SMOOTH_L1", SmoothL1Loss::default()).unwrap();
    manager.register("HUBER", HuberLoss::default()).unwrap();
    manager.register("BCE_P", BceLoss::default()).unwrap();
    manager.register("SOBEL", Sobel::default()).unwrap();
    manager.register("LAPLACIAN", Laplacian::default()).unwrap();
    manager.register("VGG", PerceptualLoss::new(vgg())).unwrap();
    let [x, y] = [1, 2].map(|seed| noise(seed, &[1, 3, 8, 8], Kind::Float).abs());
    for name in manager.names(&[]) {
        let map = manager.loss_map(name, (&x, &y)).unwrap();
        assert_eq!(map.size(), [1, 1, 8, 8], "{name}");
    }
}

#[test]
fn each_loss_has_its_way_of_being_computed() {
    let mut manager = tagged();
    manager.register("THREE", Term::ternary(Hinge { margin: 1.0 })).unwrap();
    manager.register("ONE", Term::unary(MeanSquare)).unwrap();
    manager.register("CTC", Term::sequence(CtcLoss::default())).unwrap();
    let x = noise(1, &[3], Kind::Float);
    let message = "the loss `A` is a loss of two tensors: pass `(&input, &target)`";
    assert_eq!(manager.compute("A", (&x, &x, &x)).unwrap_err().to_string(), message);
    assert_eq!(manager.compute("A", Tensor::from(1.0)).unwrap_err().to_string(), message);
    assert_eq!(manager.compute("A", &x).unwrap_err().to_string(), message);
    assert_eq!(manager.compute("A", (&x, &x, &[1i64][..], &[1][..])).unwrap_err().to_string(), message);
    let message = "the loss `THREE` is a loss of three tensors: pass `(&first, &second, &third)`";
    assert_eq!(manager.compute("THREE", (&x, &x)).unwrap_err().to_string(), message);
    let message = "the loss `ONE` is a loss of one tensor: pass `&input`";
    assert_eq!(manager.compute("ONE", (&x, &x)).unwrap_err().to_string(), message);
    let message = "the loss `CTC` is a loss of sequences: pass `(&inputs, &targets, &input_lengths, \
                   &target_lengths)`";
    assert_eq!(manager.compute("CTC", (&x, &x)).unwrap_err().to_string(), message);
    let message = "the loss `D` is computed by the training loop: pass the value itself, a `Tensor`";
    assert_eq!(manager.compute("D", (&x, &x)).unwrap_err().to_string(), message);
}

/// Python's `round` and `repr`.
#[test]
fn numbers_are_printed_as_python_rounds_them() {
    let mut manager = LossManager::new();
    // 0.125 lies exactly between two numbers of two decimals, 2.675 does not.
    for (weight, printed) in
        [(0.125, "0.12"), (2.675, "2.67"), (-0.5, "-0.5"), (1234567.0, "1234567.0"), (0.001, "0.0")]
    {
        manager.register(printed, Term::value().weight(weight)).unwrap();
    }
    let expected = "Loss weights: 0.12: 0.12 2.67: 2.67 -0.5: -0.5 1234567.0: 1234567.0 0.0: 0.0";
    assert_eq!(manager.format_weights(&[], 2), expected);
    assert_eq!(manager.format_losses(&[], 2).unwrap(), "(epoch: 0, iters: 0) Loss:");
    // As many decimals as there are.
    manager.register("smallest", Term::value().weight(5e-324).tags(["S"])).unwrap();
    assert_eq!(manager.format_weights(&["S"], usize::MAX), "Loss weights: smallest: 5e-324");
}
