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
