//! Gradients are the slopes of the loss, in f64.

use std::collections::BTreeSet;

use tch::{Kind, Tensor};
use tch_losses::manager::LossSpec;

use super::{for_each, Subject};
use crate::common::{assert_close, device, noise, value, Relative};

const STEP: f64 = 1e-5;

/// The difference quotient of a step h is off by h² times the third derivative, 1e-10 times some hundreds, by h / 4
/// times the jump of a second derivative that has one, and by the rounding of the loss over h: 1e-11 times some hundreds.
const TOLERANCE: f64 = 1e-5;

/// Along a random direction for each argument, the gradient is what differences of the loss say.
///
/// Where a finer step gives another slope, or the slopes to both sides differ, the loss has a kink nearby or bends
/// too much; that case says nothing.
#[test]
fn gradients_are_the_slopes_of_the_loss() {
    let mut tested = BTreeSet::new();
    for_each(|subject| {
        let reduction = subject.reductions()[0];
        for position in 0..subject.arguments.len() {
            if subject.arguments[position].differentiable && is_slope(subject, reduction, position) {
                tested.insert(subject.loss());
            }
        }
    });
    let catalogue: BTreeSet<&str> = LossSpec::NAMES.iter().copied().collect();
    // The gradient of CTC is that behind a log-softmax, which the fixtures' parity tests see; its by-hand tests have
    // the slopes. So have those of the complete IoU and of the circle loss.
    let mut without: Vec<&str> = catalogue.difference(&tested).copied().collect();
    without.retain(|loss| *loss != "BceLoss" || !device().is_cuda());
    assert_eq!(without, ["CircleLoss", "CompleteBoxIouLoss", "CtcLoss"]);
}

/// Panics if the gradient is not the slope; false on a kink.
fn is_slope(subject: &Subject, reduction: Option<&str>, position: usize) -> bool {
    if subject.loss() == "CtcLoss" {
        return false;
    }
    // Steps leave the probabilities' range. On CUDA, libtorch's check of it is an assertion that ends all work there.
    if subject.loss() == "BceLoss" && device().is_cuda() {
        return false;
    }
    // Its own weights count as constants; equal and given ones are.
    let weights_move = subject.case.options.get("alpha").and_then(|alpha| alpha.as_f64()) != Some(0.0)
        && subject.case.tensor_options.is_empty();
    if subject.loss() == "FocalFrequencyLoss" && weights_move {
        return false;
    }
    // Its weight of the aspect ratio counts as a constant; so do the weights of the similarities.
    if ["CompleteBoxIouLoss", "CircleLoss"].contains(&subject.loss()) {
        return false;
    }
    // Of some of its numbers it makes constants.
    if subject.loss() == "RelativisticLoss" && subject.case.options["detach"] == true {
        return false;
    }
    // The averages move with the outputs, and are constants.
    if subject.loss() == "LeCamLoss"
        && subject.case.options.get("decay").and_then(|decay| decay.as_f64()) != Some(1.0)
    {
        return false;
    }
    // A gradient that is cut off.
    if subject.case.options.contains_key("clamp") {
        return false;
    }
    // A focus that counts as a constant.
    if subject.case.options.get("detach_focus") == Some(&true.into()) {
        return false;
    }
    // Of vectors shorter than eps, libtorch's cosine has the slope of the length that it does not divide by.
    let eps = subject.case.options.get("eps").and_then(|eps| eps.as_f64());
    if subject.loss() == "ByolLoss" && eps.is_some_and(|eps| eps > 1e-3) {
        return false;
    }
    let what = format!("{} {}", subject.name, subject.arguments[position].role);
    let tensors = subject.tensors();
    // A variance below eps counts as eps, and has the gradient there, so that it can grow again.
    let eps = subject.case.options.get("eps").and_then(|eps| eps.as_f64()).unwrap_or(1e-6);
    if subject.arguments[position].role == "var" && value(&tensors[position].min()) <= eps + STEP {
        return false;
    }
    let leaves = subject.leaves(&tensors);
    subject.compute(reduction, &leaves).unwrap().backward();
    let gradient = leaves[position].grad();
    let tensor = &tensors[position];
    let direction = noise(99, &tensor.size(), Kind::Double);
    let at = |step: f64| {
        let mut moved: Vec<Tensor> = tensors.iter().map(Tensor::copy).collect();
        moved[position] = tensor + &direction * step;
        subject.compute(reduction, &moved).map(|loss| value(&loss))
    };
    let slope = |step: f64| Some((at(step).ok()? - at(-step).ok()?) / (2.0 * step));
    // An error is out of the loss's domain.
    let (Some(coarse), Some(fine)) = (slope(STEP), slope(STEP / 8.0)) else { return false };
    let (left, right) = match (at(-STEP), at(0.0), at(STEP)) {
        (Ok(before), Ok(here), Ok(after)) => ((here - before) / STEP, (after - here) / STEP),
        _ => return false,
    };
    let along = if gradient.defined() { value(&(&gradient * &direction).sum(None)) } else { 0.0 };
    let magnitude = value(&(gradient.abs() * direction.abs()).sum(None)).max(1.0);
    let smooth =
        (coarse - fine).abs() <= TOLERANCE * magnitude && (left - right).abs() <= 100.0 * STEP * magnitude;
    if !smooth {
        return false;
    }
    assert!((coarse - along).abs() <= TOLERANCE * magnitude, "{what}: slope {coarse:e}, gradient {along:e}");
    true
}

#[test]
fn upstream_factors_scale_the_gradient() {
    for_each(|subject| {
        let gradients = |factor: f64| -> Vec<Tensor> {
            let leaves = subject.leaves(&subject.tensors());
            (subject.compute(subject.reductions()[0], &leaves).unwrap() * factor).backward();
            leaves.into_iter().filter(Tensor::requires_grad).map(|leaf| leaf.grad()).collect()
        };
        // A power of 2 rounds nothing, except where numbers are nearly 0.
        for (own, expected) in gradients(-4.0).iter().zip(gradients(1.0)) {
            assert_close(subject.name, own, &(expected * -4.0), 1e-12, Relative::ToLargest);
        }
    });
}
