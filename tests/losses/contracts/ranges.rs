//! Losses on images of any range of values.

use serde_json::json;
use tch::{Kind, Tensor};
use tch_losses::manager::LossSpec;
use tch_losses::DataRange;

use super::{for_each, Subject};
use crate::common::{assert_close, Relative};

/// Value and gradient are those of the images from 0 to 1, whatever range their values have. The gradient is one with
/// respect to values that are further apart.
#[test]
fn a_range_is_converted_inside() {
    let mut tested = Vec::new();
    for_each(|subject| {
        let images: Vec<usize> =
            (0..subject.arguments.len()).filter(|index| is_image(subject, *index)).collect();
        // A network may see the images as they are, whatever their range.
        let as_they_are = subject.case.options.get("normalization") == Some(&json!("none"));
        if range_of(subject) != Some(DataRange::Unit) || as_they_are {
            return;
        }
        let tensors = subject.tensors();
        let run = |range: serde_json::Value, tensors: &[Tensor]| {
            let mut built = subject.recorded().with("data_range", range).build();
            let leaves = subject.leaves(tensors);
            let loss = built.compute(subject.case, &leaves).unwrap();
            loss.sum(None).backward();
            (loss, leaves[0].grad())
        };
        let (expected, gradient) = run(json!("unit"), &tensors);
        for (range, length, lowest) in
            [(json!("signed"), 2.0, -1.0), (json!("bytes"), 255.0, 0.0), (json!([-3.0, 5.0]), 8.0, -3.0)]
        {
            let of_range = |(index, tensor): (usize, &Tensor)| match images.contains(&index) {
                true => tensor * length + lowest,
                false => tensor.copy(),
            };
            let moved: Vec<Tensor> = tensors.iter().enumerate().map(of_range).collect();
            let what = format!("{} {range}", subject.name);
            let (own, own_gradient) = run(range, &moved);
            // What is recorded is made of multiples of 1/256, which these ranges round.
            let tolerance = 4.0 * subject.tolerance(Kind::Double);
            assert_close(&what, &own, &expected, tolerance, Relative::ToElement { floor: 1.0 });
            if !subject.has_kinks() {
                assert_close(&what, &(own_gradient * length), &gradient, tolerance, Relative::ToLargest);
            }
        }
        tested.push(subject.loss());
    });
    tested.dedup();
    for name in LossSpec::NAMES {
        let has_range = LossSpec::named(name).unwrap().data_range().is_some();
        assert!(!has_range || tested.contains(name), "{name}");
    }
}

fn range_of(subject: &Subject) -> Option<DataRange> {
    subject.recorded().objective().losses.values().next()?.loss.data_range()
}

/// Weights are none.
fn is_image(subject: &Subject, index: usize) -> bool {
    ["input", "target"].contains(&subject.arguments[index].role.as_str())
}
