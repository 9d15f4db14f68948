//! Opens any bytes as a `.pth` file and reads the tensors that are in it.
//!
//! Whatever the bytes: no panic, no abort, no hang, no more memory than documented, and what
//! `open` has accepted can be read, with exactly the size it said. With `cargo install cargo-fuzz`, in the
//! root of the repository:
//!
//! ```sh
//! mkdir -p fuzz/corpus/pth
//! scripts/with-libtorch cargo +nightly fuzz run pth fuzz/corpus/pth tests/fixtures/pth -- \
//!     -dict=fuzz/pth.dict -max_len=16384 -timeout=10 -rss_limit_mb=1024
//! ```
//!
//! The seeds are the test fixtures: both formats, all protocols, the genuine files of 2018, the refused ones.
//! What it finds becomes a case in `tests/weights/pth/mod.rs`.
//!
//! # Record
//!
//! | with | executions | coverage | findings |
//! |---|---|---|---|
//! | AddressSanitizer, 1 process, 32 minutes | 3,296,363 | 2031 edges (seeds: 1452) | none |
//! | the same with its corpus, 2 minutes, after small changes | 742,215 | 2030 edges | none |

#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use tch_losses::weights::pth::PthFile;
use tch_losses::Error;

/// Larger tensors only take time: they are strided views, read as small ones are.
const LARGEST: u64 = 1 << 16;

fuzz_target!(|data: &[u8]| {
    let Ok(mut file) = PthFile::from_reader(Cursor::new(data), "fuzz") else { return };
    let tensors = file.tensors().to_vec();
    for tensor in tensors.iter().filter(|tensor| tensor.size_in_bytes() <= LARGEST).take(64) {
        assert_eq!(file.find(tensor.name()), Some(tensor));
        let mut bytes = 0;
        file.read_chunks(tensor.name(), |chunk| {
            bytes += chunk.len() as u64;
            Ok::<_, Error>(())
        })
        .expect("what open has checked can be read");
        assert_eq!(bytes, tensor.size_in_bytes());
        let read = file.read(tensor.name()).expect("it was just read");
        assert_eq!((read.size(), read.kind()), (tensor.shape().to_vec(), tensor.kind()));
    }
});
