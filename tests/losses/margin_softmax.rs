//! ArcFace and CosFace.

use tch::{nn, no_grad, Kind, Tensor};
use tch_losses::{ArcFaceConfig, ArcFaceLoss, CosFaceConfig, CosFaceLoss, Loss, Reduction};

use crate::common::{assert_close, device, few_roundings, noise, value, values, Relative};
use crate::support::{assert_values, differences, integers, leaf, matrix, message_of, zeros};

fn store(kind: Kind) -> nn::VarStore {
    let mut vs = nn::VarStore::new(device());
    vs.set_kind(kind);
    vs
}

/// A loss with this weight.
fn arc(config: ArcFaceConfig, weight: &Tensor) -> ArcFaceLoss {
    let size = weight.size();
    let config = ArcFaceConfig { num_classes: size[1], embedding_size: size[0], ..config };
    let loss = ArcFaceLoss::new(&store(weight.kind()).root(), config).unwrap();
    no_grad(|| loss.weight.shallow_clone().copy_(weight));
    loss
}

fn cos(config: CosFaceConfig, weight: &Tensor) -> CosFaceLoss {
    let size = weight.size();
    let config = CosFaceConfig { num_classes: size[1], embedding_size: size[0], ..config };
    let loss = CosFaceLoss::new(&store(weight.kind()).root(), config).unwrap();
    no_grad(|| loss.weight.shallow_clone().copy_(weight));
    loss
}

/// Both, with a scale that leaves all classes their share.
fn both(weight: &Tensor, reduction: Reduction) -> [Box<dyn Loss>; 2] {
    let arc_face = ArcFaceConfig::default().with_scale(4.0).with_reduction(reduction);
    let cos_face = CosFaceConfig::default().with_scale(4.0).with_reduction(reduction);
    [Box::new(arc(arc_face, weight)), Box::new(cos(cos_face, weight))]
}

/// Directions of 0, 90 and 180 degrees; the lengths do not count.
fn directions() -> Tensor {
    matrix(&[[2.0, 0.0, -0.5], [0.0, 3.0, 0.0]])
}

/// `-log softmax(scores)[own]`.
fn cross_entropy(scores: [f64; 3], own: usize) -> f64 {
    scores.iter().map(|score| score.exp()).sum::<f64>().ln() - scores[own]
}

#[test]
fn by_hand() {
    // Angles of 60, 30 and 120 degrees to the three directions.
    let embedding = matrix(&[[5.0, 5.0 * 3.0f64.sqrt()]]);
    let cosines = [0.5, 0.75f64.sqrt(), -0.5];
    for (own, angle) in [60.0f64, 30.0, 120.0].into_iter().enumerate() {
        for margin in [0.0, 28.6, 45.0, 120.0, 180.0] {
            let config = ArcFaceConfig::default().with_margin(margin).with_scale(3.0);
            let radians = margin.to_radians();
            let reduced = match angle + margin <= 180.0 {
                true => (angle + margin).to_radians().cos(),
                false => angle.to_radians().cos() - radians * radians.sin(),
            };
            let mut scores = cosines.map(|cosine| 3.0 * cosine);
            scores[own] = 3.0 * reduced;
            let loss = arc(config, &directions()).forward(&embedding, &integers(&[own as i64]));
            assert_values(&loss, &[cross_entropy(scores, own)]);
        }
        let config = CosFaceConfig::default().with_margin(0.25).with_scale(3.0);
        let mut scores = cosines.map(|cosine| 3.0 * cosine);
        scores[own] -= 0.75;
        let loss = cos(config, &directions()).forward(&embedding, &integers(&[own as i64]));
        assert_values(&loss, &[cross_entropy(scores, own)]);
    }
    let config = ArcFaceConfig::default().with_scale(3.0);
    assert_values(
        &arc(config, &directions()).logits(&embedding).unwrap(),
        &cosines.map(|cosine| 3.0 * cosine),
    );
}

