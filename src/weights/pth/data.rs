//! The values of a tensor, from where they lie in the file.

use std::io::{Read, Seek};

use tch::Kind;

use super::input::Input;
use super::{PthError, TensorInfo};

/// How much is handed on at once: fits into the cache, so that passing it on costs little.
const CHUNK: usize = 1 << 18;

/// Gives the values to `sink`, in row-major order and piece by piece.
pub(super) fn read<R: Read + Seek, E: From<PthError>>(
    input: &mut Input<R>,
    info: &TensorInfo,
    mut sink: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    if info.size_in_bytes() == 0 {
        return Ok(());
    }
    input.window(info.start, info.span)?;
    if info.is_contiguous() {
        let mut chunk = vec![0; info.span.min(CHUNK as u64) as usize];
        while input.remaining() > 0 {
            let part = input.remaining().min(CHUNK as u64) as usize;
            input.read(&mut chunk[..part])?;
            clean(info.kind(), &mut chunk[..part]);
            sink(&chunk[..part])?;
        }
        return Ok(());
    }
    let out_of_memory = PthError::Memory { bytes: info.span };
    let Ok(len) = usize::try_from(info.span) else { return Err(out_of_memory.into()) };
    let mut span = Vec::new();
    if span.try_reserve_exact(len).is_err() {
        return Err(out_of_memory.into());
    }
    span.resize(len, 0);
    input.read(&mut span)?;
    clean(info.kind(), &mut span);
    gather(&span, info, sink)
}

/// A byte that is neither 0 nor 1 is not a `bool`, and reading one as such undefined behaviour.
fn clean(kind: Kind, bytes: &mut [u8]) {
    if kind == Kind::Bool {
        for byte in bytes {
            *byte = u8::from(*byte != 0);
        }
    }
}

/// Gives the elements that lie scattered in `span` to `sink`, in row-major order.
fn gather<E>(span: &[u8], info: &TensorInfo, mut sink: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
    let element = info.kind().elt_size_in_bytes();
    // Neighbouring dimensions that are traversed like one become one; strides are in bytes. Nothing can
    // overflow: the furthest element lies within `span`.
    let mut dimensions: Vec<(usize, usize)> = Vec::new();
    for (size, stride) in info.shape().iter().zip(info.stride()).filter(|(size, _)| **size != 1) {
        let (size, stride) = (*size as usize, *stride as usize * element);
        match dimensions.last_mut() {
            Some((outer, step)) if *step == stride * size => (*outer, *step) = (*outer * size, stride),
            _ => dimensions.push((size, stride)),
        }
    }
    // What lies together is copied together.
    let run = match dimensions.pop_if(|(_, stride)| *stride == element) {
        Some((size, _)) => size * element,
        None => element,
    };
    let (count, step) = dimensions.pop().unwrap_or((1, 0));
    let mut chunk = Vec::with_capacity(info.size_in_bytes().min(CHUNK as u64) as usize);
    let mut place = vec![0; dimensions.len()];
    let mut row = 0;
    loop {
        for start in (0..count).map(|index| row + index * step) {
            if chunk.len() + run > CHUNK {
                sink(&chunk)?;
                chunk.clear();
            }
            if run > CHUNK {
                sink(&span[start..][..run])?;
            } else {
                chunk.extend_from_slice(&span[start..][..run]);
            }
        }
        // The next row, as an odometer turns.
        let mut turned = None;
        for (index, (size, stride)) in place.iter_mut().zip(&dimensions).rev() {
            *index += 1;
            row += stride;
            if *index < *size {
                turned = Some(());
                break;
            }
            row -= size * stride;
            *index = 0;
        }
        if turned.is_none() {
            return sink(&chunk);
        }
    }
}
