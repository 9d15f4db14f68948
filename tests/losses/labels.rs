//! Labels of embeddings are names: only whether they are equal counts.

use tch::{Kind, Tensor};
use tch_losses::{CircleLoss, LabelNtXentLoss, Loss, MultiSimilarityLoss, Reduction, SupConLoss};

use crate::common::{assert_close, device, noise, Relative};
use crate::support::leaf;

fn losses(reduction: Reduction) -> [Box<dyn Loss>; 4] {
    [
        Box::new(SupConLoss::default().with_reduction(reduction)),
        Box::new(LabelNtXentLoss::default().with_reduction(reduction)),
        Box::new(MultiSimilarityLoss::default().with_reduction(reduction)),
        Box::new(CircleLoss::default().with_reduction(reduction)),
    ]
}

/// The value and the gradient of its sum.
fn step(loss: &dyn Loss, embeddings: &Tensor, labels: &[i64]) -> (Tensor, Tensor) {
    let embeddings = leaf(embeddings);
    let value = loss.forward(&embeddings, &Tensor::from_slice(labels).to_device(device()));
    value.sum(Kind::Float).backward();
    (value.detach(), embeddings.grad())
}

/// Labels that f32 cannot tell apart, and the two that are the farthest from each other.
#[test]
fn labels_are_told_apart_whatever_their_numbers() {
    let near = 1i64 << 40;
    let names = [i64::MIN, near, i64::MAX, near + 1, i64::MIN, near, i64::MAX, near + 1];
    let numbers = [3i64, 0, 1, 2, 3, 0, 1, 2];
    let embeddings = noise(3, &[8, 5], Kind::Float);
    for reduction in [Reduction::Mean, Reduction::Sum, Reduction::None] {
        for loss in losses(reduction) {
            let (given, expected) = (step(&*loss, &embeddings, &names), step(&*loss, &embeddings, &numbers));
            let what = format!("{loss:?}");
            assert_close(&what, &given.0, &expected.0, 1e-6, Relative::ToLargest);
            assert_close(&what, &given.1, &expected.1, 1e-6, Relative::ToLargest);
        }
    }
}
