//! The cache, and the environment that says where it is.

mod damage;
mod processes;

use super::*;

// ---- the cache -------------------------------------------------------------------------------------------

fn known_at(original: &Path, origin: &str, keep: &'static str) -> KnownFile {
    let data = fs::read(original).unwrap();
    let url = String::leak(format!("{origin}/models/weights.pth"));
    let source = Source { url, sha256: String::leak(hex(&data)), size: Some(data.len() as u64) };
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
            size if Some(size) == file.source.size => format!("it has {size} bytes"),
            size => format!("it has {size} bytes, not {},", file.source.size.unwrap()),
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
         download it elsewhere and put it at {} or {}; it has {} bytes and the SHA-256 {}",
        place.weights().join("weights.pth").display(),
        place.hub().join("weights.pth").display(),
        file.source.size.unwrap(),
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

/// Eight digits of the hash may be all that is known: they are checked, and the kept file names all.
#[test]
fn a_file_of_which_eight_digits_of_the_hash_are_known() {
    let data = fs::read(alex()).unwrap();
    let known_by = |digits: &str, origin: &str| {
        let file = known_at(&alex(), origin, "");
        let source = Source { sha256: String::leak(digits.to_owned()), size: None, ..file.source };
        KnownFile { source, ..file }
    };
    let hash = hex(&data);
    let server = Server::http(move |exchange| exchange.file(&data));
    let place = Place::online();
    let file = known_by(&hash[..8], &server.origin());
    let path = place.cache.get(&file).unwrap();
    assert_made(&place, &path, &alex());
    assert_eq!(WeightsFile::open(&path).unwrap().metadata()["source_sha256"], hash);
    // Known again, by the digits, and not fetched anew.
    let before = stamp(&path);
    assert_eq!(place.cache.get(&file).unwrap(), path);
    assert_eq!(stamp(&path), before);
    assert_eq!(server.requests().len(), 1);

    let place = Place::online();
    let wrong = known_by("00000000", &server.origin());
    let error = place.cache.get(&wrong).unwrap_err().to_string();
    let expected = format!("what came has the SHA-256 {hash}, expected one that begins with 00000000");
    assert!(error.contains(&expected), "{error}");
    assert!(error.ends_with("and check that it has a SHA-256 that begins with 00000000"), "{error}");
    let error = Place::new().cache.get(&wrong).unwrap_err().to_string();
    assert!(error.ends_with("; it has a SHA-256 that begins with 00000000"), "{error}");
    // Fewer digits are no hash.
    assert!(!known_by(&hash[..7], "").source.is_at(alex()).unwrap());
    assert!(known_by(&hash[..8], "").source.is_at(alex()).unwrap());
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

// ---- the environment -------------------------------------------------------------------------------------
