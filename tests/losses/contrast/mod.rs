//! The losses of all pairs of a batch of embeddings.

mod edges;

use tch::{nn, no_grad, Kind, Tensor};
use tch_losses::{
    CircleLoss, ClipConfig, ClipLoss, ContrastiveLoss, InfoNceLoss, LabelNtXentLoss, Loss,
    MultiSimilarityLoss, NtXentLoss, Reduction, SigLipConfig, SigLipLoss, SupConLoss,
    TripletMarginWithMinerLoss, TripletMiner,
};

use crate::common::{assert_close, device, noise, value, Relative};
use crate::support::{assert_values, differences, integers, leaf, matrix};

/// More pairs than are looked at together.
const MANY: i64 = 1100;

const MINERS: [TripletMiner; 5] = [
    TripletMiner::All,
    TripletMiner::Easy,
    TripletMiner::Hard,
    TripletMiner::SemiHard,
    TripletMiner::BatchHard,
];

fn of_labels() -> Vec<Box<dyn Loss>> {
    let mut losses: Vec<Box<dyn Loss>> = vec![
        Box::new(SupConLoss::default()),
        Box::new(LabelNtXentLoss::default()),
        Box::new(MultiSimilarityLoss::default()),
        Box::new(CircleLoss::default()),
        Box::new(ContrastiveLoss::default()),
    ];
    for miner in MINERS {
        losses.push(Box::new(TripletMarginWithMinerLoss::default().with_miner(miner).with_margin(0.5)));
    }
    losses
}

fn of_two_sets(vs: &nn::VarStore) -> Vec<Box<dyn Loss>> {
    let root = vs.root();
    vec![
        Box::new(NtXentLoss::default()),
        Box::new(InfoNceLoss::default()),
        Box::new(ClipLoss::new(&(&root / "clip"), ClipConfig::default()).unwrap()),
        Box::new(SigLipLoss::new(&(&root / "sig_lip"), SigLipConfig::default()).unwrap()),
    ]
}

/// The value and the gradient with respect to `input`.
fn step(loss: &dyn Loss, input: &Tensor, other: &Tensor) -> (Tensor, Tensor) {
    let input = leaf(input);
    let value = loss.forward(&input, other);
    value.backward();
    (value.detach(), input.grad())
}

fn is_finite(tensor: &Tensor) -> bool {
    tensor.isfinite().all().int64_value(&[]) == 1
}

fn labels(count: i64, classes: i64) -> Tensor {
    Tensor::arange(count, (Kind::Int64, device())).remainder(classes)
}

/// The mean of the elements that the mask has.
fn mean_of(losses: &Tensor, mask: &Tensor) -> Tensor {
    (losses * mask).sum(None) / mask.sum(losses.kind())
}

