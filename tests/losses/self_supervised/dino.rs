//! DINO: its schedule, its state and what it refuses.

use tch::{nn, no_grad, Kind, Tensor};
use tch_losses::manager::Objective;
use tch_losses::{DinoConfig, DinoLoss, Loss};

use crate::common::{assert_close, device, few_roundings, noise, value, values, Relative};
use crate::support::{assert_values, differences, leaf, longer_than_a_piece, message_of, vector, zeros};

/// A loss with its state in a store of this kind.
fn made(kind: Kind, config: DinoConfig) -> (nn::VarStore, DinoLoss) {
    let mut vs = nn::VarStore::new(device());
    vs.set_kind(kind);
    let loss = DinoLoss::new(&vs.root(), config).unwrap();
    (vs, loss)
}

fn config(output_dim: i64) -> DinoConfig {
    DinoConfig::default().with_output_dim(output_dim)
}

/// Two views of one image, of two outputs each.
fn views(numbers: [[f64; 2]; 2]) -> Tensor {
    vector(&numbers.concat()).view([2, 1, 2])
}

#[test]
fn by_hand() {
    let (_vs, loss) = made(Kind::Double, config(2).with_student_temp(0.5).with_teacher_temp(0.25));
    loss.set_epoch(30).unwrap();
    let thirds = 2.0f64.ln();
    // The teacher's probabilities: 1/2 and 1/2; 16/17 and 1/17. The student's: 1/5 and 4/5; 1/2 and 1/2.
    let teacher = views([[0.0, 0.0], [thirds, 0.0]]);
    let student = views([[0.0, thirds], [0.0, 0.0]]);
    let first_by_second = 0.5f64.ln();
    let second_by_first = 16.0 / 17.0 * 0.2f64.ln() + 1.0 / 17.0 * 0.8f64.ln();
    assert_values(&loss.forward(&student, &teacher), &[-(first_by_second + second_by_first) / 2.0]);
    // A tenth of the mean.
    assert_values(&loss.center(), &[0.1 * thirds / 2.0, 0.0]);
}

/// The temperature of each epoch, seen in the value: with one view of the teacher, it is one cross entropy.
#[test]
fn the_teacher_warms_up() {
    let student = vector(&[0.0, 0.0, 0.1, -0.2]).view([2, 1, 2]);
    let teacher = vector(&[0.3, 0.0]).view([1, 1, 2]);
    for (epochs, expected) in [
        (4, [0.2, 0.15, 0.1, 0.05, 0.05, 0.05]),
        (2, [0.2, 0.05, 0.05, 0.05, 0.05, 0.05]),
        (1, [0.2, 0.05, 0.05, 0.05, 0.05, 0.05]),
        (0, [0.05; 6]),
    ] {
        let config = config(2)
            .with_warmup_teacher_temp(0.2)
            .with_teacher_temp(0.05)
            .with_warmup_teacher_temp_epochs(epochs);
        let (_vs, loss) = made(Kind::Double, config);
        for (epoch, temperature) in expected.into_iter().enumerate() {
            loss.set_epoch(epoch as i64).unwrap();
            let probability = 1.0 / (1.0 + (-0.3f64 / temperature).exp());
            let rest = 1.0 + (-3.0f64).exp();
            let entropy = probability * rest.ln() + (1.0 - probability) * (rest.ln() + 3.0);
            assert_values(&loss.value(&student, &teacher).unwrap(), &[entropy]);
        }
    }
}

/// A run that is interrupted, saved and loaded has the numbers of one that is not.
#[test]
fn a_loaded_state_goes_on_as_if_it_had_never_stopped() {
    let step = |loss: &DinoLoss, number: i64, kind| {
        let (student, teacher) =
            (leaf(&noise(number, &[4, 3, 6], kind)), noise(99 + number, &[2, 3, 6], kind));
        let own = loss.forward(&student, &teacher);
        own.backward();
        (values(&own), values(&student.grad()))
    };
    for kind in [Kind::Float, Kind::Double] {
        let config = config(6).with_teacher_temp(0.07).with_warmup_teacher_temp_epochs(3);
        let (vs, whole) = made(kind, config);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.safetensors");
        whole.set_epoch(1).unwrap();
        (0..3).for_each(|number| drop(step(&whole, number, kind)));
        vs.save(&path).unwrap();
        let (mut other, loaded) = made(kind, config);
        other.load(&path).unwrap();
        for number in 3..8 {
            assert_eq!(step(&loaded, number, kind), step(&whole, number, kind), "{kind:?} {number}");
            assert_eq!(loaded.center(), whole.center(), "{kind:?} {number}");
        }
        assert_eq!(vs.trainable_variables().len(), 0);
        assert_eq!(vs.variables()["epoch"].int64_value(&[]), 1);
    }
}

