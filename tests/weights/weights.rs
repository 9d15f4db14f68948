//! Converting, keeping and reading weights.

#![cfg(feature = "cli")]

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
    convert, sha256, Cache, ConvertOptions, KnownFile, Source, WeightsError, WeightsFile, VGG19,
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

// ---- converting ------------------------------------------------------------------------------------------

/// Every tensor's dtype, shape and bytes as the reference implementation reads them.
fn reference(data: &[u8]) -> BTreeMap<String, (String, Vec<i64>, Vec<u8>)> {
    let file = SafeTensors::deserialize(data).unwrap();
    let tensor = |(name, view): (String, safetensors::tensor::TensorView)| {
        let shape = view.shape().iter().map(|size| *size as i64).collect();
        (name, (format!("{:?}", view.dtype()), shape, view.data().to_vec()))
    };
    file.tensors().into_iter().map(tensor).collect()
}

#[test]
fn every_file_is_converted_bit_by_bit() {
    let folder = tempfile::tempdir().unwrap();
    let files: Vec<PathBuf> = ["pth", "pth/lpips"]
        .iter()
        .flat_map(|folder| fs::read_dir(fixture(folder)).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension() == Some(OsStr::new("pth")))
        .filter(|path| !path.file_name().unwrap().to_str().unwrap().starts_with("kinds_"))
        .collect();
    assert!(files.len() >= 15);
    for pth in files {
        let output = folder.path().join("out.safetensors");
        let count = convert(&pth, &output, &ALL).unwrap().written;
        let expected = pth_contents(&pth);
        assert_eq!(count, expected.len(), "{}", pth.display());
        assert_eq!(contents(&output), expected, "{}", pth.display());

        // What PyTorch finds in it.
        let data = fs::read(&output).unwrap();
        let pytorch = reference(&fs::read(pth.with_extension("safetensors")).unwrap());
        assert_eq!(reference(&data), pytorch, "{}", pth.display());

        let (start, header) = SafeTensors::read_metadata(&data).unwrap();
        assert_eq!(start % 8, 0, "the data are aligned");
        let metadata = header.metadata().clone().unwrap();
        let mut keys: Vec<&str> = metadata.keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["format", "source", "source_sha256", "xxh3"]);
        assert_eq!(metadata["format"], "pt");
        assert_eq!(OsStr::new(&metadata["source"]), pth.file_name().unwrap());
        assert_eq!(metadata["source_sha256"], hex(&fs::read(&pth).unwrap()));
        assert_eq!(metadata["source_sha256"], sha256(&pth).unwrap());
        assert_eq!(WeightsFile::open(&output).unwrap().metadata(), metadata.into_iter().collect());
        // tch itself can read it.
        assert_eq!(Tensor::read_safetensors(&output).unwrap().len(), count);
    }
    assert_eq!(names(folder.path()), ["out.safetensors"]);
}

#[test]
fn the_same_file_gives_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let paths = [folder.path().join("a"), folder.path().join("b")];
    paths.iter().for_each(|path| assert!(convert(alex(), path, &ALL).is_ok()));
    assert_eq!(fs::read(&paths[0]).unwrap(), fs::read(&paths[1]).unwrap());
}

#[test]
fn only_what_is_asked_for_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.safetensors");
    assert_eq!(convert(alex(), &output, &keep("lin3.")).unwrap().written, 1);
    let mut expected = pth_contents(&alex());
    expected.retain(|name, _| name.starts_with("lin3."));
    assert_eq!(contents(&output), expected);

    fs::remove_file(&output).unwrap();
    let error = convert(alex(), &output, &keep("features.")).unwrap_err();
    assert!(
        matches!(&error, Error::Weights(WeightsError::Unusable { path, .. }) if *path == alex()),
        "{error:?}"
    );
    let problem = "no tensor's name begins with `features.`; one is `lin0.model.1.weight`";
    assert!(error.to_string().ends_with(problem), "{error}");
    assert!(names(folder.path()).is_empty());
}

#[test]
fn a_file_is_not_converted_into_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("alex.pth");
    fs::copy(alex(), &path).unwrap();
    let error = convert(&path, folder.path().join(".").join("alex.pth"), &ALL).unwrap_err().to_string();
    assert!(error.ends_with("expected another file than the one that is read"), "{error}");
    assert_eq!(fs::read(path).unwrap(), fs::read(alex()).unwrap());
}

#[test]
fn what_does_not_fit_is_left_out_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.safetensors");
    for form in ["legacy", "zip"] {
        let pth = fixture(&format!("pth/kinds_{form}.pth"));
        let error = convert(&pth, &output, &keep("complex128")).unwrap_err().to_string();
        let words =
            "no tensor can be written: `complex128` is of the kind ComplexDouble, which safetensors files";
        assert!(error.contains(words), "{error}");
        // The message is about the file that has it.
        assert!(error.contains(&pth.display().to_string()), "{error}");
        assert!(names(folder.path()).is_empty());

        let converted = convert(&pth, &output, &ALL).unwrap();
        let mut left_out: Vec<&str> = converted.left_out.iter().map(|tensor| &*tensor.name).collect();
        left_out.sort_unstable();
        assert_eq!(left_out, ["complex128", "complex32", "float8_e4m3fnuz", "float8_e5m2fnuz"]);
        let mut expected = pth_contents(&pth);
        expected.retain(|name, _| !left_out.contains(&&**name));
        assert_eq!((converted.written, expected.len()), (13, 13));
        assert_eq!(contents(&output), expected);
        SafeTensors::deserialize(&fs::read(&output).unwrap()).unwrap();
        fs::remove_file(&output).unwrap();
    }

    // What the reader cannot read is left out, too, where it is asked for.
    let pth = fixture("pth/unreadable_zip.pth");
    let converted = convert(&pth, &output, &ALL).unwrap();
    assert_eq!((converted.written, converted.left_out.len()), (2, 14));
    assert_eq!(contents(&output), pth_contents(&pth));
    let messages: Vec<String> = converted.left_out.iter().map(ToString::to_string).collect();
    assert!(
        messages.contains(&"`count` is of the dtype uint16, which tch does not have".into()),
        "{messages:?}"
    );
    assert_eq!(convert(&pth, &output, &keep("weight")).unwrap().left_out, []);
}

#[test]
fn prefixes_are_stripped() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.safetensors");
    let options = ConvertOptions { strip: "lin0.model.", ..ALL };
    assert_eq!(convert(alex(), &output, &options).unwrap().written, 5);
    let mut expected = pth_contents(&alex());
    let stripped = expected.remove("lin0.model.1.weight").unwrap();
    expected.insert("1.weight".into(), stripped);
    assert_eq!(contents(&output), expected);
    assert_eq!(WeightsFile::open(&output).unwrap().metadata()["stripped"], "lin0.model.");

    // What is kept is told by the new names.
    assert_eq!(convert(alex(), &output, &ConvertOptions { keep: "1.", ..options }).unwrap().written, 1);
    let error = convert(alex(), &output, &ConvertOptions { strip: "model.", ..ALL }).unwrap_err().to_string();
    let words =
        "option `strip` is `model.`, expected what a tensor's name begins with; one is `lin0.model.1.weight`";
    assert_eq!(error, words);
}

