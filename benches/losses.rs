//! What every loss costs, forward and backward to its input: `cargo bench --bench losses`, with a part of a
//! name to run some of them, with `--features cuda` on CUDA. `scripts/bench_peers.py` compares the image
//! losses with PyTorch.

use std::cell::RefCell;

use criterion::{criterion_group, criterion_main, BenchmarkId, Criterion};
use tch::{nn, Cuda, Device, Kind, Tensor};
use tch_losses::manager::{Inputs, LossSpec, Objective};
use tch_losses::{
    AdaptiveLogSoftmaxConfig, AdaptiveLogSoftmaxWithLoss, ArcFaceConfig, ArcFaceLoss, Architecture,
    AsymmetricLoss, AsymmetricSingleLabelLoss, BarlowTwinsLoss, BceLoss, BceWithLogitsLoss,
    BinaryCrossEntropyLoss, ByolLoss, CoralLoss, CornLoss, CosFaceConfig, CosFaceLoss, CosineEmbeddingLoss,
    CrossEntropyLoss, CtcLoss, DinoConfig, DinoLoss, DistillationLoss, FocalLoss, GanLoss, GaussianKlLoss,
    GaussianNllLoss, HingeEmbeddingLoss, HlGaussLoss, JsdCrossEntropyLoss, KlDivLoss,
    LinearCrossEntropyConfig, LinearCrossEntropyLoss, LogCoshLoss, Loss, LpLoss, MarginRankingLoss,
    MaskedSoftTargetCrossEntropyLoss, MultiLabelMarginLoss, MultiLabelSoftMarginLoss, MultiMarginLoss,
    NegativeBinomialNllLoss, Network, NllLoss, NormalKlLoss, PatchNceLoss, PerceptualLoss, PoissonNllLoss,
    PolyBinaryCrossEntropyLoss, PolyCrossEntropyLoss, QuantileHuberLoss, QuantileLoss, Reduction, RmseLoss,
    SequenceLoss, SigmoidFocalLoss, SoftMarginLoss, SoftTargetCrossEntropyLoss, Streaming, TernaryLoss,
    TripletMarginLoss, TripletMarginWithDistanceLoss, VicRegLoss,
};

fn device() -> Device {
    match cfg!(feature = "cuda") {
        true => Device::Cuda(0),
        false => Device::Cpu,
    }
}

/// Values in `[-1, 1)`.
fn noise(shape: &[i64]) -> Tensor {
    Tensor::rand(shape, (Kind::Float, device())) * 2.0 - 1.0
}

/// Values in `(0, 1)`.
fn probabilities(shape: &[i64]) -> Tensor {
    noise(shape).sigmoid()
}

fn classes(count: i64, shape: &[i64]) -> Tensor {
    Tensor::randint(count, shape, (Kind::Int64, device()))
}

/// -1 or 1.
fn signs(shape: &[i64]) -> Tensor {
    noise(shape).sign()
}

/// One loss at one size: what it is called with besides `input` is its own affair.
struct Case {
    name: &'static str,
    size: String,
    input: Tensor,
    forward: Box<dyn Fn(&Tensor) -> Tensor>,
}

fn case(name: &'static str, input: Tensor, forward: impl Fn(&Tensor) -> Tensor + 'static) -> Case {
    let size = input.size().iter().map(i64::to_string).collect::<Vec<_>>().join("x");
    Case { name, size, input, forward: Box::new(forward) }
}

/// A loss of two tensors.
fn pair(name: &'static str, loss: impl Loss + 'static, input: Tensor, target: Tensor) -> Case {
    case(name, input, move |input| loss.forward(input, &target))
}

/// A loss of the catalogue, of as many images as it takes.
fn of_images(name: &'static str, size: &[i64]) -> Case {
    let mut objective = Objective::default();
    objective.losses.insert(name.into(), LossSpec::named(name).unwrap().into());
    let manager = RefCell::new(objective.build(device()).unwrap());
    let [input, second, third] = [(); 3].map(|()| probabilities(size));
    let compute = move |input: &Tensor, count: usize| {
        let inputs = match count {
            1 => Inputs::One(input),
            2 => Inputs::Two(input, &second),
            _ => Inputs::Three(input, &second, &third),
        };
        manager.borrow_mut().compute(name, inputs)
    };
    let count = (1..=3).find(|count| compute(&input, *count).is_ok()).expect(name);
    case(name, input, move |input| compute(input, count).unwrap())
}

