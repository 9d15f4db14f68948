//! What glibc does with freed memory.

use std::sync::Once;

use tch::{Device, Kind, Tensor};

/// In bytes. Larger blocks in the heap would leave larger holes in it.
const BLOCK: i64 = 31 << 20;

/// Makes glibc take blocks of up to 31 MB from its heap, and keep up to 62 MB of free memory at its end for the next
/// ones. Its limit for such blocks is 32 MB.
///
/// At first it maps blocks from 128 kB on separately, and gives free memory back to the system beyond twice that. The
/// system hands it out again page by page and clears each, which took a tenth of SSIM's time, and half of that of
/// losses with more planes. Both limits follow the largest block that was mapped and freed. This one takes addresses
/// but no memory, because nothing writes to it. Other allocators have rules of their own; there it changes nothing.
pub(crate) fn keep_freed_blocks() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| drop(Tensor::f_empty([BLOCK].as_slice(), (Kind::Uint8, Device::Cpu))));
}