#[test]
fn two_names_that_become_one() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.safetensors");
    let options = ConvertOptions { strip: "steps.", ..ALL };
    let pth = folder.path().join("twice.pth");
    // `steps.0` of a list and `0` beside it.
    let bytes = fs::read(fixture("pth/nested_legacy.pth")).unwrap();
    let place = bytes.windows(2).position(|pair| pair == [b'K', 12]).unwrap();
    fs::write(&pth, [&bytes[..place], &[b'K', 0], &bytes[place + 2..]].concat()).unwrap();
    let error = convert(&pth, &output, &options).unwrap_err().to_string();
    assert!(error.ends_with("two tensors are called `0` without the prefix `steps.`"), "{error}");
    assert!(!output.exists());
}

/// 1.4 kB of which eight tensors of 256 MB are made, all of one element.
#[test]
fn what_shares_memory_is_written_out_to_a_limit() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.safetensors");
    let bomb = fixture("pth/cases/convert_bomb.pth");
    let error = convert(&bomb, &output, &ALL).unwrap_err().to_string();
    // Four times the file, and 64 MiB.
    let limit = 4 * fs::metadata(&bomb).unwrap().len() + (64 << 20);
    let words =
        format!("take {} bytes, for they share memory in the file, and {limit} are allowed", 8u64 << 28);
    assert!(error.contains(&words) && error.contains("--expand"), "{error}");
    assert!(names(folder.path()).is_empty());
    let (code, _, stderr) = tch_losses(&["weights", "convert", text(&bomb), text(&output)], &[]);
    assert_eq!((code, stderr.contains("--expand")), (Some(1), true), "{stderr}");

    // The limit is lifted on request: 80 MB of 9 kB.
    let (pth, features) = (vgg("zip"), keep("features."));
    assert!(convert(&pth, &output, &features).unwrap_err().to_string().contains("share memory"));
    let converted = convert(&pth, &output, &ConvertOptions { expand: true, ..features }).unwrap();
    assert_eq!(converted.written, 32);
    assert_eq!(fs::metadata(&output).unwrap().len() / 1_000_000, 80);

    // Tied weights do not need it.
    let tied = fixture("pth/views_zip.pth");
    assert_eq!(convert(&tied, &output, &ALL).unwrap().written, pth_contents(&tied).len());
}

#[test]
fn folders_are_made() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("deep/down/out.safetensors");
    convert(alex(), &output, &ALL).unwrap();
    assert_eq!(contents(&output), pth_contents(&alex()));
}

#[test]
fn outputs_that_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let regular = folder.path().join("file");
    fs::write(&regular, "mine").unwrap();
    let directory = folder.path().join("directory");
    fs::create_dir_all(directory.join("inner")).unwrap();
    for output in [regular.join("out.safetensors"), directory] {
        let error = convert(alex(), &output, &ALL).unwrap_err();
        assert!(matches!(&error, Error::Write { path, .. } if *path == output), "{error:?}");
        assert!(error.to_string().starts_with(&format!("cannot write {}: ", output.display())), "{error}");
    }
    assert_eq!(names(folder.path()), ["directory", "file"]);
    assert_eq!(fs::read(&regular).unwrap(), b"mine");
}

#[test]
fn a_file_that_was_there_is_replaced_at_once_or_kept() {
    let folder = tempfile::tempdir().unwrap();
    let [output, link, damaged] = ["out", "link", "damaged.pth"].map(|name| folder.path().join(name));
    fs::write(&output, "old").unwrap();
    fs::hard_link(&output, &link).unwrap();

    // Damaged anywhere, even in the last storage.
    let whole = fs::read(alex()).unwrap();
    for len in [whole.len() - 1, whole.len() / 2, 10, 0] {
        fs::write(&damaged, &whole[..len]).unwrap();
        let error = convert(&damaged, &output, &ALL).unwrap_err();
        assert!(matches!(error, Error::Weights(WeightsError::Pth { .. })), "{len}: {error:?}");
        assert_eq!(fs::read(&output).unwrap(), b"old");
    }
    convert(alex(), &output, &ALL).unwrap();
    assert_eq!(contents(&output), pth_contents(&alex()));
    assert_eq!(fs::read(&link).unwrap(), b"old", "overwritten, not replaced");
    assert_eq!(names(folder.path()), ["damaged.pth", "link", "out"]);
}

#[cfg(unix)]
#[test]
fn the_mode_is_that_of_other_files() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    for (umask, mode) in [("022", 0o644), ("077", 0o600), ("002", 0o664)] {
        let output = folder.path().join(umask);
        let script = format!("umask {umask}; exec \"$@\"");
        let program = env!("CARGO_BIN_EXE_tch-losses");
        let status = Command::new("sh")
            .args(["-c", &script, "sh", program, "weights", "convert"])
            .args([&alex(), &output])
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success());
        assert_eq!(fs::metadata(&output).unwrap().permissions().mode() & 0o777, mode, "umask {umask}");
    }
}

#[cfg(unix)]
#[test]
fn a_full_disk_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.safetensors");
    fs::write(&output, "old").unwrap();
    // A limit for the size of files stands in for the disk.
    let result = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 20; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_tch-losses")])
        .args(["weights", "convert", "--expand", "--keep", "features."])
        .args([&vgg("zip"), &output])
        .output()
        .unwrap();
    assert_eq!(result.status.code(), Some(1));
    let message = String::from_utf8(result.stderr).unwrap();
    assert_eq!(message.lines().count(), 1);
    assert!(message.starts_with(&format!("tch-losses: cannot write {}: ", output.display())), "{message}");
    assert_eq!(fs::read(&output).unwrap(), b"old");
    assert_eq!(names(folder.path()), ["out.safetensors"]);
}

// ---- the cache -------------------------------------------------------------------------------------------

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

fn known_at(original: &Path, origin: &str, keep: &'static str) -> KnownFile {
    let data = fs::read(original).unwrap();
    let url = String::leak(format!("{origin}/models/weights.pth"));
    let source = Source { url, sha256: String::leak(hex(&data)), size: data.len() as u64 };
    KnownFile { source, keep }
}

fn known(original: &Path) -> KnownFile {
    known_at(original, "https://weights.invalid", "")
}

#[track_caller]
fn assert_made(place: &Place, path: &Path, original: &Path) {
    assert_eq!(path, place.weights().join("weights.safetensors"));
    assert_eq!(contents(path), pth_contents(original));
    assert_eq!(place.left(), ["weights.safetensors"]);
}

#[test]
fn the_file_of_torch_hub_is_used_and_left_alone() {
    let place = Place::with_hub(&alex());
    let before = stamp(&place.hub().join("weights.pth"));
    let path = place.cache.get(&known(&alex())).unwrap();
    assert_made(&place, &path, &alex());
    assert_eq!(path, place.cache.path(&known(&alex())));
    assert_eq!(stamp(&place.hub().join("weights.pth")), before);
    assert_eq!(names(&place.hub()), ["weights.pth"]);
}

