//! Weights over the epochs: the reference's tables, closed forms, bad options.

use serde_json::json;
use tch_losses::manager::{Ramp, Schedule};

use crate::{fixture, numbers};

/// Up to 1e-14 off, relative: a few operations, each rounding by up to 2^-53 = 1.1e-16. The power of an exponential ramp
/// multiplies that by the logarithm of its result, at most ln(1e9) = 21, and what is expected was computed likewise.
fn assert_values(what: &str, schedule: &Schedule, expected: &[f64]) {
    for (epoch, expected) in expected.iter().enumerate() {
        let actual = schedule.value(epoch as u64);
        let close = (actual - expected).abs() <= 1e-14 * expected.abs();
        assert!(close, "{what}, epoch {epoch}: {actual:e}, expected {expected:e}");
    }
}

#[test]
fn the_references_tables() {
    let tables = fixture()["schedules"].as_array().unwrap();
    assert_eq!(tables.len(), 9);
    for table in tables {
        let ramp = Ramp {
            start_epoch: table["start_epoch"].as_u64().unwrap(),
            end_epoch: table["end_epoch"].as_u64().unwrap(),
            initial_value: table["initial_value"].as_f64().unwrap(),
            target_value: table["target_value"].as_f64().unwrap(),
        };
        let schedule = match table["kind"].as_str().unwrap() {
            "linear" => Schedule::linear(ramp).unwrap(),
            "exponential" => Schedule::exponential(ramp).unwrap(),
            other => panic!("unknown kind {other}"),
        };
        assert_values(&format!("{schedule:?}"), &schedule, &numbers(&table["values"]));
    }
}

/// The numbers that the reference itself gives as checks. Those of the exponential ramp, 10^(-0.9 (epoch + 1)), it cuts off
/// after some digits, which takes less than a hundredth of each.
#[test]
fn the_references_own_checks() {
    let ramp = Ramp { start_epoch: 0, end_epoch: 10, initial_value: 1.0, target_value: 0.0 };
    let linear = Schedule::linear(ramp).unwrap();
    let exponential = Schedule::exponential(ramp).unwrap();
    let expected =
        [0.12589, 0.01584, 0.00199, 0.00025, 3.16227e-5, 3.98107e-6, 5.01187e-7, 6.30957e-8, 7.94328e-9];
    for epoch in 0..10 {
        // Three operations on either side, each rounding numbers below 1 by up to 2^-54 = 5.6e-17.
        assert!((linear.value(epoch) - (0.9 - 0.1 * epoch as f64)).abs() < 1e-15);
        let value = exponential.value(epoch);
        match expected.get(epoch as usize) {
            Some(expected) => assert!(value >= *expected && value < expected * 1.01, "{epoch}: {value:e}"),
            None => assert!(value < 1e-8),
        }
    }
}

#[test]
fn a_cosine_is_half_a_wave() {
    let ramp = Ramp { start_epoch: 1, end_epoch: 7, initial_value: 2.0, target_value: 6.0 };
    let root = 3f64.sqrt();
    let expected = [2.0, 4.0 - root, 3.0, 4.0, 5.0, 4.0 + root, 6.0, 6.0, 6.0];
    assert_values("cosine", &Schedule::cosine(ramp).unwrap(), &expected);
    let late = Ramp { start_epoch: 5, end_epoch: 7, ..ramp };
    assert_values("late", &Schedule::cosine(late).unwrap(), &[2.0, 2.0, 2.0, 2.0, 2.0, 4.0, 6.0, 6.0]);
}

#[test]
fn steps_and_milestones() {
    assert_values("constant", &Schedule::constant(-2.5).unwrap(), &[-2.5; 9]);
    let step = Schedule::step(8.0, 0.5, 3).unwrap();
    assert_values("step", &step, &[8.0, 8.0, 8.0, 4.0, 4.0, 4.0, 2.0, 2.0, 2.0]);
    let piecewise = Schedule::piecewise(1.0, [(3, 5.0), (4, 0.0), (7, 2.0)]).unwrap();
    assert_values("piecewise", &piecewise, &[1.0, 1.0, 5.0, 0.0, 0.0, 0.0, 2.0, 2.0]);
    assert_values("no milestones", &Schedule::piecewise(1.0, []).unwrap(), &[1.0; 5]);
    assert_values("from the start", &Schedule::piecewise(1.0, [(1, 2.0)]).unwrap(), &[2.0; 5]);
}

#[test]
fn warm_up_reaches_the_schedule_it_warms_up() {
    let warm = step_of_two().warm_up(4).unwrap();
    assert_values("warm-up", &warm, &[2.0, 4.0, 3.0, 4.0, 2.0, 2.0, 1.0]);
    assert_values("one epoch", &step_of_two().warm_up(1).unwrap(), &[8.0, 8.0, 4.0, 4.0, 2.0]);
}

fn step_of_two() -> Schedule {
    Schedule::step(8.0, 0.5, 2).unwrap()
}

#[test]
fn a_closure_decides() {
    let odd = Schedule::custom(|epoch| (epoch % 2) as f64);
    assert_values("custom", &odd, &[0.0, 1.0, 0.0, 1.0]);
    assert_eq!(odd.clone(), odd);
    assert_ne!(odd, Schedule::custom(|epoch| (epoch % 2) as f64));
    let error = serde_json::to_string(&odd).unwrap_err().to_string();
    assert!(error.contains("Custom"), "{error}");
}

