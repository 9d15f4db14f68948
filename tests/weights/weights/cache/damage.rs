//! Files of the cache that were damaged.

use super::*;

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
