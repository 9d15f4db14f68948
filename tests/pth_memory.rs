//! How much memory a `.pth` file can make its reader use. A test binary of its own: it counts every
//! allocation.

#[path = "common/allocations.rs"]
mod allocations;
#[path = "common/pth.rs"]
mod files;

use std::io::Cursor;

use allocations::peak;
use files::{bombs, legacy, one, readable};
use tch_losses::weights::pth::PthFile;
use tch_losses::Error;

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
        let ((), peak) = peak(|| read_all(&bytes));
        assert!(peak <= bytes.len() + (65 << 20), "{name}: {peak} bytes for {}", bytes.len());
    }
    // What is no bomb needs little: buffers, and a few times what the pickle has.
    for (path, mut bytes) in readable() {
        let ((), whole) = peak(|| read_all(&bytes));
        assert!(whole <= 600_000, "{}: {whole}", path.display());
        for place in (0..bytes.len()).step_by(7) {
            bytes[place] ^= 0xff;
            let ((), flipped) = peak(|| read_all(&bytes));
            assert!(flipped <= 700_000, "{} with byte {place} flipped: {flipped}", path.display());
            bytes[place] ^= 0xff;
        }
    }
    // A large contiguous tensor goes through in pieces.
    let count = 8 << 20;
    let data = vec![0; 4 * count];
    let object = one(("FloatStorage", "0", count as i64), 0, &[count as i64], &[1]);
    let bytes = legacy(&object, &[("0", count as u64, &data)]);
    let ((), streamed) = peak(|| {
        let mut file = PthFile::from_reader(Cursor::new(&bytes), "bytes").unwrap();
        file.read_chunks("a", |_| Ok::<_, Error>(())).unwrap();
    });
    assert!(streamed <= 400_000, "{streamed}");
}