fn image_losses() -> Vec<Case> {
    let families = ["pixel", "edge", "structure", "similarity", "frequency"];
    LossSpec::NAMES
        .iter()
        .filter(|name| families.contains(&LossSpec::named(name).unwrap().family()))
        .flat_map(|name| {
            let sizes: &[[i64; 4]] = match *name {
                "L1Loss" | "Sobel" | "Laplacian" => &[[1, 3, 256, 256], [8, 3, 256, 256], [16, 3, 512, 512]],
                _ => &[[4, 3, 256, 256]],
            };
            sizes.iter().map(|size| of_images(name, size))
        })
        .collect()
}

fn perceptual_losses() -> Vec<Case> {
    let mut cases = Vec::new();
    let vgg = Network::new(&nn::VarStore::new(device()).root(), &Architecture::VGG19);
    let reduced = vgg.to_kind(Kind::BFloat16).unwrap();
    for size in [[1, 3, 256, 256], [4, 3, 256, 256], [16, 3, 256, 256]] {
        let (fake, real) = (|| noise(&size), || noise(&size));
        let single = PerceptualLoss::new(vgg.clone());
        let graph = PerceptualLoss { streaming: Streaming::Off, ..single.clone() };
        let bf16 = PerceptualLoss::new(reduced.clone());
        let features = single.target_features(&real()).unwrap();
        let cached = single.clone();
        cases.push(pair("PerceptualLoss", single, fake(), real()));
        cases.push(pair("PerceptualLoss in a graph", graph, fake(), real()));
        cases.push(pair("PerceptualLoss in bf16", bf16, fake(), real()));
        cases.push(case("PerceptualLoss cached", fake(), move |fake| {
            cached.forward_features(fake, &features)
        }));
    }
    cases
}

