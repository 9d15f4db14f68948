//! Converting, keeping and reading weights.

#![cfg(feature = "cli")]

mod cache;
mod commands;
mod convert;
mod damaged;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, SystemTime};

use crate::http::Server;
use safetensors::SafeTensors;
use sha2::{Digest, Sha256};
use tch::{Device, Kind, Tensor};
use tch_losses::weights::pth::PthFile;
use tch_losses::weights::{
    convert, sha256, Cache, ConvertOptions, KnownFile, Source, WeightsError, WeightsFile, ALEXNET, VGG16,
    VGG19,
};
use tch_losses::{Architecture, Error, Network, Tap};
use tempfile::TempDir;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// A genuine file, small.
fn alex() -> PathBuf {
    fixture("pth/lpips/alex.pth")
}

/// All of torchvision's VGG19, small; see `scripts/fixtures/weights.py`.
fn vgg(form: &str) -> PathBuf {
    fixture(&format!("weights/vgg19_{form}.pth"))
}

const ALL: ConvertOptions = ConvertOptions { strip: "", keep: "", expand: false };

fn keep(keep: &str) -> ConvertOptions<'_> {
    ConvertOptions { keep, ..ALL }
}

fn hex(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

/// What tensors a file holds, in bits.
type Contents = BTreeMap<String, (Vec<i64>, Kind, Vec<u8>)>;

fn bytes(tensor: &Tensor) -> Vec<u8> {
    let mut bytes = vec![0; tensor.numel() * tensor.kind().elt_size_in_bytes()];
    tensor.contiguous().copy_data_u8(&mut bytes, tensor.numel());
    bytes
}

fn pth_contents(path: &Path) -> Contents {
    let mut file = PthFile::open(path).unwrap();
    let names: Vec<String> = file.tensors().iter().map(|info| info.name().to_owned()).collect();
    let tensor = |name: String| {
        let tensor = file.read(&name).unwrap();
        (name, (tensor.size(), tensor.kind(), bytes(&tensor)))
    };
    names.into_iter().map(tensor).collect()
}

fn contents(path: &Path) -> Contents {
    let mut file = WeightsFile::open(path).unwrap();
    let names = file.names();
    let tensor = |name: String| {
        let tensor = file.read(&name).unwrap();
        assert_eq!(file.find(&name), Some((tensor.size(), tensor.kind())));
        (name, (tensor.size(), tensor.kind(), bytes(&tensor)))
    };
    names.into_iter().map(tensor).collect()
}

fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// What changes when a file is written, even with the same bytes.
fn stamp(path: &Path) -> (Vec<u8>, SystemTime, u64) {
    #[cfg(unix)]
    let inode = std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).unwrap());
    #[cfg(not(unix))]
    let inode = 0;
    (fs::read(path).unwrap(), fs::metadata(path).unwrap().modified().unwrap(), inode)
}

/// A cache in a folder of its own.
struct Place {
    folder: TempDir,
    cache: Cache,
}

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let (directory, hub) = (folder.path().join("cache"), Some(folder.path().join("hub")));
        Place { folder, cache: Cache { directory, hub, offline: true } }
    }

    fn online() -> Place {
        let mut place = Place::new();
        place.cache.offline = false;
        place
    }

    /// With the file where torch.hub would have put it.
    fn with_hub(original: &Path) -> Place {
        let place = Place::new();
        fs::create_dir(place.hub()).unwrap();
        fs::copy(original, place.hub().join("weights.pth")).unwrap();
        place
    }

    fn hub(&self) -> PathBuf {
        self.folder.path().join("hub")
    }

    fn weights(&self) -> PathBuf {
        self.folder.path().join("cache/weights")
    }

    /// What is in the folder: no download that has been used, nothing partial. Locks are empty and stay.
    fn left(&self) -> Vec<String> {
        let mut names = names(&self.weights());
        names.retain(|name| !name.ends_with(".lock"));
        names
    }
}

const VARIABLES: [&str; 5] =
    ["TCH_LOSSES_CACHE", "TCH_LOSSES_OFFLINE", "TORCH_HOME", "XDG_CACHE_HOME", "HOME"];

fn set(mut command: Command, variables: &[(&str, &str)]) -> Command {
    for name in VARIABLES {
        command.env_remove(name);
    }
    command.env("HOME", "/home/me").envs(variables.iter().copied());
    command
}

fn tch_losses(arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tch-losses"));
    command.current_dir(fixture("")).args(arguments).stdin(Stdio::null());
    let output = set(command, variables).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[track_caller]
fn assert_fails(arguments: &[&str], variables: &[(&str, &str)], words: &[&str]) {
    let (code, stdout, stderr) = tch_losses(arguments, variables);
    assert_eq!((code, &*stdout), (Some(1), ""), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.starts_with("tch-losses: ") && words.iter().all(|word| stderr.contains(word)), "{stderr}");
}

fn with_header(header: &str, data: usize) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &vec![0; data]].concat()
}
