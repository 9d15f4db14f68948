//! Objects to a list of named tensors, each checked against its storage.

use tch::Kind;

use super::graph::{Graph, Object, Tensor, Value};
use super::input::{Budget, ALLOCATION};
use super::{PthError, Unreadable, UnreadableTensor};

/// What a checkpoint calls the state dict that it wraps.
const WRAPPERS: [&str; 3] = ["state_dict", "model_state_dict", "model"];

/// Also what ends a container that contains itself.
const DEEPEST: usize = 128;

/// A tensor in a `.pth` file: everything about it but its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    name: String,
    kind: Kind,
    shape: Vec<i64>,
    stride: Vec<i64>,
    offset: i64,
    bytes: u64,
    /// The part of the file that holds its elements, and possibly others between them.
    pub(super) start: u64,
    pub(super) span: u64,
}

impl TensorInfo {
    /// The keys on the way to the tensor, joined by dots; places in lists and tuples count from 0.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The type of its elements.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its size in each dimension.
    pub fn shape(&self) -> &[i64] {
        &self.shape
    }

    /// How many elements of its storage lie between neighbours, in each dimension.
    pub fn stride(&self) -> &[i64] {
        &self.stride
    }

    /// The place of its first element in its storage, in elements.
    pub fn storage_offset(&self) -> i64 {
        self.offset
    }

    /// The size of its values, one after the other, in bytes.
    pub fn size_in_bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether the file holds its values one after the other.
    pub fn is_contiguous(&self) -> bool {
        let mut expected = 1;
        for (size, stride) in self.shape.iter().zip(&self.stride).rev() {
            if *size != 1 && *stride != expected {
                return self.bytes == 0;
            }
            expected *= *size;
        }
        true
    }
}

/// Where the walk is in a container.
struct Frame {
    container: Value,
    next: usize,
    /// How much of the path is the container's name.
    prefix: usize,
    /// The place in it of a state dict that gives its tensors their names without a prefix.
    wrapped: Option<usize>,
    /// Whether it lies below a key that cannot be part of a name.
    nameless: bool,
}

/// The tensors of a file, in its order.
#[derive(Default)]
pub(super) struct Tensors {
    pub(super) readable: Vec<TensorInfo>,
    pub(super) unreadable: Vec<UnreadableTensor>,
}

impl Tensors {
    fn add(
        &mut self,
        graph: &Graph,
        tensor: &Tensor,
        name: &str,
        budget: &mut Budget,
    ) -> Result<(), PthError> {
        budget.charge(name.len() + 2 * size_of_val(&*tensor.shape) + 4 * ALLOCATION)?;
        budget.push(&mut self.readable, check(graph, tensor, name)?)
    }

    /// The places of the readable tensors, ordered by name.
    pub(super) fn by_name(&self, budget: &mut Budget) -> Result<Vec<u32>, PthError> {
        let mut by_name = Vec::new();
        budget.reserve(&mut by_name, self.readable.len())?;
        // The budget keeps their number below 2^32.
        by_name.extend(0..self.readable.len() as u32);
        by_name.sort_unstable_by_key(|place| self.readable[*place as usize].name());
        Ok(by_name)
    }

    /// Moves tensors that share a name to the unreadable ones: no name says which of them is meant. Whether there are
    /// any.
    pub(super) fn set_namesakes_apart(
        &mut self,
        by_name: &[u32],
        budget: &mut Budget,
    ) -> Result<bool, PthError> {
        let name = |place: u32| self.readable[place as usize].name();
        let mut shared: Vec<u32> = Vec::new();
        for pair in by_name.windows(2).filter(|pair| name(pair[0]) == name(pair[1])) {
            for place in pair {
                budget.push(&mut shared, *place)?;
            }
        }
        if shared.is_empty() {
            return Ok(false);
        }
        shared.sort_unstable();
        budget.reserve(&mut self.unreadable, shared.len())?;
        let mut place = 0;
        let namesakes = self.readable.extract_if(.., |_| {
            place += 1;
            shared.binary_search(&(place - 1)).is_ok()
        });
        let unreadable = |info: TensorInfo| UnreadableTensor { name: info.name, reason: Unreadable::Name };
        self.unreadable.extend(namesakes.map(unreadable));
        Ok(true)
    }

    fn add_unreadable(
        &mut self,
        reason: Unreadable,
        name: &str,
        budget: &mut Budget,
    ) -> Result<(), PthError> {
        budget.charge(name.len() + ALLOCATION)?;
        budget.push(&mut self.unreadable, UnreadableTensor { name: name.into(), reason })
    }
}