/// Some at a time, without a graph, are all at once in libtorch's graph.
#[test]
fn in_pieces() {
    let (embeddings, labels) = (noise(1, &[MANY, 5], Kind::Double), labels(MANY, 150));
    let other = noise(2, &[MANY, 5], Kind::Double);
    let above_0 = |losses: &Tensor| losses.gt(0.0);
    let all = |losses: &Tensor| losses.ones_like().gt(0.0);
    let same = labels.unsqueeze(1).eq_tensor(&labels).tril(-1);
    let same = same.logical_or(&same.transpose(0, 1));
    let pairs = |_: &Tensor| same.copy();
    // The mean, the losses, the second argument, and which the mean is over.
    type Case<'a> = (Box<dyn Loss>, Box<dyn Loss>, &'a Tensor, &'a dyn Fn(&Tensor) -> Tensor);
    let cases: [Case; 6] = [
        (
            Box::new(SupConLoss::default()),
            Box::new(SupConLoss::default().with_reduction(Reduction::None)),
            &labels,
            &above_0,
        ),
        (
            Box::new(LabelNtXentLoss::default()),
            Box::new(LabelNtXentLoss::default().with_reduction(Reduction::None)),
            &labels,
            &pairs,
        ),
        (
            Box::new(MultiSimilarityLoss::default()),
            Box::new(MultiSimilarityLoss::default().with_reduction(Reduction::None)),
            &labels,
            &all,
        ),
        (
            Box::new(CircleLoss::default()),
            Box::new(CircleLoss::default().with_reduction(Reduction::None)),
            &labels,
            &above_0,
        ),
        (
            Box::new(NtXentLoss::default()),
            Box::new(NtXentLoss::default().with_reduction(Reduction::None)),
            &other,
            &all,
        ),
        (
            Box::new(InfoNceLoss::default()),
            Box::new(InfoNceLoss::default().with_reduction(Reduction::None)),
            &other,
            &all,
        ),
    ];
    for (mean, none, other, counted) in cases {
        let (value, gradient) = step(&mean, &embeddings, other);
        let graph = leaf(&embeddings);
        let losses = none.forward(&graph, other);
        let expected = mean_of(&losses, &counted(&losses));
        expected.backward();
        let what = format!("{mean:?}");
        assert_close(&what, &value, &expected, 1e-12, Relative::ToLargest);
        assert_close(&what, &gradient, &graph.grad(), 1e-10, Relative::ToLargest);
        let free = no_grad(|| mean.forward(&leaf(&embeddings), other));
        assert_close(&what, &free, &expected, 1e-12, Relative::ToLargest);
    }
}

/// Counted and sorted, the triplets are those of a list.
#[test]
fn triplets_in_pieces() {
    let (embeddings, labels) = (noise(1, &[MANY, 5], Kind::Double), labels(MANY, 350));
    for miner in MINERS {
        let loss = TripletMarginWithMinerLoss::default().with_miner(miner).with_margin(0.4);
        let (value, gradient) = step(&loss, &embeddings, &labels);
        let rows = leaf(&embeddings);
        let unit = &rows / rows.norm_scalaropt_dim(2, [1i64].as_slice(), true);
        // Far enough from 0, where the root has no slope; an anchor is no partner of itself.
        let distances = (unit.matmul(&unit.transpose(0, 1)) * -2.0 + 2.0).clamp_min(1e-12).sqrt();
        let (mut sum, mut count) = (Tensor::from(0.0f64).to_device(device()), 0);
        for anchor in 0..MANY {
            let row = distances.get(anchor);
            let same = labels.eq_tensor(&labels.get(anchor));
            let positives =
                row.masked_select(&same.logical_and(&labels.ones_like().cumsum(0, None).ne(anchor + 1)));
            let negatives = row.masked_select(&same.logical_not());
            let (positives, negatives) = match miner {
                TripletMiner::BatchHard => (positives.max().view([1]), negatives.min().view([1])),
                _ => (positives, negatives),
            };
            let farther = negatives.unsqueeze(0) - positives.unsqueeze(1);
            let taken = match miner {
                TripletMiner::All | TripletMiner::BatchHard => farther.isfinite(),
                TripletMiner::Easy => farther.gt(0.2),
                TripletMiner::Hard => farther.le(0.0),
                TripletMiner::SemiHard => farther.gt(0.0).logical_and(&farther.le(0.2)),
            };
            let losses = (farther.neg() + 0.4).relu() * taken;
            sum += losses.sum(None);
            count += losses.gt(0.0).sum(Kind::Int64).int64_value(&[]);
        }
        let expected = sum / count;
        expected.backward();
        assert_close(&format!("{miner:?}"), &value, &expected, 1e-10, Relative::ToLargest);
        assert_close(&format!("{miner:?}"), &gradient, &rows.grad(), 1e-8, Relative::ToLargest);
    }
}