/// What lies in the places that the documentation names, and is not the file.
fn problems(place: &Place, file: &KnownFile) -> Vec<(PathBuf, String)> {
    place.cache.wrong_files(file).into_iter().map(|wrong| (wrong.path, wrong.problem)).collect()
}

#[test]
fn a_wrong_file_of_torch_hub_is_named_and_left_alone() {
    let file = known(&alex());
    let same_size = {
        let mut data = fs::read(alex()).unwrap();
        *data.last_mut().unwrap() ^= 1;
        data
    };
    let other = fs::read(fixture("pth/lpips/vgg.pth")).unwrap();
    let half = fs::read(alex()).unwrap()[..3000].to_vec();
    let page = fs::read(fixture("pth/cases/html_page.pth")).unwrap();
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 6009\n".to_vec();
    for (wrong, words) in [
        (same_size, "it is a file of 5 other tensors, or of the same with other values"),
        (other, "it is a file of 5 other tensors"),
        (half, "it seems to be a part of a file of torch.save, or a damaged one"),
        (page, "it is an HTML page"),
        (pointer, "it is a Git LFS pointer to a file of 6009 bytes"),
        (Vec::new(), "it is empty"),
    ] {
        let place = Place::with_hub(&alex());
        let in_hub = place.hub().join("weights.pth");
        fs::write(&in_hub, &wrong).unwrap();
        let before = stamp(&in_hub);
        let error = place.cache.get(&file).unwrap_err();
        assert!(matches!(error, Error::Weights(WeightsError::Unavailable { .. })), "{error:?}");
        let found = problems(&place, &file);
        let [(path, problem)] = &found[..] else { panic!("{found:?}") };
        let size = match wrong.len() as u64 {
            size if size == file.source.size => format!("it has {size} bytes"),
            size => format!("it has {size} bytes, not {},", file.source.size),
        };
        let facts = format!("{size} and the SHA-256 {}; {words}", hex(&wrong));
        assert!(*path == in_hub && problem.starts_with(&facts), "{problem}, expected {facts}");
        let ending = format!("; the file at {} is not the right one: {problem}", in_hub.display());
        assert!(error.to_string().ends_with(&ending), "{error}");

        // The one by hand is used.
        fs::copy(alex(), place.weights().join("weights.pth")).unwrap();
        let path = place.cache.get(&file).unwrap();
        assert_made(&place, &path, &alex());
        assert_eq!(stamp(&in_hub), before);
        // Of no interest any more.
        assert_eq!(problems(&place, &file), []);
    }
}

#[test]
fn wrong_files_in_the_own_cache_are_named() {
    let place = Place::new();
    let file = known(&alex());
    fs::create_dir_all(place.weights()).unwrap();
    let page = fs::read(fixture("pth/cases/html_page.pth")).unwrap();
    let kept = place.cache.path(&file);
    let by_hand = place.weights().join("weights.pth");
    // Whole, but not made of this file.
    fs::copy(alex().with_extension("safetensors"), &kept).unwrap();
    fs::write(&by_hand, &page).unwrap();
    let found = problems(&place, &file);
    assert_eq!((&found[0].0, &found[1].0), (&by_hand, &kept));
    assert!(found[0].1.contains("it is an HTML page"), "{found:?}");
    assert!(found[1].1.contains("it is a file of 5 other tensors"), "{found:?}");
    let message = place.cache.get(&file).unwrap_err().to_string();
    assert!(
        found.iter().all(|(path, problem)| message.contains(text(path)) && message.contains(problem)),
        "{message}"
    );

    // With the network, an error of the server's says it as well.
    let server = Server::http(|exchange| exchange.status("404 Not Found"));
    let place = Place { cache: Cache { offline: false, ..place.cache.clone() }, ..place };
    let file = known_at(&alex(), &server.origin(), "");
    let error = place.cache.get(&file).unwrap_err();
    assert!(
        matches!(&error, Error::Weights(WeightsError::Fetch { wrong, .. }) if wrong.len() == 2),
        "{error:?}"
    );
    assert!(error.to_string().contains("it is an HTML page"), "{error}");
}

#[test]
fn fetch_says_what_lies_in_the_place_of_the_file() {
    let place = Place::new();
    let path = place.weights().join("vgg19-dcbb9e9d.pth");
    fs::create_dir_all(place.weights()).unwrap();
    fs::copy(fixture("pth/cases/html_page.pth"), &path).unwrap();
    let cache = ("TCH_LOSSES_CACHE", text(&place.cache.directory));
    assert_fails(
        &["weights", "fetch"],
        &[cache, ("TCH_LOSSES_OFFLINE", "1")],
        &[text(&path), "it has 53 bytes, not 574673361,", "an HTML page"],
    );
}

#[test]
fn what_is_in_the_way_in_torch_hub_is_ignored() {
    let place = Place::new();
    fs::create_dir_all(place.hub().join("weights.pth")).unwrap();
    let error = place.cache.get(&known(&alex())).unwrap_err();
    assert!(matches!(error, Error::Weights(WeightsError::Unavailable { .. })), "{error:?}");
    assert!(error.to_string().contains("is not the right one: cannot read"), "{error}");
}

#[test]
fn a_file_put_there_by_hand_is_used_up() {
    let mut place = Place::new();
    for hub in [place.cache.hub.clone(), None] {
        place.cache.hub = hub;
        fs::create_dir_all(place.weights()).unwrap();
        fs::copy(alex(), place.weights().join("weights.pth")).unwrap();
        let path = place.cache.get(&known(&alex())).unwrap();
        assert_made(&place, &path, &alex());
        assert!(!place.hub().exists());
        fs::remove_file(path).unwrap();
    }
}

/// Whatever the variables say, torch.hub's file stays.
#[test]
fn a_folder_shared_with_torch_hub() {
    let mut place = Place::new();
    place.cache.hub = Some(place.weights());
    fs::create_dir_all(place.weights()).unwrap();
    fs::copy(alex(), place.weights().join("weights.pth")).unwrap();
    place.cache.get(&known(&alex())).unwrap();
    assert_eq!(place.left(), ["weights.pth", "weights.safetensors"]);
}

#[test]
fn offline_the_error_says_what_to_do() {
    let place = Place::new();
    let file = known(&alex());
    let error = place.cache.get(&file).unwrap_err();
    let expected = format!(
        "https://weights.invalid/models/weights.pth is needed, and TCH_LOSSES_OFFLINE is set; to go on, \
         download it elsewhere and put it at {} or {}, {} bytes with the SHA-256 {}",
        place.weights().join("weights.pth").display(),
        place.hub().join("weights.pth").display(),
        file.source.size,
        file.source.sha256,
    );
    assert_eq!(error.to_string(), expected);
    assert!(!place.cache.path(&file).exists());

    let place = Place { cache: Cache { hub: None, ..place.cache.clone() }, ..place };
    let error = place.cache.get(&file).unwrap_err();
    assert!(
        matches!(&error, Error::Weights(WeightsError::Unavailable { places, size, .. }) if places.len() == 1 && *size == file.source.size),
        "{error:?}"
    );
}

