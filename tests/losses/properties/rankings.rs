//! What holds for the ranking, margin and triplet losses and CTC, whatever their numbers.

use tch::{Kind, Tensor};
use tch_losses::{
    BceWithLogitsLoss, CosineEmbeddingLoss, CtcLoss, Distance, HingeEmbeddingLoss, Loss, MarginRankingLoss,
    MultiLabelMarginLoss, MultiLabelSoftMarginLoss, MultiMarginLoss, SequenceLoss, SoftMarginLoss,
    TernaryLoss, TripletMarginLoss, TripletMarginWithDistanceLoss,
};

use crate::common::{assert_close, device, few_roundings, noise, value, Relative};
use crate::support::{integers, leaf, vector};

type Function = Box<dyn Fn(&[Tensor]) -> Tensor>;

/// Every loss as a function of the arguments that have a gradient, with such arguments off the kinks.
fn differentiable() -> Vec<(&'static str, Vec<Tensor>, Function)> {
    let draw = |seed, shape: &[i64]| noise(seed, shape, Kind::Double);
    let rows = || integers(&[1, -1, 1]);
    let columns = move || rows().view([3, 1]);
    let classes = || integers(&[2, 0, 3]);
    let weight = move || Some(draw(9, &[4]).abs().into());
    let ctc_targets = || integers(&[1, 1, 2, 3, 2]);
    vec![
        (
            "hinge",
            vec![draw(1, &[3, 4])],
            Box::new(move |x| HingeEmbeddingLoss::default().forward(&x[0], &columns())),
        ),
        (
            "soft",
            vec![draw(1, &[3, 4])],
            Box::new(move |x| SoftMarginLoss::default().forward(&x[0], &columns())),
        ),
        (
            "ranking",
            vec![draw(1, &[3, 4]), draw(2, &[3, 4]), draw(3, &[3, 4])],
            Box::new(|x| {
                MarginRankingLoss { margin: 0.3, ..Default::default() }.forward(&x[0], &x[1], &x[2])
            }),
        ),
        (
            "cosine",
            vec![draw(1, &[3, 4]), draw(2, &[3, 4])],
            Box::new(move |x| {
                let loss = CosineEmbeddingLoss { margin: -0.9, ..Default::default() };
                loss.forward(&x[0], &x[1], &rows())
            }),
        ),
        (
            "multi",
            vec![draw(1, &[3, 4])],
            Box::new(move |x| {
                let loss = MultiMarginLoss { p: 2, weight: weight(), ..Default::default() };
                loss.forward(&x[0], &classes())
            }),
        ),
        (
            "label",
            vec![draw(1, &[3, 4])],
            Box::new(|x| {
                let target = integers(&[3, 0, -1, 1, -1, 2, 1, 0, 0, 1, 2, -1]).view([3, 4]);
                MultiLabelMarginLoss::default().forward(&x[0], &target)
            }),
        ),
        (
            "label soft",
            vec![draw(1, &[3, 4]), draw(2, &[3, 4])],
            Box::new(move |x| {
                let loss =
                    MultiLabelSoftMarginLoss { weight: Some(draw(9, &[4]).into()), ..Default::default() };
                loss.forward(&x[0], &x[1])
            }),
        ),
        (
            "triplet",
            vec![draw(1, &[3, 4]), draw(2, &[3, 4]), draw(3, &[3, 4])],
            Box::new(|x| {
                let loss = TripletMarginLoss { p: 3.0, swap: true, ..Default::default() };
                loss.forward(&x[0], &x[1], &x[2])
            }),
        ),
        (
            "triplet with distance",
            vec![draw(1, &[3, 4]), draw(2, &[3, 4]), draw(3, &[3, 4])],
            Box::new(|x| {
                let loss = TripletMarginWithDistanceLoss { swap: true, ..Default::default() };
                loss.forward(&x[0], &x[1], &x[2])
            }),
        ),
        (
            "ctc",
            vec![draw(1, &[6, 2, 4])],
            Box::new(move |x| {
                let log_probs = x[0].log_softmax(-1, Kind::Double);
                CtcLoss::default().forward(&log_probs, &ctc_targets(), &[6, 5], &[3, 2])
            }),
        ),
    ]
}

/// Rounding leaves some 1e-16 / 1e-6 of a slope, curvature 1e-12: of slopes of 1/24 at least, 1e-8.
#[test]
fn gradients_are_the_slopes_of_the_loss() {
    let step = 1e-6;
    for (name, inputs, loss) in differentiable() {
        let leaves: Vec<Tensor> = inputs.iter().map(leaf).collect();
        loss(&leaves).backward();
        for (position, leaf) in leaves.iter().enumerate() {
            let at = |index: i64, offset: f64| {
                let moved: Vec<Tensor> = inputs.iter().map(Tensor::copy).collect();
                let _ = moved[position].view([-1]).narrow(0, index, 1).g_add_scalar_(offset);
                value(&loss(&moved))
            };
            let slopes: Vec<f64> = (0..leaf.numel() as i64)
                .map(|index| (at(index, step) - at(index, -step)) / (2.0 * step))
                .collect();
            let slopes = vector(&slopes).view_as(leaf);
            let what = format!("{name}, argument {position}");
            assert!(slopes.abs().sum(None).double_value(&[]) > 0.0, "{what}");
            assert_close(&what, &leaf.grad(), &slopes, 1e-6, Relative::ToLargest);
        }
    }
}