fn other_losses() -> Vec<Case> {
    let values = [1 << 20];
    let logits = [4096, 1000];
    let vectors = [16384, 256];
    let labels = || classes(1000, &logits[..1]);
    let store = nn::VarStore::new(device());
    let adaptive = AdaptiveLogSoftmaxConfig::new(256, 50_000, &[1000, 10_000]);
    let adaptive = AdaptiveLogSoftmaxWithLoss::new(&(store.root() / "a"), adaptive).unwrap();
    let linear = LinearCrossEntropyConfig::new(256, 10_000);
    let linear = LinearCrossEntropyLoss::new(&(store.root() / "l"), linear).unwrap();
    let few = [2048, 256];
    let words = classes(50_000, &few[..1]);
    let (positive, negative, other) = (noise(&vectors), noise(&vectors), noise(&vectors));
    let (close, far) = (noise(&vectors), noise(&vectors));
    let (variance, expected) = (probabilities(&values), noise(&values));
    let (ranks, second) = (signs(&values), noise(&values));
    let same = signs(&vectors[..1]);
    let multilabel = classes(20, &[4096, 20]);
    let (frames, transcripts) =
        (noise(&[200, 32, 64]).log_softmax(-1, Kind::Float), classes(63, &[32, 30]) + 1);
    vec![
        case("GanLoss", noise(&[16, 1, 30, 30]), |fake| GanLoss::default().generator(fake)),
        pair("PatchNceLoss", PatchNceLoss::default(), noise(&[8, 256, 256]), noise(&[8, 256, 256])),
        pair("GaussianKlLoss", GaussianKlLoss::default(), noise(&values), noise(&values)),
        pair("BceLoss", BceLoss::default(), probabilities(&values), probabilities(&values)),
        pair("BceWithLogitsLoss", BceWithLogitsLoss::default(), noise(&values), probabilities(&values)),
        pair("CrossEntropyLoss", CrossEntropyLoss::default(), noise(&logits), labels()),
        pair("NllLoss", NllLoss::default(), noise(&logits).log_softmax(-1, Kind::Float), labels()),
        pair("LinearCrossEntropyLoss", linear, noise(&few), classes(10_000, &few[..1])),
        case("AdaptiveLogSoftmaxWithLoss", noise(&few), move |input| adaptive.forward(input, &words).loss),
        pair("KlDivLoss", KlDivLoss::default(), probabilities(&logits).log(), probabilities(&logits)),
        pair("PoissonNllLoss", PoissonNllLoss::default(), noise(&values), probabilities(&values)),
        case("GaussianNllLoss", noise(&values), move |input| {
            GaussianNllLoss::default().forward(input, &expected, &variance)
        }),
        pair("SoftMarginLoss", SoftMarginLoss::default(), noise(&values), signs(&values)),
        pair("HingeEmbeddingLoss", HingeEmbeddingLoss::default(), noise(&values), signs(&values)),
        pair("MultiMarginLoss", MultiMarginLoss::default(), noise(&logits), labels()),
        pair("MultiLabelMarginLoss", MultiLabelMarginLoss::default(), noise(&[4096, 20]), multilabel),
        pair(
            "MultiLabelSoftMarginLoss",
            MultiLabelSoftMarginLoss::default(),
            noise(&logits),
            probabilities(&logits).round(),
        ),
        case("MarginRankingLoss", noise(&values), move |input| {
            MarginRankingLoss::default().forward(input, &second, &ranks)
        }),
        case("CosineEmbeddingLoss", noise(&vectors), move |input| {
            CosineEmbeddingLoss::default().forward(input, &other, &same)
        }),
        case("TripletMarginLoss", noise(&vectors), move |anchor| {
            TripletMarginLoss::default().forward(anchor, &positive, &negative)
        }),
        case("TripletMarginWithDistanceLoss", noise(&vectors), move |anchor| {
            TripletMarginWithDistanceLoss::default().forward(anchor, &close, &far)
        }),
        case("CtcLoss", frames, move |frames| {
            CtcLoss::default().forward(frames, &transcripts, &[200; 32], &[30; 32])
        }),
    ]
}

/// Losses of classes beside those of `torch.nn`, at the sizes of detectors, taggers and ImageNet.
fn more_of_classes() -> Vec<Case> {
    let (anchors, tags, logits, pixels) = ([8, 4096, 64], [128, 9605], [256, 1000], [4, 19, 256, 256]);
    let rare = |shape: &[i64]| probabilities(shape).gt(0.7).to_kind(Kind::Float);
    let labels = || classes(1000, &logits[..1]);
    let policy = || noise(&logits).softmax(1, None);
    let (soft, legal) = (policy(), noise(&logits).gt(0.0));
    let focal = SigmoidFocalLoss::default().with_reduction(Reduction::Mean);
    vec![
        pair("SigmoidFocalLoss", focal, noise(&anchors), rare(&anchors)),
        pair("FocalLoss", FocalLoss::default(), noise(&pixels), classes(19, &[4, 256, 256])),
        pair("AsymmetricLoss", AsymmetricLoss::default(), noise(&tags), rare(&tags)),
        pair("AsymmetricSingleLabelLoss", AsymmetricSingleLabelLoss::default(), noise(&logits), labels()),
        pair("PolyCrossEntropyLoss", PolyCrossEntropyLoss::default(), noise(&logits), labels()),
        pair("PolyBinaryCrossEntropyLoss", PolyBinaryCrossEntropyLoss::default(), noise(&tags), rare(&tags)),
        pair("BinaryCrossEntropyLoss", BinaryCrossEntropyLoss::default(), noise(&logits), labels()),
        pair("SoftTargetCrossEntropyLoss", SoftTargetCrossEntropyLoss::default(), noise(&logits), policy()),
        case("MaskedSoftTargetCrossEntropyLoss", noise(&logits), move |input| {
            MaskedSoftTargetCrossEntropyLoss::default().forward(input, &soft, &legal)
        }),
        pair("DistillationLoss", DistillationLoss::default(), noise(&logits), noise(&logits)),
        pair(
            "JsdCrossEntropyLoss",
            JsdCrossEntropyLoss::default(),
            noise(&[768, 1000]),
            classes(1000, &[768]),
        ),
    ]
}