#[test]
fn what_is_kept_is_not_written_again() {
    let place = Place::with_hub(&alex());
    let file = known(&alex());
    let path = place.cache.get(&file).unwrap();
    let before = stamp(&path);
    fs::remove_dir_all(place.hub()).unwrap();
    fs::remove_file(path.with_extension("lock")).unwrap();
    assert_eq!(place.cache.get(&file).unwrap(), path);
    assert_eq!(stamp(&path), before);
    // Nor is anything else: the folder may be one for reading only.
    assert_eq!(names(&place.weights()), ["weights.safetensors"]);

    // Upper case is another way to write the hash.
    let source = Source { sha256: String::leak(file.source.sha256.to_uppercase()), ..file.source };
    place.cache.get(&KnownFile { source, ..file }).unwrap();
    assert_eq!(stamp(&path), before);
}

/// Puts `damaged` where the file is kept, and looks that it is found out.
#[track_caller]
fn assert_rebuilt(place: &Place, damaged: &[u8], whole: &[u8], what: &str) {
    let file = known(&alex());
    let path = place.cache.path(&file);
    fs::write(&path, damaged).unwrap();
    assert_eq!(place.cache.get(&file).unwrap(), path);
    assert!(fs::read(&path).unwrap() == whole, "not found out: {what}");
}

#[test]
fn damage_is_found_and_mended() {
    let place = Place::with_hub(&alex());
    let path = place.cache.get(&known(&alex())).unwrap();
    let whole = fs::read(&path).unwrap();
    let data_start = 8 + u64::from_le_bytes(*whole.first_chunk().unwrap()) as usize;

    for at in (data_start..whole.len()).step_by(97).chain([data_start, whole.len() - 1]) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        assert_rebuilt(&place, &damaged, &whole, &format!("byte {at} of the data"));
    }
    for len in [whole.len() - 1, data_start, data_start - 1, 100, 8, 7, 0] {
        assert_rebuilt(&place, &whole[..len], &whole, &format!("cut at {len}"));
    }
    assert_rebuilt(&place, &[&whole[..], b"more"].concat(), &whole, "too long");
    assert_rebuilt(&place, &[b'?'; 3000], &whole, "garbage");
    assert_rebuilt(&place, &fs::read(alex()).unwrap(), &whole, "the original");
    assert_rebuilt(&place, &fs::read(alex().with_extension("safetensors")).unwrap(), &whole, "no metadata");

    // From another file, whole in itself.
    let other = place.folder.path().join("other.safetensors");
    convert(fixture("pth/lpips/vgg.pth"), &other, &ALL).unwrap();
    assert_rebuilt(&place, &fs::read(other).unwrap(), &whole, "another file");
}

/// A changed name would otherwise be a missing tensor ever after.
#[test]
fn damage_of_the_header_is_found_and_mended() {
    let place = Place::with_hub(&alex());
    let path = place.cache.get(&known(&alex())).unwrap();
    let whole = fs::read(&path).unwrap();
    let data_start = 8 + u64::from_le_bytes(*whole.first_chunk().unwrap()) as usize;
    let mut unnoticed = Vec::new();
    for at in 0..data_start {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        fs::write(&path, &damaged).unwrap();
        place.cache.get(&known(&alex())).unwrap();
        if fs::read(&path).unwrap() != whole {
            let around = &damaged[at.saturating_sub(12).max(8)..(at + 12).min(data_start)];
            unnoticed.push(format!("{at} {}", String::from_utf8_lossy(around)));
        }
    }
    assert!(unnoticed.is_empty(), "{} of {data_start}: {unnoticed:#?}", unnoticed.len());
}

#[test]
fn another_choice_of_tensors_is_another_file() {
    let place = Place::with_hub(&alex());
    let file = known(&alex());
    place.cache.get(&KnownFile { keep: "lin3.", ..file }).unwrap();
    assert_eq!(contents(&place.cache.get(&file).unwrap()), pth_contents(&alex()));
}

#[test]
fn left_overs_are_cleared_away() {
    let place = Place::with_hub(&alex());
    fs::create_dir_all(place.weights()).unwrap();
    for name in ["weights.safetensors.aBc123.partial", "weights.lock", "other.safetensors.aBc123.partial"] {
        fs::write(place.weights().join(name), "left over").unwrap();
    }
    place.cache.get(&known(&alex())).unwrap();
    let expected = ["other.safetensors.aBc123.partial", "weights.lock", "weights.safetensors"];
    assert_eq!(names(&place.weights()), expected);
}

#[test]
fn folders_that_cannot_be_written() {
    // A file where the folder should be, at each level; root ignores permissions.
    for level in ["cache", "cache/weights"] {
        let place = Place::with_hub(&alex());
        let in_the_way = place.folder.path().join(level);
        fs::create_dir_all(in_the_way.parent().unwrap()).unwrap();
        fs::write(&in_the_way, "mine").unwrap();
        let error = place.cache.get(&known(&alex())).unwrap_err();
        assert!(
            matches!(&error, Error::Write { path, .. } if path.starts_with(place.weights())),
            "{error:?}"
        );
        let beginning = format!("cannot write {}", place.weights().display());
        assert!(error.to_string().starts_with(&beginning), "{error}");
        assert_eq!(fs::read(in_the_way).unwrap(), b"mine");
    }

    // A folder where the file should be.
    let place = Place::with_hub(&alex());
    let path = place.cache.path(&known(&alex()));
    fs::create_dir_all(path.join("inner")).unwrap();
    let error = place.cache.get(&known(&alex())).unwrap_err();
    assert!(matches!(&error, Error::Write { path: given, .. } if *given == path), "{error:?}");
    assert_eq!(names(&place.weights()), ["weights.lock", "weights.safetensors"]);
}

#[test]
fn what_is_fetched_is_converted_and_loaded() {
    let served = fs::read(vgg("zip")).unwrap();
    let server = Server::http(move |exchange| exchange.file(&served));
    let place = Place::online();
    let file = known_at(&vgg("zip"), &server.origin(), "features.");
    let path = place.cache.get(&file).unwrap();
    assert_eq!(place.left(), ["weights.safetensors"]);
    assert_eq!(WeightsFile::open(&path).unwrap().names().len(), 32);
    // 20,024,384 numbers of four bytes, and a header of 32 names.
    let header = fs::metadata(&path).unwrap().len() - 4 * 20_024_384;
    assert!(header < 32 * 200, "{header}");
    assert_eq!(place.cache.get(&file).unwrap(), path);
    assert_eq!(server.requests().len(), 1);

    let image = (Tensor::arange(3 * 16 * 16, (Kind::Float, Device::Cpu)) / 768).view([1, 3, 16, 16]);
    let features = |path: &Path| {
        let vgg = Network::from_file(path, &Architecture::VGG19, Device::Cpu).unwrap();
        vgg.features(&image, &[Tap::RELU1_1, Tap::RELU5_4]).unwrap()
    };
    let found = features(&path);
    assert_eq!(found, features(&vgg("zip")));
    assert!(f64::try_from(found[1].abs().max()).unwrap() > 0.0);
}

