//! The objects that a pickle describes.
//!
//! They lie in one arena and refer to each other by number: sharing costs nothing, cycles do no harm, and
//! freeing them does not recurse.

use std::collections::HashMap;

use tch::Kind;

use super::dtype::Dtype;
use super::input::{Budget, ALLOCATION};
use super::{PthError, Unreadable};

/// A Python value, as far as it matters for finding tensors.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value {
    None,
    Bool(bool),
    Int(i64),
    /// The number that a legacy file begins with, which no other type of number holds.
    Magic,
    Text(Text),
    Global(Global),
    Object(u32),
    /// Something that no tensor is made of: a float, bytes, a device.
    Opaque,
}

/// A string in [`Graph::text`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Text {
    start: u32,
    len: u32,
}

/// The classes and functions that a pickle may name: those of PyTorch's `torch/_weights_only_unpickler.py`. None is
/// ever called: each has a fixed meaning here.
#[derive(Debug, Clone, Copy)]
pub(super) enum Global {
    /// `OrderedDict` and `Counter`.
    Dict,
    RebuildTensor,
    RebuildTensorV2,
    RebuildTensorV3,
    /// `Parameter` and what rebuilds one: the first argument is the tensor.
    Parameter,
    /// A function, a class and the function's arguments: a tensor with Python attributes.
    RebuildFromType,
    /// A tensor on the CPU, and the dtype that it had on a device.
    RebuildFromCpu,
    /// A class of tensors.
    TensorType,
    Size,
    /// Makes something [opaque](Value::Opaque), or is itself a value of no further interest.
    Opaque,
    /// Makes a tensor that cannot be read.
    Unreadable(Unreadable),
    /// A storage of elements of a dtype; `UntypedStorage` counts bytes.
    Storage(Option<Dtype>),
    Dtype(Dtype),
}

impl Global {
    /// What `module.name` stands for.
    pub(super) fn find(module: &str, name: &str, offset: u64) -> Result<Global, PthError> {
        // Python 2's name for it.
        let module = if module == "__builtin__" { "builtins" } else { module };
        Ok(match (module, name) {
            ("collections", "OrderedDict" | "Counter") => Global::Dict,
            ("torch._utils", "_rebuild_tensor") => Global::RebuildTensor,
            ("torch._utils", "_rebuild_tensor_v2") => Global::RebuildTensorV2,
            ("torch._utils", "_rebuild_tensor_v3") => Global::RebuildTensorV3,
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => Global::Parameter,
            ("torch.nn.parameter", "Parameter") => Global::Parameter,
            ("torch._tensor", "_rebuild_from_type_v2") => Global::RebuildFromType,
            ("torch._utils", "_rebuild_device_tensor_from_cpu_tensor") => Global::RebuildFromCpu,
            ("torch._utils", "_rebuild_qtensor") => Global::Unreadable(Unreadable::Quantized),
            ("torch._utils", "_rebuild_sparse_tensor") => Global::Unreadable(Unreadable::Sparse),
            ("torch._utils", "_rebuild_nested_tensor") => Global::Unreadable(Unreadable::Nested),
            ("torch._utils", "_rebuild_meta_tensor_no_storage") => Global::Unreadable(Unreadable::Meta),
            ("torch._utils", "_rebuild_wrapper_subclass" | "_rebuild_device_tensor_from_numpy") => {
                Global::Unreadable(Unreadable::Form)
            }
            ("torch", "Size") => Global::Size,
            ("torch", "device") | ("torch.serialization", "_get_layout") => Global::Opaque,
            ("_codecs", "encode") | ("builtins", "set" | "bytearray" | "complex") => Global::Opaque,
            (
                "torch",
                "per_tensor_affine"
                | "per_tensor_symmetric"
                | "per_channel_affine"
                | "per_channel_symmetric"
                | "per_channel_affine_float_qparams",
            ) => Global::Opaque,
            ("torch.storage", "TypedStorage") => Global::Opaque,
            ("torch.storage" | "torch" | "torch.cuda", "UntypedStorage") => Global::Storage(None),
            ("torch" | "torch.cuda" | "torch.sparse" | "torch.cuda.sparse", _) => {
                Global::of_torch(module, name)
                    .ok_or_else(|| PthError::Global { name: format!("{module}.{name}"), offset })?
            }
            _ => return Err(PthError::Global { name: format!("{module}.{name}"), offset }),
        })
    }