#[test]
fn by_hand() {
    let none = Reduction::None;
    let embeddings = matrix(&[[2.0, 0.0], [0.6, 0.8], [0.0, 3.0], [0.0, -1.0]]);
    let labels = integers(&[5, 5, 8, 8]);
    // The cosines of the first are 0.6, 0 and 0; of the second 0.6, 0.8 and -0.8; of the third 0, 0.8 and -1.
    let exp = |values: &[f64]| values.iter().map(|value| value.exp()).sum::<f64>();
    let sup_con = SupConLoss { temperature: 1.0, reduction: none };
    let logs = [(exp(&[0.6, 0.0, 0.0]), 0.6), (exp(&[0.6, 0.8, -0.8]), 0.6)];
    let others = [(exp(&[0.0, 0.8, -1.0]), -1.0), (exp(&[0.0, -0.8, -1.0]), -1.0)];
    let expected: Vec<f64> = [logs, others].concat().iter().map(|(sum, own)| sum.ln() - own).collect();
    assert_values(&sup_con.forward(&embeddings, &labels), &expected);
    // Each has one positive here, so that the positives are none of the negatives' in both.
    let nt_xent = LabelNtXentLoss { temperature: 1.0, reduction: none };
    let pairs = nt_xent.forward(&embeddings, &labels);
    assert_eq!(pairs.size(), [4, 4]);
    assert_values(&pairs.sum_dim_intlist([1i64].as_slice(), false, None), &expected);

    let multi = MultiSimilarityLoss { alpha: 2.0, beta: 4.0, base: 0.5, reduction: none };
    let first = (1.0 + (-0.2f64).exp()).ln() / 2.0 + (1.0 + 2.0 * (-2f64).exp()).ln() / 4.0;
    let second = (1.0 + (-0.2f64).exp()).ln() / 2.0 + (1.0 + 1.2f64.exp() + (-5.2f64).exp()).ln() / 4.0;
    assert_values(&multi.forward(&embeddings, &labels).narrow(0, 0, 2), &[first, second]);

    let circle = CircleLoss { m: 0.25, gamma: 4.0, reduction: none };
    // The positive: 4 * 0.65 * 0.15; the negatives: 4 * 0.25 * -0.25; 4 * 1.05 * 0.55 and 0.
    let (positive, negatives) = (0.39f64.exp(), 2.0 * (-0.25f64).exp());
    let second = (1.0 + positive * (2.31f64.exp() + 1.0)).ln();
    assert_values(
        &circle.forward(&embeddings, &labels).narrow(0, 0, 2),
        &[(1.0 + positive * negatives).ln(), second],
    );

    let given = matrix(&[[0.0, 0.0], [0.0, 3.0], [4.0, 0.0], [0.0, 0.0]]);
    let contrastive = ContrastiveLoss { pos_margin: 1.0, neg_margin: 4.5, normalize: false, reduction: none };
    let expected = [0.0, 2.0, 0.5, 4.5, 2.0, 0.0, 0.0, 1.5, 0.5, 0.0, 0.0, 3.0, 4.5, 1.5, 3.0, 0.0];
    assert_values(&contrastive.forward(&given, &labels).flatten(0, -1), &expected);
    let mean = ContrastiveLoss { reduction: Reduction::Mean, ..contrastive };
    assert_values(&mean.forward(&given, &labels), &[2.5 + 6.5 / 3.0]);

    // The distances of the positives are 3, 3, 4, 4; of the negatives 4 and 0, 5 and 3, 4 and 5, 0 and 3.
    let triplets = TripletMarginWithMinerLoss { normalize: false, margin: 1.5, ..Default::default() };
    for (miner, expected) in [
        (TripletMiner::All, (0.5 + 4.5 + 1.5 + 1.5 + 0.5 + 5.5 + 2.5) / 7.0),
        (TripletMiner::Hard, (4.5 + 1.5 + 1.5 + 5.5 + 2.5) / 5.0),
        (TripletMiner::SemiHard, 0.5),
        (TripletMiner::Easy, 0.0),
        (TripletMiner::BatchHard, (4.5 + 1.5 + 1.5 + 5.5) / 4.0),
    ] {
        let loss = triplets.with_miner(miner).with_miner_margin(1.0);
        assert_values(&loss.forward(&given, &labels), &[expected]);
    }
    let easy = triplets.with_miner(TripletMiner::Easy).with_miner_margin(0.5);
    assert_values(&easy.forward(&given, &labels), &[0.5]);
}

