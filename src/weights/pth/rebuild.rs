//! What the functions named in a pickle would make of their arguments.

use std::io::{Read, Seek};

use super::dtype::Dtype;
use super::graph::{Global, Object, Storage, Tensor, Value};
use super::input::ALLOCATION;
use super::pickle::Machine;
use super::{PthError, Unreadable};

/// More than any operation of libtorch takes.
const MOST_DIMENSIONS: usize = 64;

impl<R: Read + Seek> Machine<'_, R> {
    /// What `function` would return.
    pub(super) fn rebuild(&mut self, function: Value, arguments: Value) -> Result<Value, PthError> {
        let (Value::Global(mut function), mut arguments) = (function, arguments) else {
            return Err(self.operand("REDUCE"));
        };
        loop {
            let Some(Object::Tuple(items)) = self.graph.object(arguments) else {
                return Err(self.operand("REDUCE"));
            };
            match (function, &**items) {
                // Ends: a tuple's items were there before it, so that none contains itself.
                (Global::RebuildFromType, [Value::Global(inner), Value::Global(class), rest, ..]) => {
                    if !matches!(class, Global::TensorType | Global::Parameter) {
                        return Err(self.operand("_rebuild_from_type_v2"));
                    }
                    (function, arguments) = (*inner, *rest);
                }
                (Global::Parameter, [tensor, ..]) => {
                    let tensor = *tensor;
                    return match self.graph.object(tensor) {
                        Some(Object::Tensor(_) | Object::Unreadable(_)) => Ok(tensor),
                        _ => Err(self.operand("Parameter")),
                    };
                }
                (Global::RebuildTensor, &[storage, offset, shape, stride]) => {
                    return self.tensor(storage, offset, shape, stride, None, Value::None);
                }
                (Global::RebuildTensorV2, &[storage, offset, shape, stride, _, _, ref more @ ..]) => {
                    let metadata = more.first().copied().unwrap_or(Value::None);
                    return self.tensor(storage, offset, shape, stride, None, metadata);
                }
                (Global::RebuildTensorV3, &[storage, offset, shape, stride, _, _, dtype, ref more @ ..]) => {
                    let Value::Global(Global::Dtype(dtype)) = dtype else {
                        return Err(self.operand("_rebuild_tensor_v3"));
                    };
                    let metadata = more.first().copied().unwrap_or(Value::None);
                    return self.tensor(storage, offset, shape, stride, Some(dtype), metadata);
                }
                (Global::RebuildFromCpu, &[tensor, Value::Global(Global::Dtype(dtype)), ..]) => {
                    return match self.graph.object(tensor) {
                        Some(Object::Tensor(found)) if Some(found.kind) == dtype.kind() => Ok(tensor),
                        _ => self.unreadable(Unreadable::Form),
                    };
                }
                (Global::Unreadable(why), _) => return self.unreadable(why),
                (Global::TensorType, _) => return self.unreadable(Unreadable::Form),
                (Global::Dict, []) => return self.graph.add(Object::Dict(Vec::new()), self.budget),
                (Global::Dict, &[entries]) => return self.dict(entries),
                (Global::Size, [size]) if self.graph.items(*size).is_some() => return Ok(*size),
                (Global::Opaque, _) => return Ok(Value::Opaque),
                _ => return Err(self.operand("REDUCE")),
            }
        }
    }

    /// A dict from a list of pairs or from another dict.
    fn dict(&mut self, entries: Value) -> Result<Value, PthError> {
        let pairs = match self.graph.object(entries) {
            Some(Object::Dict(pairs)) => Some(pairs.len()),
            Some(Object::List(items)) => Some(items.len()),
            _ => None,
        };
        let Some(len) = pairs else { return Err(self.operand("OrderedDict")) };
        let mut dict = Vec::new();
        self.budget.reserve(&mut dict, len)?;
        match self.graph.object(entries) {
            Some(Object::Dict(pairs)) => dict.extend_from_slice(pairs),
            Some(Object::List(items)) => {
                for item in items {
                    match self.graph.items(*item) {
                        Some(&[key, value]) => dict.push((key, value)),
                        _ => return Err(self.operand("OrderedDict")),
                    }
                }
            }
            _ => unreachable!("matched above"),
        }
        self.graph.add(Object::Dict(dict), self.budget)
    }

    fn tensor(
        &mut self,
        storage: Value,
        offset: Value,
        shape: Value,
        stride: Value,
        dtype: Option<Dtype>,
        metadata: Value,
    ) -> Result<Value, PthError> {
        let wrong = self.operand("_rebuild_tensor");
        let Some(&Object::Storage(storage)) = self.graph.object(storage) else { return Err(wrong) };
        let Value::Int(offset) = offset else { return Err(wrong) };
        if let Some(Object::Dict(flags)) = self.graph.object(metadata) {
            // Its data are not its values: they have yet to be conjugated or negated.
            if flags.iter().any(|(_, flag)| !matches!(flag, Value::Bool(false))) {
                return self.unreadable(Unreadable::Lazy);
            }
        }
        let (shape, stride) = (self.sizes(shape)?, self.sizes(stride)?);
        let dtype = dtype.or(storage.dtype).unwrap_or(Dtype::BYTE);
        let Some(kind) = dtype.kind() else {
            return self.unreadable(match dtype.is_quantized() {
                true => Unreadable::Quantized,
                false => Unreadable::Dtype(dtype.name()),
            });
        };
        self.budget.charge(size_of::<Tensor>() + 2 * size_of_val(&*shape) + 3 * ALLOCATION)?;
        self.graph.add(Object::Tensor(Box::new(Tensor { storage, kind, offset, shape, stride })), self.budget)
    }

    fn unreadable(&mut self, why: Unreadable) -> Result<Value, PthError> {
        self.graph.add(Object::Unreadable(why), self.budget)
    }

    fn sizes(&self, value: Value) -> Result<Vec<i64>, PthError> {
        let wrong = || self.operand("_rebuild_tensor");
        let items =
            self.graph.items(value).filter(|items| items.len() <= MOST_DIMENSIONS).ok_or_else(wrong)?;
        let sizes = items.iter().map(|item| match item {
            Value::Int(size) => Ok(*size),
            _ => Err(wrong()),
        });
        sizes.collect()
    }

    /// What a persistent id stands for: `('storage', type, key, location, elements)` in an archive; in the
    /// legacy stream followed by None or `(key, offset, elements)` of a view.
    pub(super) fn persistent(&mut self, id: Value) -> Result<Value, PthError> {
        let wrong = self.operand("BINPERSID");
        let Some(Object::Tuple(id)) = self.graph.object(id) else { return Err(wrong) };
        let &[tag, Value::Global(Global::Storage(dtype)), Value::Text(key), _, elements, ref view @ ..] =
            &**id
        else {
            return Err(wrong);
        };
        let view = match view {
            [] | [Value::None] => None,
            [view] => Some(*view),
            _ => return Err(wrong),
        };
        if !self.graph.is_text(tag, "storage") {
            return Err(wrong);
        }
        let Some(elements) = unsigned(elements) else { return Err(wrong) };
        let size = dtype.map_or(1, |dtype| dtype.size());
        let root = self.graph.add_storage(key, elements, size, self.budget)?;
        let (first, count) = match view {
            None => (0, elements),
            Some(view) => match self.graph.items(view) {
                Some(&[_, first, count]) => match (unsigned(first), unsigned(count)) {
                    (Some(first), Some(count)) => (first, count),
                    _ => return Err(wrong),
                },
                _ => return Err(wrong),
            },
        };
        if first.checked_add(count).is_none_or(|end| end > elements) {
            return Err(self.graph.storage_error(key, "is smaller than a view of it"));
        }
        // No overflow: the elements fit, as `add_storage` has seen.
        let storage = Storage { root, dtype, start: first * size, bytes: count * size };
        self.graph.add(Object::Storage(storage), self.budget)
    }
}

fn unsigned(value: Value) -> Option<u64> {
    match value {
        Value::Int(value) => u64::try_from(value).ok(),
        _ => None,
    }
}
