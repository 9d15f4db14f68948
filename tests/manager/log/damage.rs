//! What is no log.

use super::*;

#[test]
fn damage_within_is_an_error_with_its_line() {
    let whole = whole();
    let count = lines(&whole).len();
    let replaced = |number: usize, line: &[u8]| {
        let mut lines = lines(&whole);
        lines[number - 1] = line;
        lines.concat()
    };
    // Also in the last line: it has its end, and was not cut.
    for number in 2..=count {
        for (line, problem) in [
            (&b"damage\n"[..], "must be a JSON object"),
            (b"[1]\n", "must be a JSON object"),
            (b"{}\n", "must have a step, a loss or the mark"),
            (b"{\"tch_losses_log\":2,\"experiment\":\"\"}\n", "a line of format 2, not 1"),
            (b"{\"tch_losses_log\":1,\"experiment\":\"\"}\n", "`device` is missing"),
            (b"{\"loss\":\"a\"}\n", "`tags` is missing"),
            (b"{\"loss\":\"\xff\",\"tags\":[]}\n", "given bytes that are not UTF-8 (column 10)"),
            (b"{\"step\":-1,\"epoch\":0,\"losses\":{}}\n", "`step` is -1, expected a whole number, 0 or more"),
            (b"{\"step\":1.5,\"epoch\":0,\"losses\":{}}\n", "`step` is 1.5, expected a whole number, 0 or more"),
            (b"{\"step\":0,\"epoch\":0}\n", "`losses` is missing"),
            (b"{\"step\":0,\"step\":1,\"epoch\":0,\"losses\":{}}\n", "`step` is there twice"),
            (b"{\"step\":0,\"epoch\":0,\"losses\":{}}{}\n", "more text after the end of the value (column 33)"),
            (b"{\"step\":0,\"epoch\":\n", "the text ends where a value is expected (column"),
            (b"{\"step\":0,\"epoch\":0,\"losses\":{\"a\":{\n", "the text ends within an object"),
            (b"{\"step\":0,\"epoch\":0,\"losses\":{\"a\":{\"value\":-}\n", "a number that is not in JSON's form"),
            (b"{\"loss\":1,\"tags\":[]}\n", "`loss` is 1, expected a text in quotes"),
            (b"{\"loss\":\"a\",\"tags\":\"G\"}\n", "`tags` is \"G\", expected a list of texts in quotes"),
            (b"{\"loss\":\"a\",\"tags\":[1]}\n", "`tags` is [1], expected a list of texts in quotes"),
            (b"{\"loss\":\"\\ud800\",\"tags\":[]}\n", "`loss` is \"\\ud800\", expected a text in quotes"),
            (b"{\"step\":0,\"epoch\":0,\"losses\":[]}\n", "`losses` is [], expected an object of losses by name"),
            (
                b"{\"step\":0,\"epoch\":0,\"losses\":{\"a\":1}}\n",
                "`losses.a` is 1, expected an object with `value`, `weight` and `weighted`",
            ),
            (
                b"{\"step\":0,\"epoch\":0,\"losses\":{\"a\":{\"value\":1,\"weighted\":1}}}\n",
                "`losses.a.weight` is missing",
            ),
            (
                b"{\"step\":0,\"epoch\":0,\"losses\":{\"a\":{\"value\":1,\"weight\":1e999,\"weighted\":1}}}\n",
                "`losses.a.weight` is 1e999, expected a number",
            ),
            (
                b"{\"step\":0,\"epoch\":0,\"losses\":{\"a\":{\"value\":\"nan\",\"weight\":1,\"weighted\":1}}}\n",
                "`losses.a.value` is \"nan\", expected a number, \"NaN\", \"Infinity\" or \"-Infinity\"",
            ),
            (
                b"{\"step\":0,\"epoch\":0,\"losses\":{\"nobody\":{\"value\":1,\"weight\":1,\"weighted\":1}}}\n",
                "\"nobody\" comes before",
            ),
            (
                b"{\"step\":0,\"epoch\":0,\"losses\":{\"G_L1\":{\"value\":1,\"weight\":1,\"weighted\":1},\
                  \"G_L1\":{\"value\":1,\"weight\":1,\"weighted\":1}}}\n",
                "`G_L1` is there twice",
            ),
        ] {
            assert_refused(replaced(number, line), number as u64, problem);
        }
    }
    // Two lines that have become one, and a line that has lost its beginning.
    for number in (2..count).filter(|number| is_step(lines(&whole)[number - 1])) {
        let line = lines(&whole)[number - 1];
        assert_refused(replaced(number, &line[..line.len() - 1]), number as u64, "more text after the end");
        assert_refused(replaced(number, &line[9..]), number as u64, "must be a JSON object");
    }
    // Without its declaration.
    assert_refused(replaced(2, b""), 3, "\"G_L1\" comes before");
    // Only the beginning of a long value is told.
    let long = format!("{{\"step\":{}}}\n", "1".repeat(10_000));
    assert_refused(replaced(2, long.as_bytes()), 2, &format!("`step` is {}…, expected", "1".repeat(60)));
}