/// Two ways to a number of f64, some dozens of steps each.
#[test]
fn neighbours_agree() {
    let scores = noise(1, &[5, 3], Kind::Double) * 3.0;
    let present = noise(2, &[5, 3], Kind::Double).gt(0.0).to_kind(Kind::Double);
    let bce = BceWithLogitsLoss::default().forward(&scores, &present);
    let soft = SoftMarginLoss::default().forward(&scores, &(&present * 2.0 - 1.0));
    let multi = MultiLabelSoftMarginLoss::default().forward(&scores, &present);
    assert_close("soft margin", &soft, &bce, 1e-12, Relative::ToLargest);
    assert_close("multi-label soft margin", &multi, &bce, 1e-12, Relative::ToLargest);

    // A sample of one class is a sample of several with one.
    let class = integers(&[2, 0, 1, 2, 2]);
    let list = Tensor::full([5, 3], -1, (Kind::Int64, device()));
    list.select(1, 0).copy_(&class);
    let multi = MultiMarginLoss::default().forward(&scores, &class);
    let label = MultiLabelMarginLoss::default().forward(&scores, &list);
    assert_close("multi margin", &multi, &label, 1e-12, Relative::ToLargest);

    let [anchor, positive, negative] = [3, 4, 5].map(|seed| noise(seed, &[5, 3], Kind::Double));
    for swap in [false, true] {
        let own = TripletMarginLoss { swap, ..Default::default() };
        let given = TripletMarginWithDistanceLoss {
            distance_function: Distance::custom(|a, b| {
                Ok(Tensor::f_pairwise_distance(a, b, 2.0, 1e-6, false)?)
            }),
            swap,
            ..Default::default()
        };
        let default = TripletMarginWithDistanceLoss { swap, ..Default::default() };
        let own = own.forward(&anchor, &positive, &negative);
        for loss in [given, default] {
            let other = loss.forward(&anchor, &positive, &negative);
            assert_close(&format!("{loss:?}"), &other, &own, 1e-12, Relative::ToLargest);
        }
    }
}

#[test]
fn reduced_precision() {
    for kind in [Kind::Half, Kind::BFloat16] {
        let tolerance = few_roundings(kind);
        for (name, inputs, loss) in differentiable() {
            // Weights are of the kind of the input.
            if ["multi", "label soft", "ctc"].contains(&name) {
                continue;
            }
            let rounded: Vec<Tensor> = inputs.iter().map(|input| input.to_kind(kind)).collect();
            let actual = loss(&rounded);
            assert_eq!(actual.kind(), kind, "{name}");
            let exact: Vec<Tensor> = rounded.iter().map(|input| input.to_kind(Kind::Double)).collect();
            assert_close(
                name,
                &actual.to_kind(Kind::Double),
                &loss(&exact),
                tolerance,
                Relative::ToElement { floor: 0.5 },
            );
        }
        let scores = noise(1, &[3, 4], kind);
        let exact = scores.to_kind(Kind::Float);
        let close = |actual: Tensor, expected: Tensor| {
            assert_eq!(actual.kind(), kind);
            assert_close(
                "in f32 and rounded",
                &actual.to_kind(Kind::Float),
                &expected,
                tolerance,
                Relative::ToLargest,
            );
        };
        let classes = integers(&[2, 0, 3]);
        let multi = |kind| MultiMarginLoss {
            p: 2,
            weight: Some(noise(9, &[4], Kind::Half).abs().to_kind(kind).into()),
            ..Default::default()
        };
        close(multi(kind).forward(&scores, &classes), multi(Kind::Float).forward(&exact, &classes));
        let present = noise(2, &[3, 4], kind).gt(0.0).to_kind(Kind::Int64);
        let soft = |kind| MultiLabelSoftMarginLoss {
            weight: Some(noise(9, &[4], Kind::Half).abs().to_kind(kind).into()),
            ..Default::default()
        };
        close(soft(kind).forward(&scores, &present), soft(Kind::Float).forward(&exact, &present));
        let ctc = |log_probs: &Tensor| {
            let targets = integers(&[1, 1, 3, 2, 1]);
            CtcLoss::default().forward(log_probs, &targets, &[6, 6], &[3, 2])
        };
        let log_probs = noise(3, &[6, 2, 4], Kind::Float).log_softmax(-1, Kind::Float).to_kind(kind);
        close(ctc(&log_probs), ctc(&log_probs.to_kind(Kind::Float)));
    }
}