/// An arc cosine has no finite slope here. The slope across is 0, and there is none along the direction.
#[test]
fn an_embedding_in_the_direction_of_its_class() {
    for kind in [Kind::Float, Kind::Double] {
        for sign in [1.0, -1.0] {
            let weight = leaf(&(directions().to_kind(kind) * sign));
            // A scale that leaves the class across its share.
            let config = ArcFaceConfig::default().with_scale(2.0);
            let loss = arc(config, &weight);
            let embeddings = leaf(&matrix(&[[7.0, 0.0], [0.0, 2.0]]).to_kind(kind));
            let own = loss.forward(&embeddings, &integers(&[0, 1]));
            own.backward();
            for tensor in [&own, &embeddings.grad(), &loss.weight.grad()] {
                assert!(values(tensor).iter().all(|number| number.is_finite()), "{kind:?} {tensor:?}");
            }
            // The same in libtorch's graph.
            let none = arc(config.with_reduction(Reduction::None), &weight);
            let again = leaf(&embeddings);
            none.forward(&again, &integers(&[0, 1])).mean(None).backward();
            let tolerance = few_roundings(kind) * 64.0;
            assert_close("graph", &again.grad(), &embeddings.grad(), tolerance, Relative::ToLargest);
        }
    }
}

/// The gradients that forward computes are the slopes, and those of libtorch's graph; whichever of the two tensors
/// requires one.
#[test]
fn gradients_of_forward_and_of_the_graph() {
    let (embeddings, weight) = (noise(1, &[6, 3], Kind::Double), noise(2, &[3, 5], Kind::Double));
    let labels = integers(&[0, 4, 2, 2, 1, 3]);
    let sums = both(&weight, Reduction::Sum);
    for (sum, none) in sums.iter().zip(both(&weight, Reduction::None)) {
        let gradient = |loss: &dyn Fn(&Tensor) -> Tensor| {
            let embeddings = leaf(&embeddings);
            loss(&embeddings).backward();
            embeddings.grad()
        };
        let own = gradient(&|embeddings| sum.forward(embeddings, &labels));
        let in_graph = gradient(&|embeddings| none.forward(embeddings, &labels).sum(None));
        let slopes = differences(&embeddings, 1e-6, |embeddings| sum.forward(embeddings, &labels));
        assert_close("graph", &own, &in_graph, 1e-12, Relative::ToLargest);
        // The third derivative is some hundreds.
        assert_close("slopes", &own, &slopes, 1e-7, Relative::ToLargest);
    }
    for reduction in [Reduction::Mean, Reduction::Sum] {
        let gradient = |tracked: bool| {
            let loss = arc(ArcFaceConfig::default().with_reduction(reduction), &weight);
            loss.forward(&embeddings.detach().set_requires_grad(tracked), &labels).backward();
            loss.weight.grad()
        };
        assert_eq!(values(&gradient(true)), values(&gradient(false)));
        let mut frozen = arc(ArcFaceConfig::default().with_reduction(reduction), &weight);
        frozen.weight = frozen.weight.detach();
        let embeddings = leaf(&embeddings);
        frozen.forward(&embeddings, &labels).backward();
        assert!(embeddings.grad().defined());
    }
}

/// Vectors of zeros have a cosine of 0 with everything; lengths beyond the kind's range count as zeros.
#[test]
fn lengths_of_any_size() {
    for reduction in [Reduction::Mean, Reduction::None] {
        for size in [0.0, 1e-38, 1e-15, 1e15, 1e30] {
            let weight = matrix(&[[1.0, 0.0, 2.0], [0.0, 0.0, 1.0]]).to_kind(Kind::Float);
            for loss in both(&weight, reduction) {
                let embeddings = leaf(&(matrix(&[[3.0, 4.0], [0.0, -1.0]]).to_kind(Kind::Float) * size));
                let own = loss.forward(&embeddings, &integers(&[0, 1]));
                own.mean(None).backward();
                for tensor in [&own, &embeddings.grad()] {
                    assert!(values(tensor).iter().all(|number| number.is_finite()), "{size} {tensor:?}");
                }
            }
        }
    }
}

#[test]
fn reduced_precision_is_computed_in_f32() {
    for kind in [Kind::Half, Kind::BFloat16] {
        let (embeddings, weight) = (noise(1, &[8, 16], kind), noise(2, &[16, 10], kind));
        let labels = integers(&[0, 1, 2, 3, 4, 5, 9, 9]);
        for reduction in [Reduction::Mean, Reduction::None] {
            let exact = both(&weight.to_kind(Kind::Double), reduction);
            for (loss, exact) in both(&weight, reduction).iter().zip(exact) {
                let (own, wide) = (leaf(&embeddings), leaf(&embeddings.to_kind(Kind::Double)));
                let (value, expected) = (loss.forward(&own, &labels), exact.forward(&wide, &labels));
                assert_eq!(value.kind(), kind);
                value.sum(None).backward();
                expected.sum(None).backward();
                let close = |what, own: &Tensor, expected: &Tensor| {
                    let own = own.to_kind(Kind::Double);
                    assert_close(what, &own, expected, few_roundings(kind), Relative::ToLargest);
                };
                close("value", &value, &expected);
                close("gradient", &own.grad(), &wide.grad());
            }
        }
    }
}

