//! What a file that holds no weights seems to be.

use std::fmt::Write;

use super::safetensors::LONGEST_HEADER;
use crate::printable;

/// How much of a file's beginning tells what it is.
pub(super) const HEAD: usize = 512;

/// What files begin with, and what they are.
const MAGIC: [(&[u8], &str); 20] = [
    (b"\x1f\x8b", "a file compressed with gzip: unpack it first"),
    (b"BZh", "a file compressed with bzip2: unpack it first"),
    (b"\xfd7zXZ\0", "a file compressed with xz: unpack it first"),
    (b"\x28\xb5\x2f\xfd", "a file compressed with zstd: unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive: unpack it first"),
    (b"Rar!\x1a\x07", "a RAR archive: unpack it first"),
    (b"PK", "a zip archive, incomplete or of something else"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras and h5py write: convert its weights in Python"),
    (b"\x93NUMPY", "a NumPy array: convert it in Python"),
    (b"GGUF", "a GGUF file, a language model for llama.cpp"),
    (b"\x80\x02", PICKLE),
    (b"\x80\x03", PICKLE),
    (b"\x80\x04", PICKLE),
    (b"\x80\x05", PICKLE),
    (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"%PDF", "a PDF document"),
    (b"\x7fELF", "a program or a library"),
    (b"/annex/objects/", "a git-annex pointer: `git annex get` fetches the file it stands for"),
];

pub(super) const PICKLE: &str = "a Python pickle, but not one that torch.save wrote";

/// What the file whose first [`HEAD`] bytes are `head` seems to be, as the end of a sentence that begins with "it is".
pub(super) fn looks(head: &[u8]) -> String {
    if head.is_empty() {
        return "empty".into();
    }
    if is_safetensors(head) {
        return "a safetensors file".into();
    }
    if let Some((_, what)) = MAGIC.iter().find(|(magic, _)| head.starts_with(magic)) {
        return (*what).into();
    }
    if head.get(257..262) == Some(b"ustar") {
        return "a tar archive: unpack it, or, if PyTorch before 0.1.10 wrote it, load and save it with a newer one"
            .into();
    }
    if head.get(4..8) == Some(b"TFL3") {
        return "a TensorFlow Lite model".into();
    }
    if is_onnx(head) {
        return "an ONNX model: export the PyTorch model's state dict instead".into();
    }
    if head.len() >= 8 && head.iter().all(|byte| *byte == 0) {
        return "nothing but zeros where it begins: a download that is not finished".into();
    }
    // Before the text is known to be one: pages come in other encodings, too.
    if let Some(what) = markup(&String::from_utf8_lossy(head)) {
        return what.into();
    }
    match text(head) {
        Some(text) => of_text(text),
        None => {
            let mut what =
                String::from("neither a safetensors file nor one that torch.save wrote (it begins with");
            for byte in head.iter().take(8) {
                let _ = write!(what, " {byte:02x}");
            }
            what + ")"
        }
    }
}

/// Whether this is the beginning of a safetensors file: the length of the header, and the header's brace. Text has a
/// brace there now and then, but means a length beyond all bounds.
pub(super) fn is_safetensors(head: &[u8]) -> bool {
    let Some((length, header)) = head.split_first_chunk() else { return false };
    header.starts_with(b"{") && u64::from_le_bytes(*length) <= LONGEST_HEADER
}

/// A protocol buffer whose first field is a small version, and the second a producer's name or the graph.
fn is_onnx(head: &[u8]) -> bool {
    let [0x08, 1..=20, field, len, rest @ ..] = head else { return false };
    match field {
        0x12 => rest
            .get(..usize::from(*len))
            .is_some_and(|name| name.iter().all(|byte| matches!(byte, b' '..=b'~'))),
        0x3a => true,
        _ => false,
    }
}

/// The beginning as text, if it is that. A character that the end of `head` cuts is left out.
fn text(head: &[u8]) -> Option<&str> {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() && head.len() >= HEAD => {
            std::str::from_utf8(&head[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let is_text = |character: char| !character.is_control() || character.is_ascii_whitespace();
    text.chars().all(is_text).then_some(text)
}

/// What a server sends in place of a file that it does not have or give out.
fn markup(text: &str) -> Option<&'static str> {
    let lower = text.trim_start_matches('\u{feff}').trim_start().to_ascii_lowercase();
    let begins = |beginnings: &[&str]| beginnings.iter().any(|beginning| lower.starts_with(beginning));
    if begins(&["<!doctype html", "<html", "<head", "<body"]) {
        return Some("an HTML page, as a server sends in place of a file that it does not have or give out");
    }
    if begins(&["<?xml", "<!doctype", "<error"]) {
        return Some(
            "an XML document, as a server sends in place of a file that it does not have or give out",
        );
    }
    None
}

fn of_text(text: &str) -> String {
    let text = text.trim_start_matches('\u{feff}').trim();
    let lower = text.to_ascii_lowercase();
    let begins = |beginnings: &[&str]| beginnings.iter().any(|beginning| lower.starts_with(beginning));
    if begins(&["version https://git-lfs.github.com/"]) {
        let size = text.lines().find_map(|line| line.strip_prefix("size ")?.parse::<u64>().ok());
        let of = size.map_or_else(String::new, |size| format!(" to a file of {size} bytes"));
        return format!("a Git LFS pointer{of}: `git lfs pull` fetches the file");
    }
    if begins(&["{", "[{"]) {
        return "JSON, not the weights themselves".into();
    }
    let beginning: String = text.lines().next().unwrap_or_default().chars().take(40).collect();
    format!("text that begins with \"{}\"", printable(&beginning))
}

#[cfg(test)]
mod tests {
    use super::{looks, HEAD};

    #[test]
    fn files_are_told_by_how_they_begin() {
        let mut tar = vec![b'a'; HEAD];
        tar[257..262].copy_from_slice(b"ustar");
        let cut = "ß".repeat(HEAD).into_bytes();
        let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 574673361\n";
        let cases: [(&[u8], &str); 34] = [
            (b"", "empty"),
            (b"<!DOCTYPE html><html>", "an HTML page"),
            (b"\xef\xbb\xbf\n  <HTML lang=en>", "an HTML page"),
            (b"<!DOCTYPE html><title>Stra\xdfe", "an HTML page"),
            (b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code>", "an XML document"),
            (pointer.as_bytes(), "a Git LFS pointer to a file of 574673361 bytes: `git lfs pull`"),
            (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer: `git lfs pull`"),
            (b"/annex/objects/SHA256E-s1--ab.pth\n", "a git-annex pointer"),
            (b"\x1f\x8b\x08\0", "compressed with gzip"),
            (b"BZh91AY&SY", "compressed with bzip2"),
            (b"\xfd7zXZ\0\0", "compressed with xz"),
            (b"\x28\xb5\x2f\xfd\x04", "compressed with zstd"),
            (b"\x89HDF\r\n\x1a\n\0", "an HDF5 file"),
            (b"\x08\x07\x12\x07pytorch\x1a\x05", "an ONNX model"),
            (b"\x08\x08\x12\x08my tools:", "an ONNX model"),
            (b"\x08\x0a:\xd2\x01\n", "an ONNX model"),
            (b"\x1c\0\0\0TFL3", "a TensorFlow Lite model"),
            (b"GGUF\x03", "a GGUF file"),
            (b"\x93NUMPY\x01\0", "a NumPy array"),
            (b"\x80\x04\x95", "a Python pickle"),
            (b"PK\x05\x06", "a zip archive"),
            (&tar, "a tar archive"),
            (b"\x08\0\0\0\0\0\0\0{\"a\":", "a safetensors file"),
            (b"{\"message\": \"Not Found\"}", "JSON"),
            (b"{\"data\":{}}", "JSON"),
            (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
            (b"\xff\xd8\xff\xe0", "a JPEG picture"),
            (&[0; HEAD], "nothing but zeros"),
            (b"[package]\nname = \"a\"", "text that begins with \"[package]\""),
            (b"Access denied\nhere", "text that begins with \"Access denied\""),
            (&cut, "text that begins with \"ßßß"),
            (b"\xffabc", "it begins with ff 61 62 63)"),
            (b"ab\x1b[31m", "it begins with 61 62 1b 5b 33 31 6d)"),
            (b"\x08\x07\x12\x7fpytorch", "it begins with 08 07 12 7f"),
        ];
        for (head, expected) in cases {
            let found = looks(&head[..head.len().min(HEAD)]);
            assert!(found.contains(expected), "{}: {found}", head.escape_ascii());
        }
    }
}
