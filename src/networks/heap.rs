//! What glibc does with freed memory.

use std::mem::forget;
use std::sync::Once;

use tch::{Device, Kind, Tensor};

use crate::base::heap::keep_freed_blocks;

/// Makes glibc keep up to 128 MB that tensors free on the CPU, for the next batch.
///
/// glibc gives free memory at the upper end of its heap back to the system. The system hands it out again page by page
/// and clears each, which took a tenth of the time of an image. A block above that memory keeps it in the process, for
/// whoever allocates next. The block takes addresses but no memory, because nothing writes to it. Other allocators keep
/// freed memory by themselves; there it changes nothing.
pub(crate) fn keep_freed_memory() {
    static ONCE: Once = Once::new();
    // Or else glibc maps such blocks, and does not take them from its heap.
    keep_freed_blocks();
    ONCE.call_once(|| {
        let block = || Tensor::f_empty([16i64 << 20].as_slice(), (Kind::Uint8, Device::Cpu));
        // Room for a few images of 256x256 in a network.
        let room = [(); 8].map(|()| block());
        let end = block();
        drop(room);
        // It is never freed.
        forget(end);
    });
}