/// All tensors.
pub(super) fn tensors(graph: &Graph, budget: &mut Budget) -> Result<Tensors, PthError> {
    let mut tensors = Tensors::default();
    let mut path = String::new();
    let mut frames = Vec::new();
    match graph.object(graph.root) {
        Some(Object::Tensor(tensor)) => tensors.add(graph, tensor, "tensor", budget)?,
        Some(Object::Unreadable(reason)) => tensors.add_unreadable(*reason, "tensor", budget)?,
        Some(_) => frames.push(frame(graph, graph.root, 0, true)),
        None => {}
    }
    while let Some(Frame { container, next, prefix, wrapped, nameless }) = frames.last_mut() {
        path.truncate(*prefix);
        let (place, unwrap, mut nameless) = (*next, *wrapped == Some(*next), *nameless);
        let Some((key, value)) = child(graph, *container, place) else {
            frames.pop();
            continue;
        };
        *next += 1;
        // Not for memory, but for time: shared containers are walked each time.
        budget.charge(4)?;
        let Some(object) = graph.object(value) else { continue };
        if matches!(object, Object::Storage(_)) {
            continue;
        }
        if !unwrap {
            nameless |= !join(graph, &mut path, key, place);
        }
        match object {
            Object::Tensor(_) if nameless => tensors.add_unreadable(Unreadable::Key, &path, budget)?,
            Object::Tensor(tensor) => tensors.add(graph, tensor, &path, budget)?,
            Object::Unreadable(reason) => tensors.add_unreadable(*reason, &path, budget)?,
            _ if frames.len() == DEEPEST => return Err(PthError::TooDeep { limit: DEEPEST }),
            _ => frames.push(Frame { nameless, ..frame(graph, value, path.len(), unwrap) }),
        }
    }
    Ok(tensors)
}

fn frame(graph: &Graph, container: Value, prefix: usize, outermost: bool) -> Frame {
    let wrapped = match graph.object(container) {
        Some(Object::Dict(pairs)) if outermost => WRAPPERS.iter().find_map(|wrapper| {
            pairs.iter().position(|(key, value)| {
                graph.is_text(*key, wrapper)
                    && matches!(graph.object(*value), Some(Object::Dict(inner)) if !inner.is_empty())
            })
        }),
        _ => None,
    };
    Frame { container, next: 0, prefix, wrapped, nameless: false }
}

/// The key and the value at a place in a container.
fn child(graph: &Graph, container: Value, place: usize) -> Option<(Value, Value)> {
    match graph.object(container)? {
        Object::Dict(pairs) => pairs.get(place).copied(),
        Object::Tuple(_) | Object::List(_) => {
            Some((Value::Int(place as i64), *graph.items(container)?.get(place)?))
        }
        Object::Storage(_) | Object::Tensor(_) | Object::Unreadable(_) => None,
    }
}

/// Adds a key to the path, or else its place. Whether the key can be part of a name.
fn join(graph: &Graph, path: &mut String, key: Value, place: usize) -> bool {
    let number;
    let key = match key {
        Value::Text(text) => std::str::from_utf8(graph.text(text)).ok(),
        Value::Int(value) => {
            number = value.to_string();
            Some(&*number)
        }
        _ => None,
    };
    if !path.is_empty() {
        path.push('.');
    }
    match key {
        Some(key) => path.push_str(key),
        None => path.push_str(&format!("<{place}>")),
    }
    key.is_some()
}

/// The tensor, if it lies within its storage.
fn check(graph: &Graph, tensor: &Tensor, name: &str) -> Result<TensorInfo, PthError> {
    let wrong = |problem| PthError::View { name: name.into(), problem };
    let Tensor { storage, kind, offset, shape, stride } = tensor;
    let root = &graph.storages[storage.root as usize];
    let Some(position) = root.position else { return Err(graph.storage_error(root.key, "is missing")) };
    if shape.len() != stride.len() {
        return Err(wrong("has not as many strides as dimensions"));
    }
    if *offset < 0 || shape.iter().chain(stride).any(|number| *number < 0) {
        return Err(wrong("has a negative size, stride or offset"));
    }
    let size = kind.elt_size_in_bytes() as i64;
    // Each in bytes; None where the number is too large. Sizes of zero do not excuse the others.
    let product = |sizes: &[i64]| sizes.iter().try_fold(size, |product, size| product.checked_mul(*size));
    let nonzero: Vec<i64> = shape.iter().copied().filter(|size| *size != 0).collect();
    if product(&nonzero).is_none() {
        return Err(wrong("has more elements than can be counted"));
    }
    let bytes = product(shape).unwrap_or_default() as u64;
    let last = shape
        .iter()
        .zip(stride)
        .try_fold(0i64, |last, (size, stride)| last.checked_add((size - 1).checked_mul(*stride)?));
    let span = last.and_then(|last| last.checked_add(1)?.checked_mul(size));
    let before = offset.checked_mul(size);
    let (start, span) = match (before, span) {
        // No element lies anywhere.
        _ if bytes == 0 => (0, 0),
        (Some(before), Some(span))
            if before.checked_add(span).is_some_and(|end| end as u64 <= storage.bytes) =>
        {
            (before as u64, span as u64)
        }
        _ => return Err(wrong("lies beyond the end of its storage")),
    };
    Ok(TensorInfo {
        name: name.into(),
        kind: *kind,
        shape: shape.clone(),
        stride: stride.clone(),
        offset: *offset,
        bytes,
        start: position + storage.start + start,
        span,
    })
}