#[test]
fn what_comes_wrong_is_not_kept() {
    let server = Server::http(|exchange| exchange.file(b"something else"));
    let place = Place::online();
    let error = place.cache.get(&known_at(&alex(), &server.origin(), "")).unwrap_err();
    assert!(matches!(error, Error::Weights(WeightsError::Fetch { .. })), "{error:?}");
    assert!(
        names(&place.weights()).iter().all(|name| name.ends_with(".lock")),
        "{:?}",
        names(&place.weights())
    );
}

#[test]
fn many_threads_make_it_once() {
    let data = fs::read(alex()).unwrap();
    let server = Server::http(move |exchange| {
        // Time for the others to come.
        thread::sleep(Duration::from_millis(200));
        exchange.file(&data);
    });
    let place = Place::online();
    let file = known_at(&alex(), &server.origin(), "");
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_made(&place, &place.cache.get(&file).unwrap(), &alex()));
        }
    });
    assert_eq!(server.requests().len(), 1);
}

const CHILD: &str = "WEIGHTS_TEST_CHILD";

/// This test program once more, to run nothing but `child`.
fn child(what: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["weights::child_process", "--exact", "--nocapture"]).env(CHILD, what).stdin(Stdio::null());
    command
}

/// Not a test of its own: what the processes that other tests start do.
#[test]
fn child_process() {
    let Some(what) = std::env::var_os(CHILD) else { return };
    if what == "environment" {
        println!("{:?}", Cache::from_env());
        return;
    }
    let path = |name: &str| PathBuf::from(std::env::var_os(name).unwrap());
    let cache = Cache { directory: path("CACHE"), hub: None, offline: false };
    let file = known_at(&path("ORIGINAL"), what.to_str().unwrap(), "features.");
    cache.get(&file).unwrap();
}

/// Processes at work on a file that `server` has.
struct Workers {
    server: Server,
    original: PathBuf,
}

impl Workers {
    fn spawn(&self, place: &Place) -> std::process::Child {
        let mut command = child(&self.server.origin());
        command.env("CACHE", &place.cache.directory).env("ORIGINAL", &self.original).stdout(Stdio::null());
        command.spawn().unwrap()
    }

    /// A place where a process was killed in the middle of converting what it had fetched.
    ///
    /// Nothing makes a process wait there to be killed, and this one may be late. Of twenty that are killed as soon as
    /// they are seen to begin, one is not done yet: that takes the time in which 80 MB are written and synchronised.
    fn killed_while_converting(&self) -> Place {
        for _ in 0..20 {
            let place = Place::online();
            let mut worker = self.spawn(&place);
            while partials(&place) == 0 && worker.try_wait().unwrap().is_none() {
                thread::sleep(Duration::from_millis(1));
            }
            worker.kill().unwrap();
            worker.wait().unwrap();
            if partials(&place) == 1 {
                return place;
            }
        }
        panic!("no process was killed in time");
    }
}

/// How many files that are being written a place has.
fn partials(place: &Place) -> usize {
    let mut names = names(&place.weights());
    names.retain(|name| name.starts_with("weights.safetensors.") && name.ends_with(".partial"));
    names.len()
}

#[test]
fn many_processes_make_it_once_even_if_one_is_killed() {
    let original = vgg("zip");
    let served = fs::read(&original).unwrap();
    let server = Server::http(move |exchange| exchange.file(&served));
    let workers = Workers { server, original };
    let place = workers.killed_while_converting();
    assert!(!place.cache.path(&known(&workers.original)).exists());
    let requests = workers.server.requests().len();

    let others: Vec<_> = (0..3).map(|_| workers.spawn(&place)).collect();
    for mut other in others {
        assert!(other.wait().unwrap().success());
    }
    assert_eq!(place.left(), ["weights.safetensors"]);
    // What the first had fetched was still there.
    assert_eq!(workers.server.requests().len(), requests);
    let mut expected = WeightsFile::open(&workers.original).unwrap();
    let mut found = WeightsFile::open(place.cache.path(&known(&workers.original))).unwrap();
    for name in found.names() {
        assert_eq!(found.read(&name).unwrap(), expected.read(&name).unwrap());
    }
}

// ---- the environment -------------------------------------------------------------------------------------

const VARIABLES: [&str; 5] =
    ["TCH_LOSSES_CACHE", "TCH_LOSSES_OFFLINE", "TORCH_HOME", "XDG_CACHE_HOME", "HOME"];

fn set(mut command: Command, variables: &[(&str, &str)]) -> Command {
    for name in VARIABLES {
        command.env_remove(name);
    }
    command.env("HOME", "/home/me").envs(variables.iter().copied());
    command
}

#[cfg(target_os = "linux")]
#[test]
fn the_environment_decides() {
    let check = |variables: &[(&str, &str)], directory: &str, hub: &str, offline: bool| {
        let output = set(child("environment"), variables).output().unwrap();
        let hub = Some(PathBuf::from(hub));
        let cache = Cache { directory: directory.into(), hub, offline };
        let (found, expected) = (String::from_utf8(output.stdout).unwrap(), format!("Ok({cache:?})"));
        assert!(found.contains(&expected), "{variables:?}: {found}, expected {expected}");
    };
    let hub = "/home/me/.cache/torch/hub/checkpoints";
    check(&[], "/home/me/.cache/tch-losses", hub, false);
    let xdg = ("XDG_CACHE_HOME", "/xdg");
    check(&[xdg], "/xdg/tch-losses", "/xdg/torch/hub/checkpoints", false);
    check(&[("TCH_LOSSES_CACHE", "/own"), xdg], "/own", "/xdg/torch/hub/checkpoints", false);
    check(&[("TORCH_HOME", "/torch"), xdg], "/xdg/tch-losses", "/torch/hub/checkpoints", false);
    let empty =
        ["TCH_LOSSES_CACHE", "TCH_LOSSES_OFFLINE", "TORCH_HOME", "XDG_CACHE_HOME"].map(|name| (name, ""));
    check(&empty, "/home/me/.cache/tch-losses", hub, false);
    for (value, offline) in [("1", true), ("true", true), ("0", false)] {
        check(&[("TCH_LOSSES_OFFLINE", value)], "/home/me/.cache/tch-losses", hub, offline);
    }
}

// ---- the command line ------------------------------------------------------------------------------------

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

#[test]
fn weights_path() {
    let place = Place::new();
    let cache = [("TCH_LOSSES_CACHE", text(&place.cache.directory))];
    let path = place.weights().join("vgg19-dcbb9e9d.safetensors");
    let line = format!("{}\n", path.display());
    let note = "tch-losses: not there yet: `tch-losses weights fetch` makes it\n";
    assert_eq!(tch_losses(&["weights", "path"], &cache), (Some(0), line.clone(), note.into()));
    assert!(!place.cache.directory.exists());
    fs::create_dir_all(place.weights()).unwrap();
    fs::write(&path, "").unwrap();
    assert_eq!(tch_losses(&["weights", "path"], &cache), (Some(0), line, String::new()));
}