/// Losses of embeddings with a margin, and of two views.
fn embedding_losses() -> Vec<Case> {
    let (few, many, crops) = ([256, 512], [512, 2048], [8, 16, 4096]);
    let store = nn::VarStore::new(device());
    let arc_face = ArcFaceLoss::new(&(store.root() / "a"), ArcFaceConfig::new(10_000, 512)).unwrap();
    let cos_face = CosFaceLoss::new(&(store.root() / "c"), CosFaceConfig::new(10_000, 512)).unwrap();
    let dino = DinoLoss::new(&store.root(), DinoConfig::default().with_output_dim(crops[2])).unwrap();
    vec![
        pair("ArcFaceLoss", arc_face, noise(&few), classes(10_000, &few[..1])),
        pair("CosFaceLoss", cos_face, noise(&few), classes(10_000, &few[..1])),
        pair("BarlowTwinsLoss", BarlowTwinsLoss::default(), noise(&many), noise(&many)),
        pair("VicRegLoss", VicRegLoss::default(), noise(&many), noise(&many)),
        pair("ByolLoss", ByolLoss::default(), noise(&[4096, 256]), noise(&[4096, 256])),
        pair("DinoLoss", dino, noise(&crops), noise(&[2, 16, 4096])),
    ]
}

/// Losses of predicted numbers and of their distributions.
fn regression_losses() -> Vec<Case> {
    let (values, genes) = ([1 << 20], [128, 4000]);
    let quantiles = QuantileLoss::default().with_quantiles([0.1, 0.3, 0.5, 0.7, 0.9]);
    let (returns, taus) = (noise(&[256, 64]), probabilities(&[256, 64]));
    let (counts, theta) = ((probabilities(&genes) * 6.0).floor(), probabilities(&genes[1..]));
    vec![
        pair("RmseLoss", RmseLoss::default(), noise(&values), noise(&values)),
        pair("LpLoss", LpLoss::default().with_p(1.5), noise(&values), noise(&values)),
        pair("LogCoshLoss", LogCoshLoss::default(), noise(&values), noise(&values)),
        pair("QuantileLoss", quantiles, noise(&[65536, 5]), noise(&[65536])),
        case("QuantileHuberLoss", noise(&[256, 64]), move |input| {
            QuantileHuberLoss::default().forward(input, &returns, &taus)
        }),
        pair("CoralLoss", CoralLoss::default(), noise(&[8192, 99]), classes(100, &[8192])),
        pair("CornLoss", CornLoss::default(), noise(&[8192, 99]), classes(100, &[8192])),
        pair("HlGaussLoss", HlGaussLoss::default(), noise(&[4096, 101]), probabilities(&[4096])),
        pair("NormalKlLoss", NormalKlLoss::default(), noise(&[1024, 512]), noise(&[1024, 512])),
        case("NegativeBinomialNllLoss", probabilities(&genes), move |input| {
            NegativeBinomialNllLoss::default().forward(input, &counts, &theta)
        }),
    ]
}

fn losses(criterion: &mut Criterion) {
    // Convolutions are tuned to their sizes when they are first run.
    Cuda::cudnn_set_benchmark(true);
    let of_numbers = other_losses().into_iter().chain(more_of_classes()).chain(regression_losses());
    let others = of_numbers.chain(embedding_losses());
    for case in image_losses().into_iter().chain(perceptual_losses()).chain(others) {
        let mut group = criterion.benchmark_group(case.name);
        // Of the large sizes, one takes seconds.
        group.sample_size(10);
        group.bench_function(BenchmarkId::from_parameter(&case.size), |bencher| {
            bencher.iter(|| {
                let input = case.input.detach().set_requires_grad(true);
                (case.forward)(&input).backward();
                if let Device::Cuda(index) = device() {
                    Cuda::synchronize(index as i64);
                }
                input.grad()
            })
        });
        group.finish();
    }
}

criterion_group!(benches, losses);
criterion_main!(benches);