#[test]
fn only_calls_of_the_loss_move_the_centre() {
    let (_vs, loss) = made(Kind::Double, config(5));
    let (student, teacher) = (noise(1, &[3, 2, 5], Kind::Double), noise(2, &[2, 2, 5], Kind::Double));
    let before = loss.value(&student, &teacher).unwrap();
    assert_eq!(loss.center(), loss.center().zeros_like());
    assert_eq!(loss.forward(&student, &teacher), before);
    let once = loss.center();
    let expected = teacher.mean_dim([0i64, 1].as_slice(), true, Kind::Double) * 0.1;
    assert_close("center", &once, &expected, 1e-14, Relative::ToLargest);
    let _ = loss.value(&student, &teacher).unwrap();
    assert_eq!(loss.center(), once);
    let _ = no_grad(|| loss.forward(&student, &teacher));
    assert_ne!(loss.center(), once);
}

/// The gradient of a step does not depend on what comes before its backward pass.
#[test]
fn later_updates_leave_a_gradient_alone() {
    let (_vs, loss) = made(Kind::Double, config(5));
    let (student, teacher) = (leaf(&noise(1, &[3, 2, 5], Kind::Double)), noise(2, &[2, 2, 5], Kind::Double));
    let own = loss.forward(&student, &teacher);
    let expected = Tensor::run_backward(&[&own], &[&student], true, false);
    loss.update_center(&(&teacher * 9.0)).unwrap();
    own.backward();
    assert_eq!(student.grad(), expected[0]);
}

/// More outputs than stay in the cache are worked through an image at a time.
#[test]
fn gradients_are_slopes_in_pieces_too() {
    for (shape, teachers) in [([4, 3, 5], 2), ([2, 2, 3], 2), ([1, 2, 4], 3)] {
        let (_vs, loss) = made(Kind::Double, config(shape[2]));
        let teacher = noise(2, &[teachers, shape[1], shape[2]], Kind::Double) * 0.1;
        loss.update_center(&(&teacher * 3.0)).unwrap();
        let student = leaf(&(noise(1, &shape, Kind::Double) * 0.3));
        loss.value(&student, &teacher).unwrap().backward();
        let slopes = differences(&student, 1e-6, |student| loss.value(student, &teacher).unwrap());
        // The third derivative is that of logits over a temperature of 0.1: some thousands.
        assert_close("student", &student.grad(), &slopes, 1e-6, Relative::ToLargest);
    }
    let outputs = longer_than_a_piece() / 4;
    let (_vs, loss) = made(Kind::Double, config(outputs));
    let (student, teacher) =
        (leaf(&noise(1, &[3, 4, outputs], Kind::Double)), noise(2, &[2, 4, outputs], Kind::Double));
    let own = loss.value(&student, &teacher).unwrap();
    own.backward();
    // The same in libtorch's graph.
    let targets = (&teacher / 0.04).softmax(-1, Kind::Double);
    let again = leaf(&student);
    let logarithms = (&again / 0.1).log_softmax(-1, Kind::Double);
    let mut terms = Vec::new();
    for (i, j) in [(0, 1), (0, 2), (1, 0), (1, 2)] {
        terms.push(-(targets.get(i) * logarithms.get(j)).sum(None) / 16.0);
    }
    let expected = Tensor::stack(&terms, 0).sum(None);
    expected.backward();
    assert_close("value", &own, &expected, 1e-11, Relative::ToLargest);
    assert_close("gradient", &student.grad(), &again.grad(), 1e-11, Relative::ToLargest);
}

/// Whatever the kind of the outputs, the centre keeps its own.
#[test]
fn outputs_of_any_kind() {
    for kind in [Kind::Half, Kind::BFloat16, Kind::Float, Kind::Double] {
        for store in [Kind::Half, Kind::Float, Kind::Double] {
            let (_vs, loss) = made(store, config(6));
            let (_other, exact) = made(Kind::Double, config(6));
            let (student, teacher) = (noise(1, &[3, 4, 6], kind), noise(2, &[2, 4, 6], kind));
            let (student, wide) = (leaf(&student), leaf(&student.to_kind(Kind::Double)));
            let own = loss.forward(&student, &teacher);
            let expected = exact.forward(&wide, &teacher.to_kind(Kind::Double));
            own.backward();
            expected.backward();
            assert_eq!(own.kind(), kind);
            // The logits are up to 25, so that their rounding in f32 is 25 times as large.
            let tolerance = few_roundings(kind).max(25.0 * few_roundings(Kind::Float));
            let close = |own: &Tensor, expected: &Tensor| {
                assert_close("value", &own.to_kind(Kind::Double), expected, tolerance, Relative::ToLargest);
            };
            close(&own, &expected);
            close(&student.grad(), &wide.grad());
            let kept = if store == Kind::Double { Kind::Double } else { Kind::Float };
            assert_eq!(loss.center().kind(), kept, "{store:?}");
        }
    }
}

