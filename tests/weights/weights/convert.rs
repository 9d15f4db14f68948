//! Converting a file.

use super::*;

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
