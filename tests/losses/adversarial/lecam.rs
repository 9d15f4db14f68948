//! LeCam regularisation: its steps, its state and what it refuses.

use tch::{nn, no_grad, Kind, Tensor};
use tch_losses::manager::Objective;
use tch_losses::{LeCamConfig, LeCamLoss, Loss};

use crate::common::{assert_as_in_pytorch, assert_close, device, few_roundings, noise, value, values};
use crate::common::{Fixture, Relative, Rounding};
use crate::support::{differences, leaf, message_of, vector, zeros};

/// A loss with its state in a store of this kind.
fn made(kind: Kind, config: LeCamConfig) -> (nn::VarStore, LeCamLoss) {
    let mut vs = nn::VarStore::new(device());
    vs.set_kind(kind);
    let loss = LeCamLoss::new(&vs.root(), config).unwrap();
    (vs, loss)
}

fn set(vs: &nn::VarStore, name: &str, number: f64) {
    let mut variable = vs.variables().remove(name).unwrap();
    no_grad(|| variable.copy_(&Tensor::from(number)));
}

#[test]
fn a_number_by_hand() {
    let (vs, loss) = made(Kind::Double, LeCamConfig::default().with_decay(1.0));
    set(&vs, "ema.real", 0.4);
    set(&vs, "ema.fake", -0.2);
    let (real, fake) = (vector(&[0.5, -1.2, 2.0]), vector(&[-0.3, 0.8, -2.5]));
    let own = value(&loss.forward(&real, &fake));
    assert!((own - 4.7433333333).abs() < 1e-9, "{own}");
}

/// Averages, values and gradients of six steps, as the authors' code has them.
#[test]
fn steps_in_a_row() {
    let fixture = Fixture::load("gan_steps");
    let mut run = 0;
    for case in fixture.cases.iter().filter(|case| case.loss == "LeCamLoss") {
        let options = serde_json::to_value(&case.options).unwrap();
        let (_vs, loss) = made(Kind::Double, serde_json::from_value(options).unwrap());
        for step in 0..6 {
            let given = |role: &str| fixture.get(case, role).get(step);
            let (real, fake) = (leaf(&given("real")), leaf(&given("fake")));
            let own = loss.forward(&real, &fake);
            own.backward();
            let averages = Tensor::stack(&loss.averages(), 0);
            for (role, own) in [
                ("value", &own),
                ("averages", &averages),
                ("grad_real", &real.grad()),
                ("grad_fake", &fake.grad()),
            ] {
                let what = format!("{} {role} {step}", case.name);
                assert_as_in_pytorch(&what, own, &given(role), Rounding::OfResult);
            }
        }
        run += 1;
    }
    assert_eq!(run, 5);
}

/// A run that is interrupted, saved and loaded has the numbers of one that is not.
#[test]
fn a_loaded_state_goes_on_as_if_it_had_never_stopped() {
    let step = |loss: &LeCamLoss, number: i64, kind| {
        let (real, fake) = (noise(number, &[3, 4], kind), noise(100 + number, &[3, 4], kind));
        loss.forward(&real, &fake)
    };
    for kind in [Kind::Float, Kind::Double] {
        let config = LeCamConfig::default().with_start(2).with_initial(5.0);
        let (vs, whole) = made(kind, config.clone());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.safetensors");
        (0..3).for_each(|number| drop(step(&whole, number, kind)));
        vs.save(&path).unwrap();
        let (mut other, loaded) = made(kind, config);
        other.load(&path).unwrap();
        for number in 3..8 {
            let (own, expected) = (step(&loaded, number, kind), step(&whole, number, kind));
            assert_eq!(values(&own), values(&expected), "{kind:?} {number}");
            assert_eq!(loaded.averages(), whole.averages(), "{kind:?} {number}");
            assert!(value(&own) > 0.0);
        }
        assert_eq!(vs.trainable_variables().len(), 0);
        assert_eq!(value(&vs.variables()["ema.updates"].to_kind(Kind::Double)), 8.0);
    }
}

#[test]
fn only_calls_of_the_loss_are_updates() {
    let (_vs, loss) = made(Kind::Double, LeCamConfig::default().with_initial(0.3));
    let (real, fake) = (noise(1, &[5], Kind::Double), noise(2, &[5], Kind::Double));
    // Before the first update the value does not count.
    assert_eq!(value(&loss.regularization(&real, &fake).unwrap()), 0.0);
    let own = loss.forward(&real, &fake);
    let averages = loss.averages();
    assert_eq!(own, loss.regularization(&real, &fake).unwrap());
    assert_eq!(loss.averages(), averages);
    let _ = no_grad(|| loss.forward(&real, &fake));
    assert_ne!(loss.averages(), averages);
}