#[test]
fn weights_show() {
    let expected = "\
file       pth/lpips/alex.pth
size       6009 bytes
sha-256    df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0
tensors    5

lin0.model.1.weight  Float  [1, 64, 1, 1]
lin1.model.1.weight  Float  [1, 192, 1, 1]
lin2.model.1.weight  Float  [1, 384, 1, 1]
lin3.model.1.weight  Float  [1, 256, 1, 1]
lin4.model.1.weight  Float  [1, 256, 1, 1]
";
    let shown = tch_losses(&["weights", "show", "pth/lpips/alex.pth"], &[]);
    assert_eq!(shown, (Some(0), expected.into(), String::new()));

    // The same tensors when converted, in the order of the data, with metadata.
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("alex.safetensors");
    convert(alex(), &output, &ALL).unwrap();
    let data = fs::read(&output).unwrap();
    let checksum = WeightsFile::open(&output).unwrap().metadata()["xxh3"].clone();
    assert!(checksum.len() == 16 && checksum.bytes().all(|byte| byte.is_ascii_hexdigit()), "{checksum}");
    let (_, tensors) = expected.split_once("tensors").unwrap();
    let expected = format!(
        "file       {}\nsize       {} bytes\nsha-256    {}\nmetadata   format = pt\n\
         metadata   source = alex.pth\n\
         metadata   source_sha256 = df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0\n\
         metadata   xxh3 = {checksum}\ntensors{tensors}",
        output.display(),
        data.len(),
        hex(&data),
    );
    assert_eq!(tch_losses(&["weights", "show", text(&output)], &[]), (Some(0), expected, String::new()));

    // Lines up in columns, of every kind; a name that is not ASCII.
    let (_, shown, _) = tch_losses(&["weights", "show", "pth/kinds_zip.pth"], &[]);
    assert!(shown.contains("\nuint8            Uint8           [2, 3]\nint8 "), "{shown}");
    let (_, shown, _) = tch_losses(&["weights", "show", "pth/nested_zip.pth"], &[]);
    assert!(shown.contains("\ngröße.重み  "), "{shown}");
    let (_, shown, _) = tch_losses(&["weights", "show", "pth/views_zip.pth"], &[]);
    assert!(shown.contains("Float  []\n"), "{shown}");
}

#[test]
fn weights_convert() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.safetensors");
    let arguments = ["weights", "convert", "pth/lpips/alex.pth", text(&output)];
    let note = |count| format!("tch-losses: wrote {count} tensors to {}\n", output.display());
    assert_eq!(tch_losses(&arguments, &[]), (Some(0), String::new(), note(5)));
    assert_eq!(contents(&output), pth_contents(&alex()));
    let (code, _, stderr) = tch_losses(&[&arguments[..], &["--keep", "lin"]].concat(), &[]);
    assert_eq!((code, stderr), (Some(0), note(5)));
}

#[test]
fn weights_convert_tells_what_it_leaves_out() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.safetensors");
    let (code, _, stderr) = tch_losses(&["weights", "convert", "pth/unreadable_zip.pth", text(&output)], &[]);
    assert_eq!((code, stderr.lines().count()), (Some(0), 15), "{stderr}");
    assert!(stderr.contains("tch-losses: left out: `coo` is sparse (in Python, `to_dense()`"), "{stderr}");
    let (_, shown, _) = tch_losses(&["weights", "show", "pth/unreadable_zip.pth"], &[]);
    assert!(shown.contains("\nweight       Float  [2]\n"), "{shown}");
    assert!(
        shown.contains("\ncount        -      of the dtype uint16, which tch does not have\n"),
        "{shown}"
    );

    let arguments = ["weights", "convert", "--strip", "lin0.model.", "--keep", "1."];
    let (code, ..) = tch_losses(&[&arguments[..], &["pth/lpips/alex.pth", text(&output)]].concat(), &[]);
    assert_eq!((code, WeightsFile::open(&output).unwrap().names()), (Some(0), vec!["1.weight".to_owned()]));
}

/// Names, metadata and paths are shown, not obeyed.
#[test]
fn nothing_from_a_file_reaches_the_terminal() {
    let is_plain = |text: &str| text.chars().all(|character| character == '\n' || !character.is_control());
    let (code, shown, stderr) = tch_losses(&["weights", "show", "pth/cases/name_escape.pth"], &[]);
    assert_eq!((code, &*stderr), (Some(0), ""));
    let row = "\\u{1b}[2J\\u{1b}[31mred\\u{1b}[0m\\u{1b}]0;title\\u{7}\\nsha-256    0000 (forged line)\\nw  Float  [3]\n";
    assert!(shown.ends_with(row), "{shown}");
    assert!(is_plain(&shown));

    let folder = tempfile::tempdir().unwrap();
    let [safetensors, output] = ["\u{1b}[7m.safetensors", "out"].map(|name| folder.path().join(name));
    let header = r#"{"__metadata__":{"\u001b[1m":"\u0007\n"},"\u009b2J":{"dtype":"U16","shape":[1],"data_offsets":[0,2]}}"#;
    fs::write(&safetensors, with_header(header, 2)).unwrap();
    let (code, shown, _) = tch_losses(&["weights", "show", text(&safetensors)], &[]);
    assert_eq!((code, is_plain(&shown)), (Some(0), true), "{shown}");
    assert!(shown.contains("metadata   \\u{1b}[1m = \\u{7}\\n\n"), "{shown}");

    // Messages, about files of such names and contents.
    let wrong = r#"{"\u001b[31m":{"dtype":"\u001b[31m","shape":[1],"data_offsets":[0,2]}}"#;
    fs::write(&safetensors, with_header(wrong, 2)).unwrap();
    let pair = ["compare", "--fake", "cli/rgb8.png", "--real", "cli/real.png", "--vgg"];
    for arguments in [
        &["weights", "show", text(&safetensors)][..],
        &["weights", "convert", text(&safetensors), text(&output)],
        &["weights", "convert", "pth/cases/name_escape.pth", text(&output), "--keep", "x"],
        &["weights", "convert", "pth/cases/name_escape.pth", text(&output), "--strip", "x"],
        &[&pair[..], &[text(&safetensors)]].concat(),
        &[&pair[..], &["pth/cases/name_escape.pth"]].concat(),
    ] {
        assert_fails(arguments, &[], &[]);
        let (_, _, stderr) = tch_losses(arguments, &[]);
        assert!(is_plain(&stderr), "{stderr:?}");
    }
}