#[test]
fn far_epochs_are_no_trouble() {
    let ramp = Ramp { start_epoch: 0, end_epoch: u64::MAX, initial_value: 1.0, target_value: 3.0 };
    for schedule in [Schedule::linear(ramp), Schedule::exponential(ramp), Schedule::cosine(ramp)] {
        let schedule = schedule.unwrap();
        assert_eq!(schedule.value(0), 1.0);
        assert_eq!(schedule.value(u64::MAX), 3.0);
    }
    assert_eq!(step_of_two().warm_up(u64::MAX).unwrap().value(u64::MAX), 0.0);
}

fn ramp(start_epoch: u64, end_epoch: u64, initial_value: f64, target_value: f64) -> Ramp {
    Ramp { start_epoch, end_epoch, initial_value, target_value }
}

#[test]
fn ramps_stay_within_their_ends() {
    assert_values("nothing", &Schedule::linear(ramp(1, 3, -1.0, 0.0)).unwrap(), &[0.0; 4]);
    // The end that counts as 1e-9 is above the other one.
    assert_values("tiny", &Schedule::exponential(ramp(1, 3, 0.0, 1e-12)).unwrap(), &[1e-12; 4]);
}

#[test]
fn senseless_options_are_refused() {
    let refused = [
        (
            Schedule::linear(ramp(3, 3, 0.0, 1.0)),
            "option `end_epoch` is 3, expected an epoch after `start_epoch`, 3",
        ),
        (
            Schedule::cosine(ramp(3, 2, 0.0, 1.0)),
            "option `end_epoch` is 2, expected an epoch after `start_epoch`, 3",
        ),
        (
            Schedule::linear(ramp(1, 2, f64::NAN, 1.0)),
            "option `initial_value` is NaN, expected a finite number",
        ),
        (
            Schedule::linear(ramp(1, 2, 1.0, f64::INFINITY)),
            "option `target_value` is inf, expected a finite number",
        ),
        (
            Schedule::linear(ramp(1, 2, -2.0, -1.0)),
            "option `target_value` is -1, expected 0 or more, as `initial_value` is -2",
        ),
        (
            Schedule::linear(ramp(1, 2, -1e308, 1e308)),
            "option `target_value` is 1e308, expected a value less far from `initial_value`, -1e308",
        ),
        (
            Schedule::exponential(ramp(1, 2, -2.0, 1.0)),
            "option `initial_value` is -2, expected a finite number, 0 or more",
        ),
        (
            Schedule::exponential(ramp(1, 2, 1.0, -2.0)),
            "option `target_value` is -2, expected a finite number, 0 or more",
        ),
        (Schedule::step(f64::NAN, 0.1, 1), "option `initial_value` is NaN, expected a finite number"),
        (Schedule::piecewise(f64::NAN, []), "option `initial_value` is NaN, expected a finite number"),
        (Schedule::constant(f64::NAN), "option `constant` is NaN, expected a finite number"),
        (Schedule::step(1.0, -0.1, 1), "option `gamma` is -0.1, expected a finite number, 0 or more"),
        (Schedule::step(1.0, 0.1, 0), "option `step_size` is 0, expected 1 or more"),
        (
            Schedule::piecewise(1.0, [(2, 1.0), (2, 0.5)]),
            "option `milestones` is for the epochs [2, 2], expected ascending epochs, the first being 1",
        ),
        (
            Schedule::piecewise(1.0, [(0, 1.0)]),
            "option `milestones` is for the epochs [0], expected ascending epochs, the first being 1",
        ),
        (Schedule::piecewise(1.0, [(2, f64::NAN)]), "option `milestones` is NaN, expected a finite number"),
        (step_of_two().warm_up(0), "option `epochs` is 0, expected 1 or more"),
    ];
    for (schedule, message) in refused {
        assert_eq!(schedule.unwrap_err().to_string(), message);
    }
}

#[test]
fn files_hold_what_constructors_take() {
    let ends = json!({ "start_epoch": 1, "end_epoch": 5, "initial_value": 1.0, "target_value": 0.5 });
    let step = json!({ "step": { "initial_value": 8.0, "gamma": 0.5, "step_size": 2 } });
    let pairs = [
        (Schedule::constant(3.0), json!({ "constant": 3.0 })),
        (Schedule::linear(ramp(1, 5, 1.0, 0.5)), json!({ "linear": ends })),
        (Schedule::exponential(ramp(1, 5, 1.0, 0.5)), json!({ "exponential": ends })),
        (Schedule::cosine(ramp(1, 5, 1.0, 0.5)), json!({ "cosine": ends })),
        (Ok(step_of_two()), step.clone()),
        (
            Schedule::piecewise(1.0, [(3, 0.5)]),
            json!({ "piecewise": { "initial_value": 1.0, "milestones": [[3, 0.5]] } }),
        ),
        (step_of_two().warm_up(3), json!({ "warm_up": { "epochs": 3, "then": step } })),
    ];
    for (schedule, data) in pairs {
        let schedule = schedule.unwrap();
        assert_eq!(serde_json::to_value(&schedule).unwrap(), data);
        assert_eq!(serde_json::from_value::<Schedule>(data).unwrap(), schedule);
    }
    let empty =
        json!({ "linear": { "start_epoch": 5, "end_epoch": 1, "initial_value": 1.0, "target_value": 0.5 } });
    let error = serde_json::from_value::<Schedule>(empty).unwrap_err().to_string();
    assert!(error.contains("`end_epoch` is 1"), "{error}");
    let custom = serde_json::from_value::<Schedule>(json!("custom"));
    assert!(custom.unwrap_err().to_string().contains("unknown variant"));
}
