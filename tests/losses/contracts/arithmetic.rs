//! Reductions add up, and maps have the loss as their mean.

use tch::{Kind, Tensor};

use super::{for_each, WITH_BATCH_MEAN, WITH_WEIGHTED_MEAN};
use crate::common::{assert_close, values, Relative};

#[test]
fn reductions_add_up() {
    let mut tested = 0;
    for_each(|subject| {
        let tensors = subject.tensors();
        let compute = |reduction| subject.compute(Some(reduction), &tensors).unwrap();
        if !subject.reductions().contains(&Some("none")) {
            return;
        }
        let (none, sum, mean) = (compute("none"), compute("sum"), compute("mean"));
        let close = |what: &str, own: &Tensor, expected: &Tensor| {
            let what = format!("{} {what}", subject.name);
            let tolerance = subject.tolerance(Kind::Double);
            assert_close(&what, own, expected, tolerance, Relative::ToElement { floor: 1.0 });
        };
        close("sum", &sum, &none.sum(None));
        if !WITH_WEIGHTED_MEAN.contains(&subject.loss()) {
            // Edge losses have the mean of all channels, of which each has the same map.
            close("mean", &mean, &none.mean(None));
        }
        // Logits without a batch are one sample.
        let batched = tensors[0].dim() > usize::from(subject.loss() == "DistillationLoss");
        if WITH_BATCH_MEAN.contains(&subject.loss()) && batched {
            close("batchmean", &compute("batchmean"), &(&sum / tensors[0].size()[0]));
        }
        tested += 1;
    });
    assert!(tested > 100, "{tested}");
}

/// Losses that are no mean over the pixels; their pages say what the mean of the map is.
const MAPS_WITH_ANOTHER_MEAN: [&str; 5] =
    ["GmsdLoss", "MultiScaleGmsdLoss", "HaarPsiLoss", "MdsiLoss", "Lpips"];

#[test]
fn the_mean_of_the_map_is_the_loss() {
    let mut with_maps = Vec::new();
    for_each(|subject| {
        let tensors = subject.tensors();
        if tensors.iter().any(|tensor| tensor.dim() != 4) {
            return;
        }
        let Some(map) = subject.map(subject.reductions()[0], &tensors).unwrap() else { return };
        let shape = tensors[0].size();
        assert_eq!(map.size(), [shape[0], 1, shape[2], shape[3]], "{}", subject.name);
        // Whatever the reduction.
        for reduction in subject.reductions() {
            let other = subject.map(reduction, &tensors).unwrap().unwrap();
            assert_eq!(values(&other), values(&map), "{} {reduction:?}", subject.name);
        }
        // The network's maps are enlarged: their mean is exact where its strides fit.
        if subject.loss() == "PerceptualLoss" && (shape[2] % 16 != 0 || shape[3] % 16 != 0) {
            return;
        }
        if MAPS_WITH_ANOTHER_MEAN.contains(&subject.loss()) {
            return;
        }
        let loss = subject.compute(subject.reductions()[0], &tensors).unwrap();
        let floor = Relative::ToElement { floor: 1.0 };
        assert_close(subject.name, &map.mean(None), &loss, subject.tolerance(Kind::Double), floor);
        with_maps.push(subject.loss());
    });
    with_maps.dedup();
    let expected = [
        "HuberLoss",
        "L1Loss",
        "MseLoss",
        "SmoothL1Loss",
        "CharbonnierLoss",
        "CauchyLoss",
        "GemanMcclureLoss",
        "WelschLoss",
        "WingLoss",
        "TotalVariationLoss",
        "WeightedTotalVariationLoss",
        "WeightedL1Loss",
        "WeightedMseLoss",
        "WeightedCharbonnierLoss",
        "Laplacian",
        "Sobel",
        "BceLoss",
        "BceWithLogitsLoss",
        "PerceptualLoss",
    ];
    for loss in expected {
        assert!(with_maps.contains(&loss), "{loss} has no map: {with_maps:?}");
    }
}