/// The gradient of a step does not depend on whether other steps come before its backward pass.
#[test]
fn later_updates_leave_a_graph_alone() {
    let (_vs, loss) = made(Kind::Double, LeCamConfig::default().with_initial(0.3));
    let (real, fake) = (leaf(&noise(1, &[5], Kind::Double)), leaf(&noise(2, &[5], Kind::Double)));
    let own = loss.forward(&real, &fake);
    let expected = Tensor::run_backward(&[&own], &[&real, &fake], true, false);
    loss.update(&(&real * 9.0), &(&fake - 5.0)).unwrap();
    own.backward();
    assert_eq!([real.grad(), fake.grad()].as_slice(), expected.as_slice());
}

#[test]
fn gradients_are_slopes_with_constant_averages() {
    for seed in 0..4 {
        let (_vs, loss) = made(Kind::Double, LeCamConfig::default().with_initial(0.1 * seed as f64));
        let (real, fake) =
            (leaf(&noise(seed, &[2, 3], Kind::Double)), leaf(&noise(50 + seed, &[7], Kind::Double)));
        loss.forward(&real, &fake).backward();
        let of_real = differences(&real, 1e-6, |real| loss.regularization(real, &fake).unwrap());
        let of_fake = differences(&fake, 1e-6, |fake| loss.regularization(&real, fake).unwrap());
        // Squares have no third derivative; at a hinge the second one jumps by 2 / 6, times a step of 1e-6.
        let floor = Relative::ToElement { floor: 1.0 };
        assert_close("real", &real.grad(), &of_real, 1e-6, floor);
        assert_close("fake", &fake.grad(), &of_fake, 1e-6, floor);
    }
}

/// Whatever the kind of the outputs, the averages keep theirs.
#[test]
fn outputs_of_any_kind() {
    for kind in [Kind::Half, Kind::BFloat16, Kind::Float, Kind::Double] {
        for store in [Kind::Half, Kind::Float, Kind::Double] {
            let (_vs, loss) = made(store, LeCamConfig::default().with_initial(0.5));
            let (_other, exact) = made(Kind::Double, LeCamConfig::default().with_initial(0.5));
            let (real, fake) = (noise(1, &[40], kind), noise(2, &[40], kind));
            let wide = |tensor: &Tensor| tensor.to_kind(Kind::Double);
            let own = loss.forward(&real, &fake);
            let expected = exact.forward(&wide(&real), &wide(&fake));
            assert_eq!(own.kind(), kind);
            let tolerance = few_roundings(kind).max(few_roundings(Kind::Float));
            assert_close("value", &wide(&own), &expected, tolerance, Relative::ToLargest);
            let kept = if store == Kind::Double { Kind::Double } else { Kind::Float };
            assert!(loss.averages().iter().all(|average| average.kind() == kept), "{store:?}");
        }
    }
}

#[test]
fn in_a_file() {
    let text = r#"
        [losses.LECAM]
        loss = "LeCamLoss"
        options = { decay = 0.99, start = 1 }
        weight = 0.3
        tags = "D"
    "#;
    let objective = Objective::from_toml(text).unwrap();
    let vs = nn::VarStore::new(device());
    let mut manager = objective.build_in(&vs.root()).unwrap();
    let outputs = zeros(&[4]);
    // The first update is not after the start: the value is 0. Then the averages are 0.99 of 1000, once more.
    for expected in [0.0, 0.3 * 980.1 * 980.1] {
        let own = value(&manager.compute("LECAM", (&outputs, &outputs)).unwrap());
        assert!((own - expected).abs() <= 1e-5 * expected, "{own} instead of {expected}");
    }
    assert_eq!(vs.variables().len(), 3);
    assert!(vs.variables().contains_key("LECAM.ema.updates"));
}

#[test]
fn refusals() {
    let (vs, loss) = made(Kind::Float, LeCamConfig::default());
    let outputs = zeros(&[3]);
    let messages = [
        message_of(loss.try_forward(&zeros(&[0]), &outputs)),
        message_of(loss.update(&outputs, &zeros(&[2, 0]))),
        message_of(loss.regularization(&outputs, &outputs.to_kind(Kind::Double))),
    ];
    let expected = [
        "`real` has shape [0], expected one element at least: the average would be NaN from then on",
        "`fake` has shape [2, 0], expected one element at least: the average would be NaN from then on",
        "`fake` has kind Double, expected Float, the kind of `real`",
    ];
    assert_eq!(messages, expected);
    // Nothing was updated.
    assert_eq!(value(&vs.variables()["ema.updates"].to_kind(Kind::Double)), 0.0);
    assert_eq!(value(&loss.averages()[0]), 1000.0);
    for (config, option) in [
        (LeCamConfig::default().with_decay(1.5), "decay"),
        (LeCamConfig::default().with_decay(f64::NAN), "decay"),
        (LeCamConfig::default().with_initial(f64::INFINITY), "initial"),
        (LeCamConfig::default().with_start(-1), "start"),
    ] {
        let message = message_of(LeCamLoss::new(&vs.root(), config));
        assert!(message.starts_with(&format!("option `{option}`")), "{message}");
    }
}