    /// Dtypes, and the classes that are named after them.
    fn of_torch(module: &str, name: &str) -> Option<Global> {
        if name
            .strip_suffix("Tensor")
            .is_some_and(|elements| elements.is_empty() || Dtype::of_class(elements).is_some())
        {
            return Some(Global::TensorType);
        }
        match (module, Dtype::of_storage(name)) {
            ("torch" | "torch.cuda", Some(dtype)) => Some(Global::Storage(Some(dtype))),
            ("torch", None) => Dtype::find(name).map(Global::Dtype),
            _ => None,
        }
    }
}

/// What tells a key of a dict from others.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Key<'a> {
    Text(&'a [u8]),
    Int(i64),
}

impl Key<'_> {
    /// Of a key that can be a part of a name. To Python, `True` is 1.
    fn of(key: Value, text: &[u8]) -> Option<Key<'_>> {
        match key {
            Value::Text(Text { start, len }) => Some(Key::Text(&text[start as usize..][..len as usize])),
            Value::Int(number) => Some(Key::Int(number)),
            Value::Bool(value) => Some(Key::Int(value.into())),
            _ => None,
        }
    }
}

#[derive(Debug)]
pub(super) enum Object {
    Tuple(Box<[Value]>),
    List(Vec<Value>),
    Dict(Vec<(Value, Value)>),
    Storage(Storage),
    Tensor(Box<Tensor>),
    Unreadable(Unreadable),
}

/// All or a part of the data that a file holds under a key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Storage {
    /// Its number in [`Graph::storages`].
    pub(super) root: u32,
    /// The type of its elements, if it has any.
    pub(super) dtype: Option<Dtype>,
    /// Where in the root it begins, and its size; in bytes.
    pub(super) start: u64,
    pub(super) bytes: u64,
}

/// What a pickle says of the data under a key.
#[derive(Debug)]
pub(super) struct Root {
    pub(super) key: Text,
    pub(super) elements: u64,
    pub(super) element_size: u64,
    /// Where in the file the data are, once known.
    pub(super) position: Option<u64>,
}

impl Root {
    pub(super) fn bytes(&self) -> u64 {
        self.elements * self.element_size
    }
}

/// A tensor as the pickle describes it: nothing is checked yet.
#[derive(Debug)]
pub(super) struct Tensor {
    pub(super) storage: Storage,
    pub(super) kind: Kind,
    /// In elements.
    pub(super) offset: i64,
    pub(super) shape: Vec<i64>,
    pub(super) stride: Vec<i64>,
}

/// What one pickle describes.
#[derive(Debug)]
pub(super) struct Graph {
    pub(super) root: Value,
    objects: Vec<Object>,
    text: Vec<u8>,
    pub(super) storages: Vec<Root>,
    keys: HashMap<Box<[u8]>, u32>,
}

impl Graph {
    pub(super) fn new() -> Graph {
        Graph {
            root: Value::None,
            objects: Vec::new(),
            text: Vec::new(),
            storages: Vec::new(),
            keys: HashMap::new(),
        }
    }

    pub(super) fn text(&self, text: Text) -> &[u8] {
        &self.text[text.start as usize..][..text.len as usize]
    }

    pub(super) fn is_text(&self, value: Value, expected: &str) -> bool {
        matches!(value, Value::Text(text) if self.text(text) == expected.as_bytes())
    }

    /// Room for a string, to be filled in.
    pub(super) fn add_text(
        &mut self,
        len: usize,
        budget: &mut Budget,
    ) -> Result<(Text, &mut [u8]), PthError> {
        budget.reserve(&mut self.text, len)?;
        let start = self.text.len();
        self.text.resize(start + len, 0);
        // The budget keeps both below 2^32.
        let text = Text { start: start as u32, len: len as u32 };
        Ok((text, &mut self.text[start..]))
    }

