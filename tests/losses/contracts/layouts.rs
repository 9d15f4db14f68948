//! The ways in which a tensor can lie in memory.

use tch::{Kind, Tensor};

/// A tensor in a layout.
pub struct Layout {
    pub name: &'static str,
    pub tensor: Tensor,
    /// Whether the same number is in several places, so that the values are others than they were.
    pub repeats: bool,
}

impl Layout {
    /// As the tensor is.
    pub fn plain(tensor: &Tensor) -> Layout {
        Layout { name: "plain", tensor: tensor.shallow_clone(), repeats: false }
    }
}

/// All names that [`layouts_of`] gives.
pub const NAMES: [&str; 14] = [
    "within a larger storage",
    "of a wider table",
    "a column of a table",
    "every second of the last axis",
    "every second of the first axis",
    "transposed",
    "every third, transposed",
    "channels last",
    "rotated",
    "negated view",
    "expanded along the first axis",
    "expanded along the last axis",
    "one number, expanded",
    "overlapping windows",
];

/// What lies beside the elements: whoever reads it gets a loss of NaN, or a class that there is not.
fn beside(kind: Kind) -> f64 {
    match kind {
        Kind::Half | Kind::BFloat16 | Kind::Float | Kind::Double => f64::NAN,
        _ => 113.0,
    }
}

/// Room in memory for `count` elements, and for those that a wrong reader would go on to.
fn storage(like: &Tensor, count: i64) -> Tensor {
    Tensor::full([2 * count + 64], beside(like.kind()), (like.kind(), like.device()))
}

/// The values of `tensor`, with the given strides from an offset on.
fn strided(tensor: &Tensor, strides: &[i64], offset: i64) -> Tensor {
    let span: i64 = tensor.size().iter().zip(strides).map(|(size, stride)| (size - 1) * stride).sum();
    let mut view = storage(tensor, offset + span + 1).as_strided(tensor.size(), strides, offset);
    view.copy_(tensor);
    view
}

/// The strides of a tensor of these sizes whose axes lie in memory in this order, the last one densest.
fn strides(sizes: &[i64], order: &[usize]) -> Vec<i64> {
    let mut strides = vec![0; sizes.len()];
    let mut stride = 1;
    for axis in order.iter().rev() {
        strides[*axis] = stride;
        stride *= sizes[*axis];
    }
    strides
}

/// The tensor in every layout that its shape can have; it needs an element at least.
pub fn layouts_of(tensor: &Tensor) -> Vec<Layout> {
    let shape = tensor.size();
    let dims = shape.len();
    let in_order: Vec<usize> = (0..dims).collect();
    let wider = |axis: usize, factor: i64, more: i64| {
        let mut sizes = shape.clone();
        sizes[axis] = factor * sizes[axis] + more;
        let mut strides = strides(&sizes, &in_order);
        strides[axis] *= factor;
        strides
    };
    let times_3 = |mut strides: Vec<i64>| {
        strides.iter_mut().for_each(|stride| *stride *= 3);
        strides
    };
    let dense = strides(&shape, &in_order);
    let mut layouts = Vec::new();
    let mut add = |name, strides: &[i64], offset| {
        layouts.push(Layout { name, tensor: strided(tensor, strides, offset), repeats: false });
    };
    add("within a larger storage", &dense, 7);
    if dims == 0 {
        return layouts;
    }
    add("of a wider table", &wider(dims - 1, 1, 3), 1);
    add("a column of a table", &times_3(dense), 1);
    add("every second of the last axis", &wider(dims - 1, 2, 0), 1);
    add("every second of the first axis", &wider(0, 2, 0), 1);
    if dims > 1 {
        let reversed: Vec<usize> = in_order.iter().rev().copied().collect();
        add("transposed", &strides(&shape, &reversed), 0);
        add("every third, transposed", &times_3(strides(&shape, &reversed)), 2);
    }
    if dims > 2 {
        let channels_last: Vec<usize> = [0].into_iter().chain(2..dims).chain([1]).collect();
        add("channels last", &strides(&shape, &channels_last), 0);
        let rotated: Vec<usize> = (1..dims).chain([0]).collect();
        add("rotated", &strides(&shape, &rotated), 0);
    }
    if tensor.is_floating_point() {
        layouts.push(Layout {
            name: "negated view",
            tensor: tensor.neg().internal_neg_view(),
            repeats: false,
        });
    }
    let mut add = |name, tensor: Tensor| layouts.push(Layout { name, tensor, repeats: true });
    add("expanded along the first axis", tensor.narrow(0, 0, 1).expand(&shape, false));
    add("expanded along the last axis", tensor.narrow(-1, 0, 1).expand(&shape, false));
    add("one number, expanded", tensor.flatten(0, -1).get(0).expand(&shape, false));
    add("overlapping windows", tensor.as_strided(&shape, vec![1; dims], 0));
    layouts
}