/// Each says what it is, in one sentence, whoever is asked.
#[test]
fn what_is_no_weights_file() {
    let folder = tempfile::tempdir().unwrap();
    let [path, output] = ["file.pth", "out.safetensors"].map(|name| folder.path().join(name));
    let page = fs::read(fixture("pth/cases/html_page.pth")).unwrap();
    let tar = fs::read(fixture("pth/refused/tar.pth")).unwrap();
    let script = fs::read(fixture("pth/refused/torch_script.pth")).unwrap();
    let cases: [(&[u8], &str); 10] = [
        (&page, "an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 6009\n", "a Git LFS pointer"),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\x03", "a file compressed with gzip"),
        (b"\x89HDF\r\n\x1a\n\0\0", "an HDF5 file"),
        (b"\x08\x07\x12\x07pytorch\x1a\x052.1.0", "an ONNX model"),
        (b"", "empty"),
        (&tar, "a tar archive"),
        (&script, "a TorchScript archive"),
        (b"\x80\x04}.", "a Python pickle, but not one that torch.save wrote"),
        (&[7; 100], "neither a safetensors file nor one that torch.save wrote (it begins with 07 07"),
    ];
    for (content, words) in cases {
        fs::write(&path, content).unwrap();
        let start = format!("cannot use {}: it is {words}", path.display());
        let messages = [
            WeightsFile::open(&path).unwrap_err().to_string(),
            convert(&path, &output, &ALL).unwrap_err().to_string(),
            Network::from_file(&path, &Architecture::VGG19, Device::Cpu).unwrap_err().to_string(),
        ];
        assert!(messages[0].starts_with(&start), "{}, expected {start}", messages[0]);
        assert_eq!((&messages[0], &messages[0]), (&messages[1], &messages[2]));
        assert_fails(&["weights", "show", text(&path)], &[], &[&messages[0]]);
        assert_fails(&["weights", "convert", text(&path), text(&output)], &[], &[&messages[0]]);
    }
    let error = convert(alex().with_extension("safetensors"), &output, &ALL).unwrap_err().to_string();
    assert!(error.ends_with("it is a safetensors file"), "{error}");
}

#[track_caller]
fn assert_fails(arguments: &[&str], variables: &[(&str, &str)], words: &[&str]) {
    let (code, stdout, stderr) = tch_losses(arguments, variables);
    assert_eq!((code, &*stdout), (Some(1), ""), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.starts_with("tch-losses: ") && words.iter().all(|word| stderr.contains(word)), "{stderr}");
}

/// A network that swallows everything: said within two seconds, not when the first attempt is given up.
#[test]
fn fetch_without_a_network_says_that_it_tries_again() {
    let proxy = Server::http(|exchange| exchange.hang());
    let place = Place::new();
    // What is there already, but is not the file, is said before.
    let page = place.weights().join("vgg19-dcbb9e9d.pth");
    fs::create_dir_all(place.weights()).unwrap();
    fs::copy(fixture("pth/cases/html_page.pth"), &page).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tch-losses"));
    command.args(["weights", "fetch"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut command = set(command, &[("TCH_LOSSES_CACHE", text(&place.cache.directory))]);
    command.env("HTTPS_PROXY", proxy.origin()).env("NO_PROXY", "").env_remove("ALL_PROXY");
    let mut child = command.env_remove("https_proxy").env_remove("no_proxy").spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let lines: Vec<String> = lines.take(2).map(|line| line.unwrap()).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    let wrong = format!("tch-losses: the file at {} is not the right one: it has 53 bytes, ", page.display());
    assert!(lines[0].starts_with(&wrong) && lines[0].contains("it is an HTML page"), "{lines:?}");
    let silence =
        format!("tch-losses: no answer yet from {}; will try again, 5 attempts in all", VGG19.source.url);
    assert_eq!(lines[1], silence);
}

#[test]
fn failures_are_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let [cache, torch, output] = ["cache", "torch", "out"].map(|name| folder.path().join(name));
    let variables =
        [("TCH_LOSSES_OFFLINE", "1"), ("TCH_LOSSES_CACHE", text(&cache)), ("TORCH_HOME", text(&torch))];
    let size = VGG19.source.size.to_string();
    let hub = torch.join("hub/checkpoints/vgg19-dcbb9e9d.pth");
    let by_hand = cache.join("weights/vgg19-dcbb9e9d.pth");
    let words =
        [VGG19.source.url, VGG19.source.sha256, &size, text(&hub), text(&by_hand), "TCH_LOSSES_OFFLINE"];
    assert_fails(&["weights", "fetch"], &variables, &words);
    assert_fails(&["weights", "fetch", "--all"], &variables, &words);
    let pair = ["compare", "--fake", "cli/rgb8.png", "--real", "cli/real.png", "--vgg"];
    assert_fails(&[&pair[..], &["pretrained"]].concat(), &variables, &[&words[..], &["--vgg"]].concat());
    assert!(!torch.exists());

    let refused = "pth/refused/global_os_system.pth";
    assert_fails(&["weights", "show", refused], &[], &[refused, "os.system"]);
    assert_fails(&["weights", "convert", refused, text(&output)], &[], &[refused, "os.system"]);
    assert_fails(&[&pair[..], &[refused]].concat(), &[], &["--vgg", refused, "os.system"]);
    assert_fails(&["weights", "show", "none.pth"], &[], &["none.pth", "No such file"]);
    assert_fails(&["weights", "show", "pth"], &[], &["pth", "directory"]);
    assert_fails(&["weights", "show", "cli/rgb8.png"], &[], &["cli/rgb8.png", "it is a PNG picture"]);
    assert_fails(&["weights", "convert", "none.pth", text(&output)], &[], &["none.pth", "No such file"]);
    let keep = ["weights", "convert", "pth/lpips/alex.pth", text(&output), "--keep", "x"];
    assert_fails(&keep, &[], &["`x`", "`lin0.model.1.weight`"]);
    assert!(!output.exists());
}

#[test]
fn wrong_usage() {
    for arguments in [
        &["weights"][..],
        &["weights", "burn"],
        &["weights", "show"],
        &["weights", "convert", "in.pth"],
        &["weights", "path", "more"],
        &["weights", "fetch", "vgg19"],
        &["weights", "show", "in.pth", "--keep", "x"],
    ] {
        let (code, stdout, stderr) = tch_losses(arguments, &[]);
        assert_eq!((code, &*stdout), (Some(2), ""), "{arguments:?}");
        assert!(stderr.contains("Usage: tch-losses weights"), "{stderr}");
    }
}

#[test]
fn compare_takes_either_format() {
    let folder = tempfile::tempdir().unwrap();
    let converted = folder.path().join("vgg.safetensors");
    let options = ConvertOptions { keep: "features.", expand: true, ..ALL };
    assert_eq!(convert(vgg("legacy"), &converted, &options).unwrap().written, 32);
    let run = |weights: &Path| {
        let arguments = ["compare", "--fake", "cli/rgb8.png", "--real", "cli/real.png", "--json", "--vgg"];
        tch_losses(&[&arguments[..], &[text(weights)]].concat(), &[])
    };
    let expected = run(&converted);
    assert_eq!((expected.0, &*expected.2), (Some(0), ""));
    let value: serde_json::Value = serde_json::from_str(&expected.1).unwrap();
    assert!(value["vgg"].as_f64().unwrap() > 0.0);
    assert_eq!(run(&vgg("zip")), expected);
}

// ---- files that are damaged or lie -----------------------------------------------------------------------

/// Opens the file and reads all of it: what fails must do so with an error.
#[track_caller]
fn read_all(path: &Path) -> tch_losses::Result<()> {
    let attempt = || {
        let mut file = WeightsFile::open(path)?;
        file.metadata();
        for name in file.names() {
            file.find(&name);
            drop(file.read(&name)?);
        }
        Ok(())
    };
    catch_unwind(AssertUnwindSafe(attempt)).unwrap_or_else(|_| panic!("a panic, see above"))
}

fn with_header(header: &str, data: usize) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &vec![0; data]].concat()
}

