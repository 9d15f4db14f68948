//! What glibc does with freed memory.

use tch::{Device, Kind, Tensor};

use crate::base::heap::keep_freed_blocks;

/// Keeps the memory that tensors free on the CPU in the process, for the next piece of a batch.
///
/// glibc gives free memory at the upper end of its heap back to the system. The system hands it out again
/// page by page and clears each, which took a tenth of the time of a batch. A block above that memory keeps
/// it in the process. The block takes addresses but no memory, because nothing writes to it. Other allocators
/// keep freed memory by themselves; there the block changes nothing.
pub(crate) struct KeepFreedMemory {
    _end: Option<Tensor>,
}

impl KeepFreedMemory {
    /// With room for a few images of 256x256 in a network.
    pub(crate) fn new() -> KeepFreedMemory {
        // Or else glibc maps such blocks, and does not take them from its heap.
        keep_freed_blocks();
        let block = || Tensor::f_empty([16i64 << 20].as_slice(), (Kind::Uint8, Device::Cpu)).ok();
        let room = [(); 8].map(|()| block());
        let end = block();
        drop(room);
        KeepFreedMemory { _end: end }
    }
}
