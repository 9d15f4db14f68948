//! Reading bytes into a tensor without a copy in between.

use std::slice;

use tch::{Device, Kind, Tensor};

use crate::Result;

/// A new contiguous CPU tensor whose bytes `read` fills in, all of them.
pub(super) fn tensor(
    shape: &[i64],
    kind: Kind,
    read: impl FnOnce(&mut [u8]) -> Result<()>,
) -> Result<Tensor> {
    // A file may hold any bytes where a Bool has only two.
    let stored = if kind == Kind::Bool { Kind::Uint8 } else { kind };
    // Zeros, not uninitialised memory, which a slice must not show.
    let tensor = Tensor::f_zeros(shape, (stored, Device::Cpu))?;
    let bytes = tensor.numel() * stored.elt_size_in_bytes();
    if bytes > 0 {
        // SAFETY: a new contiguous tensor owns this many initialised bytes at its data pointer; nobody else
        // has the tensor as yet; and every bit pattern is a value of every kind of number.
        let data = unsafe { slice::from_raw_parts_mut(tensor.data_ptr().cast::<u8>(), bytes) };
        read(data)?;
    }
    Ok(if kind == Kind::Bool { tensor.f_ne(0)? } else { tensor })
}
