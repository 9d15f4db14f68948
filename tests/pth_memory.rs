//! How much memory a `.pth` file can make its reader use. A test binary of its own: it counts every
//! allocation.

#[path = "common/pth.rs"]
mod files;

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Cursor;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use files::{bombs, legacy, one, readable};
use tch_losses::weights::pth::PthFile;
use tch_losses::Error;

struct Counting;

static USED: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: passes on to the system's allocator, which keeps the promises.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        PEAK.fetch_max(USED.fetch_add(layout.size(), Relaxed) + layout.size(), Relaxed);
        System.alloc(layout)
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        USED.fetch_sub(layout.size(), Relaxed);
        System.dealloc(memory, layout);
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The peak of what `run` allocates beyond what there was. `GlobalAlloc`'s own `realloc` copies, so that both
/// the old and the new memory count.
fn peak(run: impl FnOnce()) -> usize {
    let before = USED.load(Relaxed);
    PEAK.store(before, Relaxed);
    run();
    PEAK.load(Relaxed) - before
}

fn read_all(bytes: &[u8]) {
    let Ok(mut file) = PthFile::from_reader(Cursor::new(bytes), "bytes") else { return };
    for tensor in file.tensors().to_vec().iter().filter(|tensor| tensor.size_in_bytes() < 1 << 16).take(20) {
        file.read_chunks(tensor.name(), |_| Ok::<_, Error>(())).unwrap();
    }
}

/// One test, for they would count each other's allocations.
#[test]
fn memory_is_bounded() {
    // The limit that the documentation gives.
    for (name, bytes, _) in bombs() {
        let peak = peak(|| read_all(&bytes));
        assert!(peak <= bytes.len() + (65 << 20), "{name}: {peak} bytes for {}", bytes.len());
    }
    // What is no bomb needs little: buffers, and a few times what the pickle has.
    for (path, mut bytes) in readable() {
        let whole = peak(|| read_all(&bytes));
        assert!(whole <= 600_000, "{}: {whole}", path.display());
        for place in (0..bytes.len()).step_by(7) {
            bytes[place] ^= 0xff;
            let flipped = peak(|| read_all(&bytes));
            assert!(flipped <= 700_000, "{} with byte {place} flipped: {flipped}", path.display());
            bytes[place] ^= 0xff;
        }
    }
    // A large contiguous tensor goes through in pieces.
    let count = 8 << 20;
    let data = vec![0; 4 * count];
    let object = one(("FloatStorage", "0", count as i64), 0, &[count as i64], &[1]);
    let bytes = legacy(&object, &[("0", count as u64, &data)]);
    let streamed = peak(|| {
        let mut file = PthFile::from_reader(Cursor::new(&bytes), "bytes").unwrap();
        file.read_chunks("a", |_| Ok::<_, Error>(())).unwrap();
    });
    assert!(streamed <= 400_000, "{streamed}");
}