#[test]
fn outputs_of_any_size() {
    for size in [0.0, 1e-30, 1e4, 1e15, 1e30] {
        let (_vs, loss) = made(Kind::Float, config(6));
        let (student, teacher) = (noise(1, &[3, 4, 6], Kind::Float), noise(2, &[2, 4, 6], Kind::Float));
        let student = leaf(&(student * size));
        let own = loss.forward(&student, &(teacher * size));
        own.backward();
        for tensor in [&own, &student.grad(), &loss.center()] {
            assert!(values(tensor).iter().all(|number| number.is_finite()), "{size} {tensor:?}");
        }
    }
}

#[test]
fn in_a_file() {
    let text = r#"
        [losses.DINO]
        loss = "DINOLoss"
        options = { output_dim = 2, warmup_teacher_temp = 0.2, warmup_teacher_temp_epochs = 2 }
    "#;
    let objective = Objective::from_toml(text).unwrap();
    let vs = nn::VarStore::new(device());
    let mut manager = objective.build_in(&vs.root()).unwrap();
    let (student, teacher) = (noise(1, &[2, 3, 2], Kind::Float), noise(2, &[2, 3, 2], Kind::Float));
    let mut last = f64::NAN;
    for epoch in 0..2 {
        let _ = vs.variables()["DINO.epoch"].shallow_clone().fill_(epoch);
        let _ = vs.variables()["DINO.center"].shallow_clone().fill_(0.0);
        let own = value(&manager.compute("DINO", (&student, &teacher)).unwrap());
        assert_ne!(own, last);
        last = own;
    }
}

#[test]
fn refusals() {
    let (vs, loss) = made(Kind::Float, config(4));
    let (student, teacher) = (zeros(&[3, 2, 4]), zeros(&[2, 2, 4]));
    let messages = [
        message_of(loss.try_forward(&zeros(&[2, 4]), &teacher)),
        message_of(loss.try_forward(&student, &zeros(&[2, 2, 5]))),
        message_of(loss.try_forward(&zeros(&[3, 0, 4]), &zeros(&[2, 0, 4]))),
        message_of(loss.try_forward(&student, &zeros(&[2, 3, 4]))),
        message_of(loss.try_forward(&zeros(&[1, 2, 4]), &zeros(&[1, 2, 4]))),
        message_of(loss.try_forward(&student, &teacher.to_kind(Kind::Double))),
        message_of(loss.update_center(&zeros(&[0, 2, 4]))),
        message_of(loss.set_epoch(-1)),
    ];
    let expected = [
        "`student` has shape [2, 4], expected [views, B, 4] with nothing empty",
        "`teacher` has shape [2, 2, 5], expected [views, B, 4] with nothing empty",
        "`student` has shape [3, 0, 4], expected [views, B, 4] with nothing empty",
        "`teacher` has shape [2, 3, 4], expected [T, 2, 4], outputs for the images of `student`",
        "`teacher` has shape [1, 2, 4], expected several views, or several of `student`",
        "`teacher` has kind Double, expected Float, the kind of `student`",
        "`teacher` has shape [0, 2, 4], expected [views, B, 4] with nothing empty",
        "option `epoch` is -1, expected a number from 0 to 9223372036854775807",
    ];
    assert_eq!(messages, expected);
    assert_eq!(value(&loss.center().abs().max()), 0.0);
    for (config, option) in [
        (config(0), "output_dim"),
        (config(4).with_student_temp(0.0), "student_temp"),
        (config(4).with_teacher_temp(f64::NAN), "teacher_temp"),
        (config(4).with_warmup_teacher_temp(-1.0), "warmup_teacher_temp"),
        (config(4).with_warmup_teacher_temp_epochs(-1), "warmup_teacher_temp_epochs"),
        (config(4).with_center_momentum(1.5), "center_momentum"),
    ] {
        let message = message_of(DinoLoss::new(&vs.root(), config));
        assert!(message.starts_with(&format!("option `{option}`")), "{message}");
    }
}
