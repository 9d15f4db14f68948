//! Losses are data: they are cloned, compared, written and read.

use tch::{Kind, Tensor};
use tch_losses::manager::Objective;

use super::for_each;
use crate::common::{device, values};
use crate::recorded::Built;

#[test]
fn a_loss_is_the_same_after_a_clone_and_a_file() {
    for_each(|subject| {
        let recorded = subject.recorded();
        let objective = recorded.objective();
        let copies = [
            objective.clone(),
            Objective::from_json(&objective.to_json().unwrap()).unwrap(),
            Objective::from_toml(&objective.to_toml().unwrap()).unwrap(),
        ];
        let tensors = subject.tensors();
        let compute = |objective: &Objective| {
            let loss = Built::new(objective, &recorded).compute(subject.case, &tensors).unwrap();
            values(&loss.nan_to_num(7.0, None, None))
        };
        let expected = compute(&objective);
        for copy in copies {
            assert_eq!(copy, objective, "{}", subject.name);
            assert_eq!(compute(&copy), expected, "{}", subject.name);
            copy.losses.values().for_each(|term| term.loss.check_options().unwrap());
        }
    });
}

/// Pictures as they occur: the same twice, flat, black. The loss is a number, and so are its gradients.
#[test]
fn identical_flat_and_black_inputs() {
    for_each(|subject| {
        // A mean of nothing, where all is ignored.
        let given = subject.compute(subject.reductions()[0], &subject.tensors()).unwrap();
        if !given.double_value(&[]).is_finite() {
            return;
        }
        let floating = |index: usize| subject.arguments[index].tensor.is_floating_point();
        let alike =
            |index: usize| subject.arguments[index].tensor.size() == subject.arguments[0].tensor.size();
        let of = |make: &dyn Fn(usize, &Tensor) -> Tensor| -> Vec<Tensor> {
            let tensors = subject.tensors();
            let change = |(index, tensor): (usize, &Tensor)| match floating(index) {
                true => make(index, tensor),
                false => tensor.copy(),
            };
            tensors.iter().enumerate().map(change).collect()
        };
        let first = subject.tensors().remove(0);
        let mut cases = vec![
            ("flat", of(&|_, tensor| tensor.mean(None).expand(tensor.size(), false).copy())),
            ("black", of(&|_, tensor| tensor.zeros_like())),
        ];
        // One of the two only: what a network gives that has collapsed.
        if ["structure", "similarity", "frequency", "pixel", "edge"].contains(&subject.family) {
            let input = |make: &dyn Fn(&Tensor) -> Tensor| {
                of(&|index, tensor| if index == 0 { make(tensor) } else { tensor.copy() })
            };
            cases.extend([
                ("white", of(&|_, tensor| tensor.ones_like())),
                ("flat input", input(&|tensor| tensor.full_like(0.5))),
                ("black input", input(&Tensor::zeros_like)),
                ("white input", input(&Tensor::ones_like)),
            ]);
        }
        // Elsewhere, the two are of different domains: probabilities and their logarithms, counts and their rates.
        let with_alike = [
            "pixel",
            "edge",
            "structure",
            "similarity",
            "frequency",
            "perceptual",
            "embedding",
            "self_supervised",
        ];
        if with_alike.contains(&subject.family) {
            cases.push((
                "identical",
                of(&|index, tensor| if alike(index) { first.copy() } else { tensor.copy() }),
            ));
        }
        for (what, tensors) in cases {
            let what = format!("{} {what}", subject.name);
            let leaves = subject.leaves(&tensors);
            let loss = subject.compute(subject.reductions()[0], &leaves);
            let loss = loss.unwrap_or_else(|error| panic!("{what}: {error}"));
            assert!(has_no_nan(&loss), "{what}: {loss:?}");
            if !loss.requires_grad() {
                continue;
            }
            loss.backward();
            for (leaf, argument) in
                leaves.iter().zip(&subject.arguments).filter(|(leaf, _)| leaf.requires_grad())
            {
                // The slope of y log y at 0 is infinite; PyTorch has NaN.
                let with_logarithm = ["KlDivLoss", "PoissonNllLoss"].contains(&subject.loss());
                if with_logarithm && argument.role == "target" {
                    continue;
                }
                assert!(has_no_nan(&leaf.grad()), "{what}: gradient of {}", argument.role);
            }
        }
    });
}

fn has_no_nan(tensor: &Tensor) -> bool {
    tensor.isnan().any().int64_value(&[]) == 0
}

/// Of one row whose class is ignored: libtorch's mean of nothing is NaN on the CPU, and 0 on CUDA.
pub fn ends_in_zero_on_cuda(case: &str) -> bool {
    case.ends_with(".mean.single.ignored")
}

/// A NaN in the first argument does not hide: the loss is NaN.
#[test]
fn a_value_that_is_not_a_number_shows() {
    // A hinge of classes counts a term of NaN as 0, as in PyTorch.
    let hide = ["MultiMarginLoss", "MultiLabelMarginLoss"];
    for_each(|subject| {
        let mut tensors = subject.tensors();
        let size = tensors[0].size();
        let of_neighbours = ["Sobel", "TotalVariationLoss", "GradientDifferenceLoss"];
        if of_neighbours.contains(&subject.loss()) && size[2..] == [1, 1] {
            // These have no weight for the pixel itself, and this one has no neighbours.
            return;
        }
        if subject.loss() == "BceLoss" && device().is_cuda() {
            // libtorch's own check of probabilities is an assertion on the device there, which ends all work on it.
            return;
        }
        if ends_in_zero_on_cuda(subject.name) && device().is_cuda() {
            return;
        }
        let _ = tensors[0].fill_(f64::NAN);
        match subject.compute(subject.reductions()[0], &tensors) {
            Ok(loss) => {
                assert_eq!(loss.kind(), Kind::Double);
                assert!(
                    hide.contains(&subject.loss()) || !loss.double_value(&[]).is_finite(),
                    "{}: {loss:?}",
                    subject.name
                );
            }
            // libtorch's own check of probabilities.
            Err(error) => assert_eq!(subject.loss(), "BceLoss", "{}: {error}", subject.name),
        }
    });
}