/// The weight is the store's: it is trained, saved and loaded, and has the name and the layout of the reference.
#[test]
fn the_weight_is_in_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.safetensors");
    let weight = noise(3, &[3, 5], Kind::Float);
    Tensor::write_safetensors(&[("W", &weight)], &path).unwrap();
    let mut vs = store(Kind::Float);
    let loss = CosFaceLoss::new(&vs.root(), CosFaceConfig::new(5, 3)).unwrap();
    assert_eq!(vs.trainable_variables().len(), 1);
    vs.load(&path).unwrap();
    assert_eq!(loss.weight, weight);
    // From a normal distribution: of 10 000 numbers, the mean square is 1 within 14 standard deviations of 0.014.
    let drawn = ArcFaceLoss::new(&store(Kind::Float).root(), ArcFaceConfig::new(100, 100)).unwrap();
    assert!((value(&drawn.weight.square().mean(Kind::Double)) - 1.0).abs() < 0.2);
}

#[test]
fn nothing_and_one_class() {
    for loss in both(&noise(2, &[3, 5], Kind::Float), Reduction::Mean) {
        assert!(value(&loss.forward(&leaf(&zeros(&[0, 3])), &integers(&[]))).is_nan());
    }
    for loss in both(&noise(2, &[3, 1], Kind::Double), Reduction::Sum) {
        let embeddings = leaf(&noise(1, &[4, 3], Kind::Double));
        let own = loss.forward(&embeddings, &integers(&[0; 4]));
        own.backward();
        assert_eq!((value(&own), value(&embeddings.grad().abs().max())), (0.0, 0.0));
    }
}

#[test]
fn refusals() {
    let loss = arc(ArcFaceConfig::default(), &noise(1, &[3, 5], Kind::Float));
    let (embeddings, labels) = (zeros(&[2, 3]), integers(&[0, 1]));
    let messages = [
        message_of(loss.try_forward(&zeros(&[3]), &integers(&[0]))),
        message_of(loss.try_forward(&zeros(&[2, 4]), &labels)),
        message_of(loss.try_forward(&embeddings.to_kind(Kind::Double), &labels)),
        message_of(loss.try_forward(&embeddings, &integers(&[0, 1, 2]))),
        message_of(loss.try_forward(&embeddings, &labels.to_kind(Kind::Int))),
        message_of(loss.logits(&zeros(&[2, 4]))),
    ];
    let expected = [
        "`embeddings` has shape [3], expected [N, 3]",
        "`embeddings` has shape [2, 4], expected [N, 3]",
        "`embeddings` has kind Double, expected Float, the kind of `W`",
        "`labels` has shape [3], expected [2], a class for each embedding",
        "`labels` has kind Int, expected Int64",
        "`embeddings` has shape [2, 4], expected [N, 3]",
    ];
    assert_eq!(messages, expected);
    let vs = store(Kind::Float);
    let arc_face = ArcFaceConfig::new(5, 3);
    for (config, option) in [
        (ArcFaceConfig::new(0, 3), "num_classes"),
        (ArcFaceConfig::new(5, 0), "embedding_size"),
        (ArcFaceConfig::new(i64::MAX, 3), "num_classes"),
        (arc_face.with_margin(-1.0), "margin"),
        (arc_face.with_margin(180.5), "margin"),
        (arc_face.with_margin(f64::NAN), "margin"),
        (arc_face.with_scale(0.0), "scale"),
        (arc_face.with_reduction(Reduction::BatchMean), "reduction"),
    ] {
        let message = message_of(ArcFaceLoss::new(&vs.root(), config));
        assert!(message.starts_with(&format!("option `{option}`")), "{message}");
    }
    for margin in [-0.1, f64::INFINITY, f64::NAN] {
        let message = message_of(CosFaceLoss::new(&vs.root(), CosFaceConfig::new(5, 3).with_margin(margin)));
        assert!(message.starts_with("option `margin`"), "{message}");
    }
    assert_eq!(vs.variables().len(), 0);
}