/// Two views of a sample are a class of their own.
#[test]
fn views_are_labels() {
    let (first, second) = (noise(1, &[6, 4], Kind::Double), noise(2, &[6, 4], Kind::Double));
    let number = Tensor::arange(6, (Kind::Int64, device())).repeat([2]);
    let both = Tensor::cat(&[&first, &second], 0);
    let expected = NtXentLoss { temperature: 0.3, ..Default::default() }.forward(&first, &second);
    let by_labels = LabelNtXentLoss { temperature: 0.3, ..Default::default() }.forward(&both, &number);
    let supervised = SupConLoss { temperature: 0.3, ..Default::default() }.forward(&both, &number);
    assert_close("pairs", &by_labels, &expected, 1e-12, Relative::ToLargest);
    assert_close("anchors", &supervised, &expected, 1e-12, Relative::ToLargest);
    assert_eq!(SupConLoss::sup_contrast().temperature, 0.07);
}

/// CLIP's loss is InfoNCE both ways.
#[test]
fn both_ways() {
    let vs = nn::VarStore::new(device());
    let clip = ClipLoss::new(&vs.root(), ClipConfig { logit_scale: 2.5f64.ln() }).unwrap();
    let unit = |seed| {
        let rows = noise(seed, &[7, 4], Kind::Double);
        &rows / rows.norm_scalaropt_dim(2, [1i64].as_slice(), true)
    };
    let (images, texts) = (unit(1), unit(2));
    let one = InfoNceLoss::default().with_temperature(1.0 / 2.5);
    let expected = (one.forward(&images, &texts) + one.forward(&texts, &images)) / 2.0;
    // The scale is f32.
    assert_close("clip", &clip.forward(&images, &texts), &expected, 1e-6, Relative::ToLargest);
}

/// Features and parameters, each on its own, have the gradient of the differences.
#[test]
fn parameters_learn() {
    let mut vs = nn::VarStore::new(device());
    vs.double();
    let (images, texts) = (noise(1, &[4, 3], Kind::Double), noise(2, &[4, 3], Kind::Double));
    let mut clip = ClipLoss::new(&vs.root(), ClipConfig::default()).unwrap();
    for config in [SigLipConfig { logit_scale: 0.5, logit_bias: -1.0 }, SigLipConfig::default()] {
        let names = nn::VarStore::new(device());
        let given = SigLipLoss::new(&names.root(), config).unwrap();
        assert_eq!(names.variables().len(), 2);
        assert!(
            names.variables().contains_key("logit_scale") && names.variables().contains_key("logit_bias")
        );
        assert!(given.logit_scale.requires_grad() && given.logit_bias.requires_grad());
        let start = Tensor::from_slice(&[config.logit_scale, config.logit_bias]).to_device(device());
        let number = |parameters: &Tensor| {
            let loss = SigLipLoss { logit_scale: parameters.get(0), logit_bias: parameters.get(1) };
            loss.forward(&images, &texts)
        };
        let parameters = leaf(&start);
        number(&parameters).backward();
        let expected = differences(&start, 1e-5, number);
        assert_close("sig_lip", &parameters.grad(), &expected, 1e-8, Relative::ToLargest);
    }
    let start = Tensor::from_slice(&[0.7]).to_device(device());
    let number = |scale: &Tensor| ClipLoss { logit_scale: scale.get(0) }.forward(&images, &texts);
    let scale = leaf(&start);
    number(&scale).backward();
    assert_close("clip", &scale.grad(), &differences(&start, 1e-5, number), 1e-8, Relative::ToLargest);

    assert!((value(&clip.logit_scale) - (1.0 / 0.07f64).ln()).abs() < 1e-6);
    for (given, expected) in [(9.0, 100f64.ln()), (-3.0, 0.0), (2.0, 2.0)] {
        let _ = no_grad(|| clip.logit_scale.fill_(given));
        clip.clamp_logit_scale();
        assert!((value(&clip.logit_scale) - expected).abs() < 1e-6);
    }
    assert!(clip.logit_scale.requires_grad());
}
