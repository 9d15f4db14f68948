//! Tensors that a file holds, but that cannot be read.

use std::fmt;

use crate::printable;

/// Why a tensor in a `.pth` file cannot be read. Its [`Display`](fmt::Display) ends the sentence "the tensor is ...".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unreadable {
    /// tch has no kind for its elements.
    Dtype(&'static str),
    /// It is quantized.
    Quantized,
    /// It is sparse, in whatever layout.
    Sparse,
    /// It is nested.
    Nested,
    /// It is on the device `meta` and has no values.
    Meta,
    /// The file has what its values are the complex conjugates or the negatives of.
    Lazy,
    /// It is saved in a form of its own: a subclass, or a device that PyTorch saves by way of another dtype.
    Form,
    /// It has no name, for it stands below a key that is neither text nor a whole number.
    Key,
    /// Another tensor has the same name: the keys 1 and "1" in one dict, or "a.b" beside a "b" below "a".
    Name,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Unreadable::Dtype(name) => return write!(f, "of the dtype {name}, which tch does not have"),
            Unreadable::Quantized => "quantized (in Python, `dequantize()` before saving makes it dense)",
            Unreadable::Sparse => "sparse (in Python, `to_dense()` before saving makes it dense)",
            Unreadable::Nested => "nested (in Python, `unbind()` before saving makes it a list)",
            Unreadable::Meta => "on the device `meta`, without values",
            Unreadable::Lazy => {
                "conjugated or negated lazily (in Python, `resolve_conj().resolve_neg()` before saving does it)"
            }
            Unreadable::Form => "saved in a form of its own, not as a plain tensor",
            Unreadable::Key => "below a key that is neither text nor a whole number",
            Unreadable::Name => "one of several with this name",
        })
    }
}

/// A tensor that a `.pth` file holds, but that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnreadableTensor {
    /// Its name, as in [`TensorInfo::name`](super::TensorInfo::name). Below a key that cannot be part of a name, the
    /// place in the dict stands for it, from 0: `state.<2>`.
    pub name: String,
    /// Why.
    pub reason: Unreadable,
}

impl fmt::Display for UnreadableTensor {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "`{}` is {}", printable(&self.name), self.reason)
    }
}
