//! The objects that a pickle describes.
//!
//! They lie in one arena and refer to each other by number: sharing costs nothing, cycles do no harm, and
//! freeing them does not recurse.

use std::collections::HashMap;

use tch::Kind;

use super::input::{Budget, ALLOCATION};
use super::PthError;

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

/// The classes and functions that a pickle may name. None is ever called: each has a fixed meaning here.
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
    TensorType,
    Size,
    /// Makes something [opaque](Value::Opaque).
    Opaque,
    /// A storage of elements of a kind; `UntypedStorage` counts bytes.
    Storage(Option<Kind>),
    Dtype(Kind),
}

impl Global {
    /// What `module.name` stands for.
    pub(super) fn find(module: &str, name: &str, offset: u64) -> Result<Global, PthError> {
        let unsupported = |what: &str| Err(PthError::Unsupported { what: what.into(), offset });
        Ok(match (module, name) {
            ("collections", "OrderedDict" | "Counter") => Global::Dict,
            ("torch._utils", "_rebuild_tensor") => Global::RebuildTensor,
            ("torch._utils", "_rebuild_tensor_v2") => Global::RebuildTensorV2,
            ("torch._utils", "_rebuild_tensor_v3") => Global::RebuildTensorV3,
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => Global::Parameter,
            ("torch.nn.parameter", "Parameter") => Global::Parameter,
            ("torch._tensor", "_rebuild_from_type_v2") => Global::RebuildFromType,
            ("torch._utils", "_rebuild_qtensor") => return unsupported("a quantized tensor"),
            ("torch._utils", "_rebuild_sparse_tensor") => return unsupported("a sparse tensor"),
            ("torch", "Tensor") => Global::TensorType,
            ("torch", "Size") => Global::Size,
            ("torch", "device") | ("_codecs", "encode") => Global::Opaque,
            ("builtins" | "__builtin__", "set" | "bytearray") => Global::Opaque,
            ("torch.storage", "UntypedStorage") => Global::Storage(None),
            ("torch" | "torch.cuda", "UntypedStorage") => Global::Storage(None),
            ("torch" | "torch.cuda", _) => {
                if let Some(kind) = name.strip_suffix("Storage").and_then(storage_kind) {
                    Global::Storage(Some(kind))
                } else if let (Some(kind), "torch") = (dtype_kind(name), module) {
                    Global::Dtype(kind)
                } else if let Some(dtype) = unsupported_dtype(name) {
                    return unsupported(&format!("the dtype {dtype}"));
                } else {
                    return Err(PthError::Global { name: format!("{module}.{name}"), offset });
                }
            }
            _ => return Err(PthError::Global { name: format!("{module}.{name}"), offset }),
        })
    }
}

fn storage_kind(name: &str) -> Option<Kind> {
    Some(match name {
        "Byte" => Kind::Uint8,
        "Char" => Kind::Int8,
        "Short" => Kind::Int16,
        "Int" => Kind::Int,
        "Long" => Kind::Int64,
        "Half" => Kind::Half,
        "BFloat16" => Kind::BFloat16,
        "Float" => Kind::Float,
        "Double" => Kind::Double,
        "ComplexFloat" => Kind::ComplexFloat,
        "ComplexDouble" => Kind::ComplexDouble,
        "Bool" => Kind::Bool,
        _ => return None,
    })
}

fn dtype_kind(name: &str) -> Option<Kind> {
    Some(match name {
        "uint8" => Kind::Uint8,
        "int8" => Kind::Int8,
        "int16" => Kind::Int16,
        "int32" => Kind::Int,
        "int64" => Kind::Int64,
        "float16" => Kind::Half,
        "bfloat16" => Kind::BFloat16,
        "float32" => Kind::Float,
        "float64" => Kind::Double,
        "complex32" => Kind::ComplexHalf,
        "complex64" => Kind::ComplexFloat,
        "complex128" => Kind::ComplexDouble,
        "bool" => Kind::Bool,
        "float8_e5m2" => Kind::Float8e5m2,
        "float8_e4m3fn" => Kind::Float8e4m3fn,
        "float8_e5m2fnuz" => Kind::Float8e5m2fnuz,
        "float8_e4m3fnuz" => Kind::Float8e4m3fnuz,
        _ => return None,
    })
}

/// The dtypes that tch has no [`Kind`] for, or that need more than their bytes to be understood.
fn unsupported_dtype(name: &str) -> Option<&str> {
    const STORAGES: [&str; 5] = ["QInt8", "QUInt8", "QInt32", "QUInt4x2", "QUInt2x4"];
    const QUANTIZED: [&str; 5] = ["qint8", "quint8", "qint32", "quint4x2", "quint2x4"];
    const OTHERS: [&str; 5] = ["uint16", "uint32", "uint64", "float8_e8m0fnu", "float4_e2m1fn_x2"];
    let name = name.strip_suffix("Storage").unwrap_or(name);
    [STORAGES, QUANTIZED, OTHERS].as_flattened().contains(&name).then_some(name)
}

#[derive(Debug)]
pub(super) enum Object {
    Tuple(Box<[Value]>),
    List(Vec<Value>),
    Dict(Vec<(Value, Value)>),
    Storage(Storage),
    Tensor(Box<Tensor>),
}

/// All or a part of the data that a file holds under a key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Storage {
    /// Its number in [`Graph::storages`].
    pub(super) root: u32,
    /// The type of its elements, if it has any.
    pub(super) kind: Option<Kind>,
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
