//! Orthogonal regularisation.

use tch::{nn, Device, Kind, Tensor};
use tch_losses::{OrthogonalRegularization, UnaryLoss};

use crate::common::{assert_close, device, noise, value, Relative};
use crate::support::{leaf, message_of};

/// What BigGAN's `ortho` adds to the gradient of a weight, at the strength 1.
fn added_by_biggan(weight: &Tensor, diagonal: bool) -> Tensor {
    let rows = weight.flatten(1, -1);
    let unit = Tensor::eye(rows.size()[0], (rows.kind(), rows.device()));
    let products = rows.matmul(&rows.transpose(0, 1));
    let excess = if diagonal { products - unit } else { products * (1.0 - unit) };
    (excess.matmul(&rows) * 2.0).view_as(weight)
}

#[test]
fn the_gradient_is_what_biggan_adds() {
    for shape in [vec![4, 3], vec![2, 9], vec![5, 2, 3, 3], vec![1, 4], vec![3, 1, 2], vec![6, 6]] {
        for diagonal in [false, true] {
            let weight = leaf(&noise(shape[0], &shape, Kind::Double));
            OrthogonalRegularization { diagonal }.forward(&weight).backward();
            let expected = added_by_biggan(&weight.detach(), diagonal);
            assert_close(
                &format!("{shape:?}"),
                &weight.grad(),
                &expected,
                1e-12,
                Relative::ToElement { floor: 1.0 },
            );
        }
    }
}

#[test]
fn orthogonal_rows_cost_nothing() {
    let (rotation, _) = Tensor::linalg_qr(&noise(1, &[5, 5], Kind::Double), "reduced");
    let (modified, original) =
        (OrthogonalRegularization::default(), OrthogonalRegularization::default().with_diagonal(true));
    // Products of unit vectors are off by a few epsilons; their squares by far less.
    assert!(value(&modified.forward(&rotation)) < 1e-24);
    assert!(value(&original.forward(&rotation)) < 1e-24);
    // Longer rows cost their length, if it counts: (4 - 1)² / 2 each.
    let longer = &rotation * 2.0;
    assert!(value(&modified.forward(&longer)) < 1e-24);
    assert!((value(&original.forward(&longer)) - 22.5).abs() < 1e-12);
    // What the diagonal holds does not round what is beside it.
    let large = Tensor::from_slice2(&[[1e8f32, 1.0], [0.0, 1.0]]).to_device(device());
    assert_eq!(value(&modified.forward(&large)), 1.0);
}

/// A store with weights, a bias, a buffer and a frozen weight.
fn store() -> nn::VarStore {
    let vs = nn::VarStore::new(device());
    let root = vs.root();
    let _linear = nn::linear(&root / "linear", 3, 4, Default::default());
    let _conv = nn::conv2d(&root / "conv", 2, 3, 2, Default::default());
    let _shared = nn::embedding(&root / "shared", 5, 2, Default::default());
    let _norm = nn::batch_norm2d(&root / "norm", 3, Default::default());
    let _buffer = root.zeros_no_train("table", &[2, 2]);
    vs
}

#[test]
fn over_a_store() {
    let vs = store();
    for diagonal in [false, true] {
        let loss = OrthogonalRegularization { diagonal };
        let of = |name: &str| value(&loss.forward(&vs.variables()[name]));
        let all = of("linear.weight") + of("conv.weight") + of("shared.weight");
        let sum = value(&loss.penalty(&vs, |_| true));
        // A sum of three numbers of f32.
        assert!((sum - all).abs() <= 1e-6 * all, "{sum} {all}");
        let some = value(&loss.penalty(&vs, |name| !name.contains("shared")));
        assert!((some - (all - of("shared.weight"))).abs() <= 1e-6 * all);
        // In the same order each time.
        for _ in 0..10 {
            assert_eq!(value(&loss.penalty(&vs, |_| true)), sum);
        }
    }
    OrthogonalRegularization::default().penalty(&vs, |name| name.starts_with("conv")).backward();
    for (name, variable) in vs.variables() {
        assert_eq!(variable.grad().defined(), name == "conv.weight", "{name}");
    }
}

#[test]
fn over_a_store_of_half_precision() {
    let mut vs = store();
    let exact = value(&OrthogonalRegularization::default().penalty(&vs, |_| true));
    vs.bfloat16();
    let loss = OrthogonalRegularization::default().penalty(&vs, |_| true);
    assert_eq!(loss.kind(), Kind::Float);
    // Weights are off by 2^-9, and each product by twice that; cancelling makes it more.
    assert!((value(&loss) / exact - 1.0).abs() < 0.2);
}

#[test]
fn stores_without_weights() {
    let mut vs = store();
    let loss = OrthogonalRegularization::default();
    let message =
        "`vs` holds no trainable variable of two dimensions or more that is taken, expected one at least";
    assert_eq!(message_of(loss.try_penalty(&vs, |name| name == "nothing")), message);
    assert_eq!(message_of(loss.try_penalty(&vs, |name| name.ends_with("bias"))), message);
    vs.freeze();
    assert_eq!(message_of(loss.try_penalty(&vs, |_| true)), message);
    assert_eq!(message_of(loss.try_penalty(&nn::VarStore::new(Device::Cpu), |_| true)), message);
}