    pub(super) fn add(&mut self, object: Object, budget: &mut Budget) -> Result<Value, PthError> {
        budget.push(&mut self.objects, object)?;
        Ok(Value::Object((self.objects.len() - 1) as u32))
    }

    pub(super) fn add_tuple(&mut self, items: &[Value], budget: &mut Budget) -> Result<Value, PthError> {
        budget.charge(size_of_val(items) + ALLOCATION)?;
        self.add(Object::Tuple(items.into()), budget)
    }

    pub(super) fn object(&self, value: Value) -> Option<&Object> {
        match value {
            Value::Object(index) => Some(&self.objects[index as usize]),
            _ => None,
        }
    }

    pub(super) fn object_mut(&mut self, value: Value) -> Option<&mut Object> {
        match value {
            Value::Object(index) => Some(&mut self.objects[index as usize]),
            _ => None,
        }
    }

    /// The items of a tuple or list.
    pub(super) fn items(&self, value: Value) -> Option<&[Value]> {
        match self.object(value)? {
            Object::Tuple(items) => Some(items),
            Object::List(items) => Some(items),
            _ => None,
        }
    }

    /// Makes dicts what Python makes of them: a key that comes again replaces the value, in the first one's place.
    ///
    /// Python's own dicts have each key once, so that only files made by hand need this.
    pub(super) fn settle_dicts(&mut self, budget: &mut Budget) -> Result<(), PthError> {
        let text = &self.text;
        let mut order: Vec<u32> = Vec::new();
        for object in &mut self.objects {
            let Object::Dict(pairs) = object else { continue };
            order.clear();
            budget.reserve(&mut order, pairs.len())?;
            order.extend(0..pairs.len() as u32);
            let key = |place: u32| Key::of(pairs[place as usize].0, text).ok_or(place);
            order.sort_unstable_by(|a, b| key(*a).cmp(&key(*b)).then(a.cmp(b)));
            let again = |a: &u32, b: &u32| key(*a) == key(*b);
            if order.windows(2).all(|pair| !again(&pair[0], &pair[1])) {
                continue;
            }
            budget.charge(pairs.len() * size_of::<Option<Value>>())?;
            // For each place the value that it ends with; none where another place has the key.
            let mut settled = vec![None; pairs.len()];
            for places in order.chunk_by(again) {
                settled[places[0] as usize] = Some(pairs[places[places.len() - 1] as usize].1);
            }
            let mut settled = settled.into_iter();
            pairs.retain_mut(|(_, value)| match settled.next().flatten() {
                Some(last) => {
                    *value = last;
                    true
                }
                None => false,
            });
        }
        Ok(())
    }

    /// The number of the data under a key.
    pub(super) fn find_storage(&self, key: &[u8]) -> Option<usize> {
        self.keys.get(key).map(|index| *index as usize)
    }

    /// The number of the data under a key, which every mention must describe alike.
    pub(super) fn add_storage(
        &mut self,
        key: Text,
        elements: u64,
        element_size: u64,
        budget: &mut Budget,
    ) -> Result<u32, PthError> {
        if let Some(index) = self.find_storage(self.text(key)) {
            if elements.checked_mul(element_size) != Some(self.storages[index].bytes()) {
                return Err(self.storage_error(key, "is given two sizes"));
            }
            return Ok(index as u32);
        }
        if elements.checked_mul(element_size).is_none() {
            return Err(self.storage_error(key, "is larger than any file"));
        }
        // A table's growth, as for vectors, and the key's own allocation.
        budget.charge(key.len as usize + 4 * size_of::<(Box<[u8]>, u32)>() + ALLOCATION)?;
        let index = self.storages.len() as u32;
        self.keys.insert(self.text(key).into(), index);
        budget.push(&mut self.storages, Root { key, elements, element_size, position: None })?;
        Ok(index)
    }

    pub(super) fn storage_error(&self, key: Text, problem: &'static str) -> PthError {
        PthError::Storage { key: String::from_utf8_lossy(self.text(key)).into_owned(), problem }
    }
}