/// Editors put a byte order mark before the first line, and leave blank lines behind the last one.
#[test]
fn what_editors_add_does_no_harm() {
    const MARK: &[u8] = b"\xef\xbb\xbf";
    let whole = whole();
    let expected = LoggedRun::read(Place::with(&whole).log).unwrap();
    let long = format!("{}\n{}", " ".repeat(70_000), "\r\n".repeat(40_000));
    for mark in [&b""[..], MARK] {
        for blank in ["", "\n", "\r\n", "\n\n \t\n", "\n  ", &long] {
            let kept = [mark, &whole].concat();
            let place = Place::with([&kept, blank.as_bytes()].concat());
            assert_eq!(format!("{:?}", LoggedRun::read(&place.log).unwrap()), format!("{expected:?}"));
            let mut log = LossLog::open(&place.log, &run()).unwrap();
            assert_eq!(place.bytes(), kept);
            append(&mut log, STEPS, STEPS + 1);
            drop(log);
            let longer = place.bytes();
            assert!(longer.len() > kept.len() && longer.starts_with(&kept));
            assert_eq!(LoggedRun::read(&place.log).unwrap().losses["G_L1"].steps.last(), Some(&STEPS));
            // Cut off again, by the line's place in the file.
            LossLog::resume(&place.log, &run(), STEPS - 1).unwrap();
            assert_eq!(place.bytes(), kept);
        }
        // Within the first line, and within the last.
        let header = lines(&whole)[0].len();
        for length in [0, 10, header - 1, header, whole.len() - 1] {
            let cut = [mark, &whole[..length]].concat();
            assert_eq!(LoggedRun::read(Place::with(&cut).log).is_ok(), length >= header, "{length}");
            let place = Place::with(cut);
            append(&mut LossLog::open(&place.log, &run()).unwrap(), 0, 1);
            assert_eq!(LoggedRun::read(&place.log).unwrap().losses["G_L1"].steps.last(), Some(&0));
        }
    }
    // Elsewhere they are damage.
    for (number, line) in lines(&whole).iter().enumerate().skip(1) {
        for blank in ["\n", " \r\n", &long] {
            let mut lines = lines(&whole);
            let both = [blank.as_bytes(), line].concat();
            lines[number] = &both;
            assert_refused(lines.concat(), number as u64 + 1, "it is blank");
        }
    }
    assert_refused([&whole, MARK, &whole].concat(), lines(&whole).len() as u64 + 1, "must be a JSON object");
    assert_refused([MARK, MARK, &whole].concat(), 1, "not the first line");
    assert_refused([b"\n", &whole[..]].concat(), 1, "not the first line");
    // A blank line is cut off with what comes after it; the lines behind it are still read for their steps.
    let header = lines(&whole)[..3].concat();
    let at = |step| {
        format!("{{\"step\":{step},\"epoch\":0,\"losses\":{{\"G_L1\":{{\"value\":1,\"weight\":1,\"weighted\":1}}}}}}\n")
    };
    let kept = [header, at(0).into()].concat();
    let place = Place::with([&kept, at(1).as_bytes(), b"\n\n", at(2).as_bytes()].concat());
    LossLog::resume(&place.log, &run(), 0).unwrap();
    assert_eq!(place.bytes(), kept);
    // It begins anew behind the blank line, which therefore stays, and is refused.
    place.write([&kept, at(1).as_bytes(), b"\n\n", at(0).as_bytes()].concat());
    assert_damage(LossLog::resume(&place.log, &run(), 0), &place, 6, "it is blank");
}

/// Whatever one byte may become, the reader and the writer see the same, and the file stays.
#[test]
fn any_byte_may_be_wrong() {
    let whole = whole();
    let (file, mut refused, mut count) = (Place::new(), 0, 0);
    for (place, bit) in (0..whole.len()).step_by(3).zip([0x01, 0x80, 0x10, 0x04].into_iter().cycle()) {
        let mut bytes = whole.clone();
        bytes[place] ^= bit;
        file.write(&bytes);
        count += 1;
        match LoggedRun::read(&file.log) {
            Ok(logged) => {
                LossLog::open(&file.log, &logged.run).unwrap();
                assert_eq!(LoggedRun::read(&file.log).unwrap().losses.keys().len(), logged.losses.len());
            }
            Err(error) => {
                let other = LossLog::open(&file.log, &run()).unwrap_err();
                assert_eq!(other.to_string(), error.to_string());
                assert_eq!(file.bytes(), bytes);
                refused += 1;
            }
        }
    }
    // Most of a log is names of fields, brackets and digits that begin a number, where a wrong bit is no JSON or leaves
    // something out. In a name or within a number it is only another one.
    assert!(refused > count / 2 && refused < count, "{refused} of {count}");
}

#[test]
fn a_file_that_is_no_log_is_left_alone() {
    for bytes in [
        &b"\n"[..],
        b" ",
        b"{}",
        b"{\"LOSSMANAGER_LOG\": {}}\n",
        b"{\"tch_losses_log\":2,\"experiment\":\"a\"}\n",
        b"{\"tch_losses_log\":2,",
        b"{\"tch_losses_log\":12,\"exp",
        b"epoch,loss\n1,0.5\n",
        b"\x80\x02}q\x00.",
        &[0; 100_000],
        &[b'{'; 100_000],
    ] {
        assert_refused(bytes, 1, "not the first line of a loss log of format 1");
    }
    assert_refused(b"{\"tch_losses_log\":1,\"experiment\":\"a\"}\n", 1, "`device` is missing");
    // Such as a log of which only the end was copied.
    let whole = whole();
    assert_refused(lines(&whole)[1..].concat(), 1, "not the first line");
}

#[test]
fn paths_that_cannot_be_used() {
    let place = Place::new();
    let folder = place.folder.path();
    let open = LossLog::open(folder, &run()).unwrap_err();
    assert!(matches!(&open, Error::Write { path, .. } if path == folder), "{open}");
    let missing = LoggedRun::read(&place.log).unwrap_err();
    assert!(matches!(&missing, Error::Read { path, .. } if *path == place.log), "{missing}");
    let read = LoggedRun::read(folder).unwrap_err();
    assert!(matches!(&read, Error::Read { path, .. } if path == folder), "{read}");
    assert!(place.names().is_empty());
}