#[test]
fn headers_that_lie() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let check = |data: &[u8], what: &str| {
        fs::write(&path, data).unwrap();
        read_all(&path).map_err(|error| {
            assert!(
                error.to_string().contains(text(&path)) || matches!(error, Error::Torch(_)),
                "{what}: {error}"
            )
        })
    };
    let one = |dtype: &str, shape: &str, offsets: &str| {
        format!(r#"{{"a":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}"#)
    };
    check(&with_header(&one("U8", "[3]", "[0,3]"), 3), "right").unwrap();
    check(&with_header(&one("U8", "[]", "[0,1]"), 1), "scalar").unwrap();
    check(&with_header(&one("U8", "[0]", "[0,0]"), 0), "empty").unwrap();
    check(&with_header("{}", 0), "no tensors").unwrap();
    // Dtypes that tch does not have are named, and keep nothing else from being read.
    for dtype in ["U16", "U32", "U64"] {
        let size = dtype[1..].parse::<usize>().unwrap() / 8;
        let header = one(dtype, "[1]", &format!("[0,{size}]"));
        check(&with_header(&header, size), dtype).unwrap();
        let mut file = WeightsFile::open(&path).unwrap();
        let reason = format!("of the dtype {dtype}, which tch does not have");
        assert_eq!((file.names(), file.unreadable()), (vec![], vec![("a".into(), reason.clone())]));
        assert!(file.read("a").unwrap_err().to_string().ends_with(&format!("the tensor `a` is {reason}")));
    }
    for (dtype, shape, offsets, data) in [
        ("U8", "[18446744073709551615]", "[0,18446744073709551615]", 0),
        ("U8", "[2305843009213693951]", "[0,2305843009213693951]", 0),
        ("F64", "[18446744073709551615]", "[0,18446744073709551608]", 0),
        ("U8", "[4294967296,4294967296]", "[0,0]", 0),
        ("U8", "[-1]", "[0,1]", 1),
        ("U8", "[1.5]", "[0,1]", 1),
        ("U8", "[4]", "[1,4]", 4),
        ("U8", "[4]", "[4,0]", 4),
        ("U8", "[4]", "[0,8]", 8),
        ("U8", "[4]", "[0,4]", 3),
        ("U8", "[4]", "[0,4]", 5),
        ("U9", "[4]", "[0,4]", 4),
        ("F4", "[1]", "[0,1]", 1),
        ("U8", "[0,9223372036854775808]", "[0,0]", 0),
        ("U8", "[0,18446744073709551615]", "[0,0]", 0),
    ] {
        let header = one(dtype, shape, offsets);
        assert!(check(&with_header(&header, data), &header).is_err(), "{header}");
    }
    // Absurd, and empty all the same; libtorch decides.
    for shape in
        ["[0,4611686018427387904]", "[0,4611686018427387904,4611686018427387904]", "[9223372036854775807,0]"]
    {
        let _ = check(&with_header(&one("F64", shape, "[0,0]"), 0), shape);
    }
    // Sizes whose sum is the largest there is.
    let tensors: Vec<String> = (0..9u64)
        .map(|index| {
            let size = if index < 8 { (1 << 61) - 1 } else { 7 };
            let start = index * ((1 << 61) - 1);
            let end = start + size;
            format!(r#""{index}":{{"dtype":"U8","shape":[{size}],"data_offsets":[{start},{end}]}}"#)
        })
        .collect();
    let header = format!("{{{}}}", tensors.join(","));
    assert!(check(&with_header(&header, 16), &header).is_err());

    for header in ["", "[]", "null", "{", "{\"a\":1}", "{\"__metadata__\":{\"a\":1}}", "\u{0}", "{\"a\":{}}"]
    {
        assert!(check(&with_header(header, 0), header).is_err(), "{header}");
    }
    // Nested as deep as there is room.
    let deep = "[".repeat(1 << 20);
    assert!(check(&with_header(&deep, 0), "deep").is_err());
    assert!(check(&with_header(&format!("{{\"a\":{deep}"), 0), "deep").is_err());
    for length in [u64::MAX, 1 << 63, 1 << 40, 100_000_001, 3] {
        let data = [&length.to_le_bytes()[..], b"{}"].concat();
        assert!(check(&data, &length.to_string()).is_err(), "{length}");
    }
}

#[test]
fn cut_or_changed_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    convert(alex(), &path, &keep("lin0.")).unwrap();
    let mut files = vec![fs::read(&path).unwrap()];
    for form in ["zip", "legacy"] {
        files.push(fs::read(fixture(&format!("pth/cuda_{form}.pth"))).unwrap());
    }
    for whole in files {
        for len in 0..whole.len() {
            fs::write(&path, &whole[..len]).unwrap();
            assert!(read_all(&path).is_err(), "cut at {len} of {}", whole.len());
        }
        // The reader of .pth files has tests of its own; here it is chosen by how the file begins.
        let end = if whole[8] == b'{' { whole.len() } else { 32 };
        for at in 0..end {
            for change in [0x01, 0x80, 0xff] {
                let mut changed = whole.clone();
                changed[at] ^= change;
                fs::write(&path, &changed).unwrap();
                let _ = read_all(&path);
            }
        }
    }
}

#[test]
fn every_dtype_is_a_kind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    for (dtype, kind) in [
        ("BOOL", Kind::Bool),
        ("U8", Kind::Uint8),
        ("I8", Kind::Int8),
        ("I16", Kind::Int16),
        ("I32", Kind::Int),
        ("I64", Kind::Int64),
        ("F8_E5M2", Kind::Float8e5m2),
        ("F8_E4M3", Kind::Float8e4m3fn),
        ("F16", Kind::Half),
        ("BF16", Kind::BFloat16),
        ("F32", Kind::Float),
        ("F64", Kind::Double),
        ("C64", Kind::ComplexFloat),
    ] {
        let size = 3 * kind.elt_size_in_bytes();
        let header = format!(r#"{{"a":{{"dtype":"{dtype}","shape":[1,3],"data_offsets":[0,{size}]}}}}"#);
        fs::write(&path, with_header(&header, size)).unwrap();
        assert_eq!(contents(&path)["a"], (vec![1, 3], kind, vec![0; size]), "{dtype}");
    }
}

/// Bytes that are neither 0 nor 1 are no `bool`s for libtorch.
#[test]
fn bools_of_any_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let header = r#"{"a":{"dtype":"BOOL","shape":[4],"data_offsets":[0,4]}}"#;
    let data = [&with_header(header, 0)[..], &[0, 1, 2, 255]].concat();
    fs::write(&path, data).unwrap();
    let tensor = WeightsFile::open(&path).unwrap().read("a").unwrap();
    assert_eq!((tensor.kind(), bytes(&tensor)), (Kind::Bool, vec![0, 1, 1, 1]));
}

#[test]
fn tensors_that_are_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let converted = folder.path().join("out.safetensors");
    convert(alex(), &converted, &ALL).unwrap();
    for path in [alex(), converted] {
        let mut file = WeightsFile::open(&path).unwrap();
        assert_eq!(file.find("lin9"), None);
        let error = file.read("lin9").unwrap_err().to_string();
        assert!(error.contains(text(&path)) && error.contains("`lin9`"), "{error}");
    }
}
