//! How much memory a `.pth` file can make its reader use: every allocation counts.

use std::io::Cursor;

use tch_losses::weights::pth::PthFile;
use tch_losses::Error;

use crate::allocations::peak;
use crate::files::{bombs, legacy, one, readable};

fn read_all(bytes: &[u8]) {
    let Ok(mut file) = PthFile::from_reader(Cursor::new(bytes), "bytes") else { return };
    for tensor in file.tensors().to_vec().iter().filter(|tensor| tensor.size_in_bytes() < 1 << 16).take(20) {
        file.read_chunks(tensor.name(), |_| Ok::<_, Error>(())).unwrap();
    }
}

pub fn memory_is_bounded() {
    // The limit that the documentation gives, and a mebibyte for buffers.
    for (name, bytes, _) in bombs() {
        let ((), peak) = peak(|| read_all(&bytes));
        assert!(peak <= bytes.len() + (65 << 20), "{name}: {peak} bytes for {}", bytes.len());
    }
    for (path, mut bytes) in readable() {
        let ((), whole) = peak(|| read_all(&bytes));
        assert!(whole <= little(bytes.len()), "{}: {whole}", path.display());
        // A wrong length makes room for a text of up to 64 KiB, in a vector that doubles; a wrong shape spreads what it
        // has to the 64 KiB that `read_all` reads at the most, twice.
        let more = 5 << 16;
        for place in (0..bytes.len()).step_by(7) {
            bytes[place] ^= 0xff;
            let ((), flipped) = peak(|| read_all(&bytes));
            assert!(
                flipped <= little(bytes.len()) + more,
                "{} with byte {place} flipped: {flipped}",
                path.display()
            );
            bytes[place] ^= 0xff;
        }
    }
    // A large contiguous tensor goes through in pieces of 256 KiB.
    let count = 8 << 20;
    let data = vec![0; 4 * count];
    let object = one(("FloatStorage", "0", count as i64), 0, &[count as i64], &[1]);
    let bytes = legacy(&object, &[("0", count as u64, &data)]);
    let ((), streamed) = peak(|| {
        let mut file = PthFile::from_reader(Cursor::new(&bytes), "bytes").unwrap();
        file.read_chunks("a", |_| Ok::<_, Error>(())).unwrap();
    });
    assert!(streamed <= (1 << 18) + little(bytes.len() - data.len()), "{streamed}");
}

/// What a file that is no bomb needs: 64 KiB for the reader's buffer and for tables that are as good as empty, and 40
/// bytes per byte of the file. An object has 32 bytes, and thrice as many while the vector that holds it doubles; it
/// takes three bytes of the pickle: its instruction, an argument, and the instruction that puts it somewhere.
fn little(len: usize) -> usize {
    (1 << 16) + 40 * len
}
