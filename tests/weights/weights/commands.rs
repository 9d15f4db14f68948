//! `tch-losses weights`, run as users run it.

use super::*;

#[test]
fn weights_path() {
    let place = Place::new();
    let cache = [("TCH_LOSSES_CACHE", text(&place.cache.directory))];
    let path = place.weights().join("vgg19-dcbb9e9d.safetensors");
    let line = format!("{}\n", path.display());
    let note = "tch-losses: not there yet: `tch-losses weights fetch vgg19` makes it\n";
    assert_eq!(tch_losses(&["weights", "path"], &cache), (Some(0), line.clone(), note.into()));
    assert!(!place.cache.directory.exists());
    fs::create_dir_all(place.weights()).unwrap();
    fs::write(&path, "").unwrap();
    assert_eq!(tch_losses(&["weights", "path"], &cache), (Some(0), line, String::new()));
    let (code, path, note) = tch_losses(&["weights", "path", "alexnet"], &cache);
    let expected = place.weights().join("alexnet-owt-7be5be79.safetensors");
    assert_eq!((code, path), (Some(0), format!("{}\n", expected.display())));
    assert_eq!(note, "tch-losses: not there yet: `tch-losses weights fetch alexnet` makes it\n");
}

/// What is there already needs no network: found by name, and in the order of the names.
#[test]
fn weights_fetch_by_name() {
    let place = Place::new();
    let [cache, torch] = ["cache", "torch"].map(|name| place.folder.path().join(name));
    let variables =
        [("TCH_LOSSES_OFFLINE", "1"), ("TCH_LOSSES_CACHE", text(&cache)), ("TORCH_HOME", text(&torch))];
    for network in Architecture::ALL {
        let source = network.known_weights().source;
        assert_fails(
            &["weights", "fetch", network.name()],
            &variables,
            &[source.url, source.sha256, source.file_name(), "TCH_LOSSES_OFFLINE"],
        );
        // As the library.
        assert!(source.file_name().starts_with(network.name().split('_').next().unwrap()));
        assert!(source.file_name().contains(&source.sha256[..8]));
    }
    // One after the other, until one fails.
    let kept = converted_as(&place, &ALEXNET);
    let (code, stdout, stderr) = tch_losses(&["weights", "fetch", "alexnet", "vgg16"], &variables);
    assert_eq!((code, stdout), (Some(1), format!("{}\n", kept.display())), "{stderr}");
    assert!(stderr.contains(VGG16.source.url), "{stderr}");
    let fetched = tch_losses(&["weights", "fetch", "alexnet"], &variables);
    assert_eq!(fetched, (Some(0), format!("{}\n", kept.display()), String::new()));

    for (arguments, words) in [
        (
            &["weights", "fetch", "vgg_16"][..],
            &["invalid value 'vgg_16'", "similar value exists: 'vgg16'"][..],
        ),
        (&["weights", "path", "resnet"], &["invalid value 'resnet'", "vgg11, vgg11_bn,", "squeezenet1_1"]),
        (&["weights", "fetch", "vgg16", "--all"], &["cannot be used with"]),
    ] {
        let (code, stdout, stderr) = tch_losses(arguments, &[]);
        assert_eq!((code, &*stdout), (Some(2), ""), "{arguments:?}");
        assert!(words.iter().all(|word| stderr.contains(word)), "{stderr}");
    }
}

/// A file of the conversion, where the weights of a network are kept, that says to be made of those.
fn converted_as(place: &Place, file: &KnownFile) -> PathBuf {
    let path = place.cache.path(file);
    fs::create_dir_all(place.weights()).unwrap();
    // As long as `features.`.
    convert(alex(), &path, &keep("lin0.mode")).unwrap();
    let mut data = fs::read(&path).unwrap();
    let put = |data: &mut [u8], name: &str, text: &str| {
        let before = format!("\"{name}\":\"");
        let at = data.windows(before.len()).position(|window| window == before.as_bytes()).unwrap();
        data[at + before.len()..][..text.len()].copy_from_slice(text.as_bytes());
    };
    put(&mut data, "source_sha256", file.source.sha256);
    put(&mut data, "kept", file.keep);
    put(&mut data, "xxh3", &"0".repeat(16));
    let checksum = xxhash_rust::xxh3::xxh3_64(&data);
    put(&mut data, "xxh3", &format!("{checksum:016x}"));
    fs::write(&path, data).unwrap();
    path
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
    let size = VGG19.source.size.unwrap().to_string();
    let hub = torch.join("hub/checkpoints/vgg19-dcbb9e9d.pth");
    let by_hand = cache.join("weights/vgg19-dcbb9e9d.pth");
    let words =
        [VGG19.source.url, VGG19.source.sha256, &size, text(&hub), text(&by_hand), "TCH_LOSSES_OFFLINE"];
    assert_fails(&["weights", "fetch"], &variables, &words);
    let first = Architecture::ALL[0].known_weights().source;
    assert_fails(&["weights", "fetch", "--all"], &variables, &[first.url, first.sha256]);
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
        &["weights", "path", "vgg19", "vgg16"],
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
