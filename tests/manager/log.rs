//! The loss log: what is in the file, and what becomes of it when something goes wrong.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use indexmap::IndexMap;
use proptest::prelude::*;
use tch_losses::manager::log::{LogError, LoggedRun, LossCurve, LossLog, RunInfo};
use tch_losses::manager::{LogSink, Record};
use tch_losses::Error;

fn run() -> RunInfo {
    RunInfo {
        experiment: "pix2pix \"ü\"\n日本".into(),
        device: "cpu".into(),
        dataroot: r"C:\maps".into(),
        dataset_length: 400,
    }
}

fn record(name: &str, tags: &[&str], (epoch, step): (u64, u64), value: f64, weight: f64) -> Record {
    Record {
        name: name.into(),
        tags: tags.iter().map(|tag| tag.to_string()).collect(),
        epoch,
        step,
        value,
        weight,
        weighted: value * weight,
    }
}

/// What a training computes at `step`: one loss comes later than the others, one twice in a step, and one
/// changes its tags.
fn computed(step: u64) -> Vec<Record> {
    let at = (step / 4, step);
    let value = 0.5 * (step + 1) as f64;
    let mut records = vec![
        record("G_L1", &["G"], at, value, 100.0),
        record("größe \"x\"\n🎨\u{2028}", &["G", "日本"], at, -value * 1e-300, 0.25),
    ];
    if step >= 3 {
        records.push(record("late", if step < 6 { &[] } else { &["changed"] }, at, f64::NAN, value));
    }
    if step % 3 == 2 {
        records.push(record("G_L1", &["G"], at, f64::INFINITY, -1.0));
    }
    records
}

const STEPS: u64 = 9;

/// The bytes of a log of `STEPS` steps.
fn whole() -> Vec<u8> {
    let place = Place::new();
    let mut log = LossLog::open(&place.log, &run()).unwrap();
    append(&mut log, 0, STEPS);
    drop(log);
    place.bytes()
}

/// One call for each step.
fn append(log: &mut LossLog, start: u64, end: u64) {
    for step in start..end {
        log.append(&computed(step)).unwrap();
    }
}

struct Place {
    folder: tempfile::TempDir,
    log: PathBuf,
}

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("loss_log.jsonl");
        Place { folder, log }
    }

    fn with(bytes: impl AsRef<[u8]>) -> Place {
        let place = Place::new();
        place.write(bytes);
        place
    }

    fn write(&self, bytes: impl AsRef<[u8]>) {
        fs::write(&self.log, bytes).unwrap();
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(&self.log).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

/// Line by line, each with its end.
fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.split_inclusive(|byte| *byte == b'\n').collect()
}

/// Whether it is the line of a step, and whole.
fn is_step(line: &[u8]) -> bool {
    line.starts_with(b"{\"step\"") && line.ends_with(b"\n")
}

fn assert_damage(result: Result<impl std::fmt::Debug, Error>, place: &Place, number: u64, part: &str) {
    match result {
        Err(Error::Log(LogError::Unusable { path, line, problem })) => {
            assert_eq!((&path, line), (&place.log, number), "{problem}");
            assert!(problem.contains(part) && !problem.contains('\n'), "{problem}, expected {part}");
        }
        other => panic!("{other:?}, expected {part} in line {number}"),
    }
}

/// Neither the reader nor the writer takes it, and it stays as it is.
fn assert_refused(bytes: impl AsRef<[u8]>, line: u64, problem: &str) {
    let place = Place::with(&bytes);
    assert_damage(LoggedRun::read(&place.log), &place, line, problem);
    assert_damage(LossLog::open(&place.log, &run()), &place, line, problem);
    assert_damage(LossLog::resume(&place.log, &run(), u64::MAX), &place, line, problem);
    assert_eq!(place.bytes(), bytes.as_ref());
}

// ---- what is in the file ---------------------------------------------------------------------------------

#[test]
fn the_format() {
    let place = Place::new();
    let info = RunInfo { experiment: "maps".into(), device: "cuda:0".into(), ..run() };
    let mut log = LossLog::open(&place.log, &info).unwrap();
    log.append(&[
        record("D_real", &["D"], (0, 0), 0.5, 1.0),
        record("D_fake", &["D"], (0, 0), 1e-7, 1.0),
        // Once more in the same step.
        record("D_real", &["D"], (0, 0), 0.1 + 0.2, 1.0),
        record("G \"1\"\n", &[], (0, 0), -0.0, 1000.0),
        // The next epoch begins without a next step.
        record("D_fake", &["D"], (1, 0), f64::INFINITY, -1.0),
    ])
    .unwrap();
    log.append(&[]).unwrap();
    // The same step as before, in another call; other tags.
    log.append(&[record("D_real", &["D", "é"], (1, 0), f64::NAN, 1.0)]).unwrap();
    log.append(&[record("D_real", &["D", "é"], (1, u64::MAX), f64::MIN_POSITIVE, 1.0)]).unwrap();
    let expected = concat!(
        r#"{"tch_losses_log":1,"experiment":"maps","device":"cuda:0","dataroot":"C:\\maps","dataset_length":400}"#,
        "\n",
        r#"{"loss":"D_real","tags":["D"]}"#,
        "\n",
        r#"{"loss":"D_fake","tags":["D"]}"#,
        "\n",
        r#"{"step":0,"epoch":0,"losses":{"D_real":{"value":0.5,"weight":1.0,"weighted":0.5},"#,
        r#""D_fake":{"value":1e-7,"weight":1.0,"weighted":1e-7}}}"#,
        "\n",
        r#"{"loss":"G \"1\"\n","tags":[]}"#,
        "\n",
        r#"{"step":0,"epoch":0,"losses":{"D_real":{"value":0.30000000000000004,"weight":1.0,"#,
        r#""weighted":0.30000000000000004},"G \"1\"\n":{"value":-0.0,"weight":1000.0,"weighted":-0.0}}}"#,
        "\n",
        r#"{"step":0,"epoch":1,"losses":{"D_fake":{"value":"Infinity","weight":-1.0,"weighted":"-Infinity"}}}"#,
        "\n",
        r#"{"loss":"D_real","tags":["D","é"]}"#,
        "\n",
        r#"{"step":0,"epoch":1,"losses":{"D_real":{"value":"NaN","weight":1.0,"weighted":"NaN"}}}"#,
        "\n",
        r#"{"step":18446744073709551615,"epoch":1,"losses":{"D_real":{"value":2.2250738585072014e-308,"weight":1.0,"#,
        r#""weighted":2.2250738585072014e-308}}}"#,
        "\n",
    );
    assert_eq!(String::from_utf8(place.bytes()).unwrap(), expected);

    let logged = LoggedRun::read(&place.log).unwrap();
    assert_eq!(logged.run, info);
    assert_eq!(logged.losses.keys().collect::<Vec<_>>(), ["D_real", "D_fake", "G \"1\"\n"]);
    let real = &logged.losses["D_real"];
    assert_eq!(real.tags, ["D", "é"]);
    assert_eq!(real.steps, [0, 0, 0, u64::MAX]);
    assert_eq!(real.epochs, [0, 0, 1, 1]);
    assert_eq!(logged.losses["D_fake"].weights, [1.0, -1.0]);
    let bits = |numbers: &[f64]| numbers.iter().map(|number| number.to_bits()).collect::<Vec<_>>();
    let values = [0.5, 0.1 + 0.2, f64::NAN, f64::MIN_POSITIVE];
    assert_eq!(bits(&real.values), bits(&values));
    assert_eq!(bits(&logged.losses["G \"1\"\n"].weighted), bits(&[-0.0]));
}

/// Curves as they should be read.
fn curves(calls: &[Vec<Record>]) -> IndexMap<String, LossCurve> {
    let mut curves = IndexMap::<String, LossCurve>::new();
    for record in calls.iter().flatten() {
        let curve = curves.entry(record.name.to_string()).or_default();
        curve.tags = record.tags.to_vec();
        curve.steps.push(record.step);
        curve.epochs.push(record.epoch);
        curve.values.push(record.value);
        curve.weights.push(record.weight);
        curve.weighted.push(record.weighted);
    }
    curves
}

/// Debug output, in which NaN equals itself and -0 is not 0.
fn assert_same(found: &IndexMap<String, LossCurve>, expected: &IndexMap<String, LossCurve>) {
    assert_eq!(format!("{found:?}"), format!("{expected:?}"));
}

/// A record without its step, and whether it comes in the same step as the one before.
fn any_record() -> impl Strategy<Value = (Record, bool)> {
    let number = || prop_oneof![any::<f64>(), any::<u64>().prop_map(f64::from_bits)];
    let name = prop_oneof!["[ab]", any::<String>()];
    let tags = prop::collection::vec(any::<String>(), 0..3);
    let epoch = prop_oneof![0..3u64, any::<u64>()];
    (name, tags, epoch, (number(), number(), number()), any::<bool>()).prop_map(
        |(name, tags, epoch, (value, weight, weighted), same_step)| {
            let record =
                Record { name: name.into(), tags: tags.into(), epoch, step: 0, value, weight, weighted };
            (record, same_step)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn all_that_is_written_reads_back(
        calls in prop::collection::vec(prop::collection::vec(any_record(), 0..6), 0..6),
        steps in prop::collection::btree_set(prop_oneof![0..50u64, any::<u64>()], 30),
        info in any::<(String, String, String, u64)>(),
    ) {
        let place = Place::new();
        let (experiment, device, dataroot, dataset_length) = info;
        let info = RunInfo { experiment, device, dataroot, dataset_length };
        // Every call begins a new step.
        let mut steps = steps.into_iter();
        let calls: Vec<Vec<Record>> = calls.into_iter().map(|call| {
            let mut step = None;
            call.into_iter().map(|(record, same_step)| {
                step = step.filter(|_| same_step).or_else(|| steps.next());
                Record { step: step.unwrap(), ..record }
            }).collect()
        }).collect();
        for records in &calls {
            // A writer for each, so that the declarations are read, too.
            LossLog::open(&place.log, &info).unwrap().append(records).unwrap();
        }
        LossLog::open(&place.log, &info).unwrap();
        let logged = LoggedRun::read(&place.log).unwrap();
        prop_assert_eq!(logged.run, info);
        assert_same(&logged.losses, &curves(&calls));
        // Each line is an object for itself, for other programs.
        for line in lines(&place.bytes()) {
            prop_assert!(serde_json::from_slice::<serde_json::Map<_, _>>(line).is_ok());
        }
    }
}

/// As Python's `json.dumps` writes them, and with the keys of each object in another order.
#[test]
fn it_is_json_whatever_the_spaces_and_the_order_of_the_keys() {
    fn turned(value: serde_json::Value) -> serde_json::Value {
        match value {
            serde_json::Value::Object(map) => {
                let turned = map.into_iter().rev().map(|(key, value)| (key, turned(value)));
                serde_json::Value::Object(turned.collect())
            }
            other => other,
        }
    }
    let (whole, mut spaced, mut reordered) = (whole(), String::new(), String::new());
    for line in lines(&whole) {
        let value: serde_json::Value = serde_json::from_slice(line).unwrap();
        // A line feed within a string is escaped.
        spaced += &serde_json::to_string_pretty(&value).unwrap().replace('\n', " ");
        spaced += "\r\n";
        reordered += &turned(value).to_string();
        reordered += "\n";
    }
    assert!(
        spaced.starts_with("{   \"tch_losses_log\": 1, ") && reordered.starts_with("{\"dataset_length\":400")
    );
    let expected = curves(&(0..=STEPS).map(computed).collect::<Vec<_>>());
    for text in [&spaced, &reordered] {
        let place = Place::with(text);
        append(&mut LossLog::open(&place.log, &run()).unwrap(), STEPS, STEPS + 1);
        assert!(place.bytes().starts_with(text.as_bytes()));
        let logged = LoggedRun::read(&place.log).unwrap();
        assert_eq!(logged.run, run());
        // A map has no order.
        for (name, curve) in &expected {
            assert_eq!(format!("{:?}", logged.losses[name]), format!("{curve:?}"));
        }
        assert_eq!(logged.losses.len(), expected.len());
    }
    // Cut off within the first line.
    let place = Place::with(&spaced[..25]);
    append(&mut LossLog::open(&place.log, &run()).unwrap(), 0, STEPS);
    assert_eq!(place.bytes(), whole);
}

#[test]
fn the_folder_is_made() {
    let place = Place::new();
    let path = place.folder.path().join("experiments/a/loss_log.jsonl");
    LossLog::open(&path, &run()).unwrap();
    assert_eq!(LoggedRun::read(&path).unwrap(), LoggedRun { run: run(), ..Default::default() });
}

// ---- going on --------------------------------------------------------------------------------------------

#[test]
fn opened_again_it_goes_on_as_if_never_closed() {
    let place = Place::new();
    for step in 0..STEPS {
        append(&mut LossLog::open(&place.log, &run()).unwrap(), step, step + 1);
    }
    assert_eq!(place.bytes(), whole());
}

#[test]
fn resumed_it_becomes_the_log_of_an_uninterrupted_run() {
    let whole = whole();
    for step in 0..STEPS {
        let place = Place::with(&whole);
        let mut log = LossLog::resume(&place.log, &run(), step).unwrap();
        assert!(place.bytes().len() < whole.len() || step == STEPS - 1);
        let kept = LoggedRun::read(&place.log).unwrap();
        assert_same(&kept.losses, &curves(&(0..=step).map(computed).collect::<Vec<_>>()));
        append(&mut log, step + 1, STEPS);
        assert_eq!(place.bytes(), whole, "{step}");
    }
    // One call for all.
    let place = Place::new();
    let records: Vec<Record> = (0..STEPS).flat_map(computed).collect();
    LossLog::open(&place.log, &run()).unwrap().append(&records).unwrap();
    assert_eq!(place.bytes(), whole);
}

/// A damaged line that is cut off is no hindrance.
#[test]
fn what_comes_after_the_cut_need_not_be_right() {
    let whole = whole();
    let kept = lines(&whole)[..7].concat();
    let damaged = [&kept, &b"damage\n"[..]].concat();
    let last = *LoggedRun::read(Place::with(kept).log).unwrap().losses["G_L1"].steps.last().unwrap();
    let place = Place::with(&damaged);
    let mut log = LossLog::resume(&place.log, &run(), last - 1).unwrap();
    append(&mut log, last, STEPS);
    assert_eq!(place.bytes(), whole);
    assert_refused(&damaged, 8, "must be a JSON object");
}

// ---- several runs ----------------------------------------------------------------------------------------

/// The same step, computed another time.
fn again(step: u64) -> Vec<Record> {
    let mut records = computed(step);
    records.iter_mut().for_each(|record| record.value += 1000.0);
    records
}

fn runs(place: &Place) -> Vec<IndexMap<String, LossCurve>> {
    let runs = LoggedRun::read_all(&place.log).unwrap();
    assert_eq!(format!("{:?}", LoggedRun::read(&place.log).unwrap()), format!("{:?}", runs.last().unwrap()));
    runs.into_iter().map(|run| run.losses).collect()
}

fn assert_runs(place: &Place, expected: &[Vec<Vec<Record>>]) {
    let found = runs(place);
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert_same(found, &curves(expected));
    }
}

#[test]
fn a_run_that_begins_anew_is_another_one() {
    let first: Vec<Vec<Record>> = (0..STEPS).map(computed).collect();
    let second: Vec<Vec<Record>> = (0..4).map(again).collect();
    let place = Place::with(whole());
    let mut log = LossLog::open(&place.log, &run()).unwrap();
    second.iter().for_each(|records| log.append(records).unwrap());
    assert_runs(&place, &[first.clone(), second.clone()]);
    drop(log);
    // Opened again, the second one goes on.
    append(&mut LossLog::open(&place.log, &run()).unwrap(), 4, 6);
    let longer: Vec<Vec<Record>> = second.iter().cloned().chain((4..6).map(computed)).collect();
    assert_runs(&place, &[first.clone(), longer.clone()]);
    // A third one, elsewhere, with other losses and a single step.
    let elsewhere = RunInfo { device: "cuda:1".into(), ..run() };
    let third = vec![vec![record("other", &["O"], (0, 0), 1.0, 2.0)]];
    LossLog::open(&place.log, &elsewhere).unwrap().append(&third[0]).unwrap();
    assert_runs(&place, &[first.clone(), longer, third]);
    let described = LoggedRun::read_all(&place.log).unwrap();
    assert_eq!(
        described.iter().map(|run| run.run.device.as_str()).collect::<Vec<_>>(),
        ["cpu", "cpu", "cuda:1"]
    );

    // Without having been opened again: what two writers wrote, one behind the other.
    let place = Place::with(whole());
    let bytes =
        [whole(), lines(&whole()).into_iter().filter(|line| is_step(line)).collect::<Vec<_>>().concat()];
    place.write(bytes.concat());
    assert_runs(&place, &[first.clone(), first]);
}

/// Other losses alone do not make another run: they may be those of a validation, at the step of its epoch.
#[test]
fn a_loss_may_lag_behind_the_others() {
    let place = Place::new();
    let mut log = LossLog::open(&place.log, &run()).unwrap();
    let mut calls = Vec::new();
    for epoch in 0..3 {
        for step in 10 * epoch..10 * (epoch + 1) {
            calls.push(vec![record("train", &[], (epoch, step), step as f64, 1.0)]);
        }
        calls.push(vec![record("val", &[], (epoch, 10 * epoch), 0.5, 1.0)]);
    }
    calls.iter().for_each(|records| log.append(records).unwrap());
    assert_runs(&place, &[calls]);
}

/// A training that was interrupted, and goes on from its checkpoint without `resume`.
#[test]
fn steps_that_are_repeated_after_an_interruption_count_once() {
    for (interrupted, from) in [(STEPS, 4), (STEPS, STEPS - 1), (5, 1)] {
        let place = Place::new();
        append(&mut LossLog::open(&place.log, &run()).unwrap(), 0, interrupted);
        let mut log = LossLog::open(&place.log, &run()).unwrap();
        (from..12).for_each(|step| log.append(&again(step)).unwrap());
        assert_runs(&place, &[(0..from).map(computed).chain((from..12).map(again)).collect()]);
        // Nothing of it was taken from the file.
        let first = lines(&whole())[..interrupted as usize].concat();
        assert!(place.bytes().starts_with(&first));
    }
    // Within a process.
    let place = Place::new();
    let mut log = LossLog::open(&place.log, &run()).unwrap();
    append(&mut log, 0, 8);
    (3..6).for_each(|step| log.append(&again(step)).unwrap());
    assert_runs(&place, &[(0..3).map(computed).chain((3..6).map(again)).collect()]);
    let left_out = (3..8).flat_map(computed).count();
    assert_eq!(LoggedRun::read(&place.log).unwrap().repeated, left_out);
}

/// At the step of the checkpoint there may be a validation that it contains, and that does not come again.
#[test]
fn what_was_computed_where_the_run_goes_on_stays() {
    let train = |step| vec![record("train", &[], (0, step), step as f64, 1.0)];
    let val = |step| vec![record("val", &[], (0, step), step as f64, 1.0)];
    for interrupted in [10, 13] {
        let place = Place::new();
        let mut log = LossLog::open(&place.log, &run()).unwrap();
        // After ten steps, the validation.
        let before = (0..10).map(train).chain([val(10)]);
        before.clone().chain((10..interrupted).map(train)).for_each(|records| log.append(&records).unwrap());
        drop(log);
        let mut log = LossLog::open(&place.log, &run()).unwrap();
        let after = (10..20).map(train).chain([val(20)]);
        after.clone().for_each(|records| log.append(&records).unwrap());
        assert_runs(&place, &[before.chain(after).collect()]);
    }
}

#[test]
fn steps_may_be_counted_within_the_epoch() {
    let at = |epoch, step| vec![record("L", &[], (epoch, step), (10 * epoch + step) as f64, 1.0)];
    let epochs =
        |range: std::ops::Range<u64>| range.flat_map(|epoch| (0..5).map(move |step| at(epoch, step)));
    let place = Place::new();
    let mut log = LossLog::open(&place.log, &run()).unwrap();
    epochs(0..3).for_each(|records| log.append(&records).unwrap());
    log.append(&at(3, 0)).unwrap();
    drop(log);
    // From the checkpoint of the second epoch.
    let mut log = LossLog::open(&place.log, &run()).unwrap();
    epochs(2..4).for_each(|records| log.append(&records).unwrap());
    assert_runs(&place, &[epochs(0..4).collect()]);
    drop(log);
    let mut log = LossLog::open(&place.log, &run()).unwrap();
    epochs(0..1).for_each(|records| log.append(&records).unwrap());
    assert_runs(&place, &[epochs(0..4).collect(), epochs(0..1).collect()]);
}

#[test]
fn resuming_is_about_the_last_run() {
    let place = Place::new();
    append(&mut LossLog::open(&place.log, &run()).unwrap(), 0, STEPS);
    let mut log = LossLog::open(&place.log, &run()).unwrap();
    (0..5).for_each(|step| log.append(&again(step)).unwrap());
    let uninterrupted = place.bytes();
    (5..7).for_each(|step| log.append(&computed(step)).unwrap());
    drop(log);
    let longer = place.bytes();
    for step in 4..6 {
        place.write(&longer);
        let mut log = LossLog::resume(&place.log, &run(), step).unwrap();
        assert!(step != 4 || place.bytes() == uninterrupted);
        append(&mut log, step + 1, 7);
        assert_eq!(place.bytes(), longer);
    }
    // From a part that a later one has replaced: the later one counts.
    append(&mut LossLog::open(&place.log, &run()).unwrap(), 3, 9);
    let second: Vec<Vec<Record>> = (0..3).map(again).chain((3..9).map(computed)).collect();
    let mut log = LossLog::resume(&place.log, &run(), 6).unwrap();
    assert_runs(&place, &[(0..STEPS).map(computed).collect(), second[..7].to_vec()]);
    append(&mut log, 7, 9);
    assert_runs(&place, &[(0..STEPS).map(computed).collect(), second]);
}

/// From a checkpoint before the first step: nothing is left of the last run, and everything of the one before.
#[test]
fn resuming_before_the_first_step_leaves_the_other_runs() {
    let place = Place::new();
    append(&mut LossLog::open(&place.log, &run()).unwrap(), 1, STEPS);
    let first = place.bytes();
    append(&mut LossLog::open(&place.log, &run()).unwrap(), 1, 5);
    let mut log = LossLog::resume(&place.log, &run(), 0).unwrap();
    assert_eq!(place.bytes(), first);
    append(&mut log, 1, 3);
    assert_runs(&place, &[(1..STEPS).map(computed).collect(), (1..3).map(computed).collect()]);
}

/// Where the damage is not in the part that is cut off, nothing is.
#[test]
fn damage_before_the_last_run_is_an_error() {
    let whole = whole();
    let damaged = [&lines(&whole)[..7].concat(), &b"damage\n"[..], &lines(&whole)[1..].concat()].concat();
    let place = Place::with(&damaged);
    assert_damage(LossLog::resume(&place.log, &run(), 1), &place, 8, "a line must be");
    assert_eq!(place.bytes(), damaged);
}

#[test]
fn cut_anywhere_it_is_mended() {
    let whole = whole();
    let place = Place::new();
    for length in 0..=whole.len() {
        place.write(&whole[..length]);
        // The steps that are there in full.
        let found = lines(&whole[..length]).into_iter().filter(|line| is_step(line)).count();
        let (mut count, mut step) = (0, 0);
        while count < found {
            count += 1 + usize::from(step % 3 == 2);
            step += 1;
        }
        let read = LoggedRun::read(&place.log);
        if length < lines(&whole)[0].len() {
            assert_damage(read, &place, 1, "not finished");
        } else if count == found {
            assert_same(&read.unwrap().losses, &curves(&(0..step).map(computed).collect::<Vec<_>>()));
        } else {
            // Within a step of two lines.
            step -= 1;
            assert_eq!(read.unwrap().losses["G_L1"].steps.last(), Some(&step));
        }
        let mut log = match step {
            0 => LossLog::open(&place.log, &run()).unwrap(),
            _ => LossLog::resume(&place.log, &run(), step - 1).unwrap(),
        };
        assert!(place.bytes().ends_with(b"\n"), "{length}");
        append(&mut log, step, STEPS);
        assert_eq!(place.bytes(), whole, "{length}");
    }
}

/// Without `resume`, nothing goes but the part of a line, and declarations at the end that are written again.
#[test]
fn opening_keeps_every_whole_record() {
    let (whole, place) = (whole(), Place::new());
    for length in 0..whole.len() {
        place.write(&whole[..length]);
        drop(LossLog::open(&place.log, &run()).unwrap());
        let mut kept = lines(&whole[..length]);
        while kept.len() > 1 && !kept.last().is_some_and(|line| is_step(line)) {
            kept.pop();
        }
        let header = lines(&whole)[0];
        let expected = if length < header.len() { header.to_vec() } else { kept.concat() };
        assert_eq!(place.bytes(), expected, "{length}");
    }
}

#[test]
fn another_description_is_noted() {
    let place = Place::new();
    append(&mut LossLog::open(&place.log, &run()).unwrap(), 0, 2);
    let elsewhere = RunInfo { device: "cuda:1".into(), ..run() };
    append(&mut LossLog::open(&place.log, &elsewhere).unwrap(), 2, 3);
    let bytes = place.bytes();
    append(&mut LossLog::open(&place.log, &elsewhere).unwrap(), 3, 4);
    assert!(place.bytes().starts_with(&bytes));
    assert_eq!(String::from_utf8(place.bytes()).unwrap().matches("tch_losses_log").count(), 2);
    let logged = LoggedRun::read(&place.log).unwrap();
    assert_eq!(logged.run, elsewhere);
    assert_eq!(logged.losses["late"].steps, [3]);
    // Cut off, and with it the note.
    append(&mut LossLog::resume(&place.log, &run(), 1).unwrap(), 2, STEPS);
    assert_eq!(place.bytes(), whole());
}

#[test]
fn another_experiment_is_an_error() {
    let place = Place::with(whole());
    let other = RunInfo { experiment: "edges".into(), ..run() };
    assert_damage(LossLog::open(&place.log, &other), &place, 1, "not \"edges\"");
    assert_damage(LossLog::resume(&place.log, &other, 0), &place, 1, "not \"edges\"");
    assert_eq!(place.bytes(), whole());
}

// ---- what is no log --------------------------------------------------------------------------------------

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

// ---- other processes -------------------------------------------------------------------------------------

const CHILD: &str = "LOG_TEST_CHILD";

/// This test program once more, to run nothing but `child_process`, perhaps started by `shell`.
fn child(shell: Option<&str>, what: &str, place: &Place, step: u64) -> Command {
    let program = std::env::current_exe().unwrap();
    let mut command = match shell {
        None => Command::new(program),
        Some(script) => {
            let mut command = Command::new("sh");
            command.args(["-c", &format!("{script}; exec \"$0\" \"$@\"")]).arg(program);
            command
        }
    };
    command.args(["log::child_process", "--exact", "--nocapture", "--test-threads=1"]).stdin(Stdio::null());
    command.env(CHILD, what).env("LOG", &place.log).env("STEP", step.to_string());
    command
}

/// Steps in each call, so many that a kill may come in the middle of a write.
const MANY: u64 = 50;

fn computed_many(start: u64) -> Vec<Record> {
    (start..start + MANY).flat_map(computed).collect()
}

fn new_loss(step: u64) -> Record {
    record("new", &["G"], (0, step), 0.5, 1.0)
}

/// Not a test of its own: what the processes that other tests start do.
#[test]
fn child_process() {
    let Some(what) = std::env::var_os(CHILD) else { return };
    let path = PathBuf::from(std::env::var_os("LOG").unwrap());
    let mut step: u64 = std::env::var("STEP").unwrap().parse().unwrap();
    match what.to_str().unwrap() {
        "open" => match LossLog::open(&path, &run()) {
            Ok(_) => println!("\nopened"),
            Err(error) => println!("\n{error}"),
        },
        "append" => {
            let mut log = match step {
                0 => LossLog::open(&path, &run()).unwrap(),
                _ => LossLog::resume(&path, &run(), step - 1).unwrap(),
            };
            loop {
                log.append(&computed_many(step)).unwrap();
                step += MANY;
                println!("\nappended {step}");
            }
        }
        "fill" => {
            let mut log = LossLog::open(&path, &run()).unwrap();
            while log.append(&computed_many(step)).is_ok() {
                step += MANY;
            }
            let bytes = fs::read(&path).unwrap();
            for _ in 0..3 {
                let error = log.append(&computed_many(step)).unwrap_err();
                assert!(matches!(&error, Error::Write { path: given, .. } if *given == path), "{error}");
                assert_eq!(fs::read(&path).unwrap(), bytes);
            }
            // What was not written was not declared.
            let news: Vec<Record> = (0..1000).map(|_| new_loss(step)).collect();
            log.append(&news).unwrap_err();
            log.append(&news[..1]).unwrap();
            // What still fits is taken.
            let mut fitting = step;
            while log.append(&computed(fitting)).is_ok() {
                fitting += 1;
            }
            assert!(fitting > step);
            println!("\nfull {step}\nfilled {fitting}");
        }
        other => panic!("{other}"),
    }
}

fn output(mut command: Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{text}");
    text
}

/// The number at the end of the last line that begins with `word`.
fn last_number(text: &str, word: &str) -> Option<u64> {
    let line = text.lines().rev().find_map(|line| line.strip_prefix(word))?;
    Some(line.trim().parse().unwrap())
}

#[test]
fn only_one_writes_at_a_time() {
    let place = Place::new();
    let mut log = LossLog::open(&place.log, &run()).unwrap();
    append(&mut log, 0, 2);
    let bytes = place.bytes();
    let error = LossLog::resume(&place.log, &run(), 0).unwrap_err();
    assert!(matches!(&error, Error::Log(LogError::Locked { path }) if *path == place.log), "{error}");
    let said = output(child(None, "open", &place, 0));
    assert!(said.contains("is in use") && !said.contains("opened"), "{said}");
    assert_eq!(place.bytes(), bytes);
    // Reading needs no lock.
    assert_eq!(LoggedRun::read(&place.log).unwrap().losses["G_L1"].steps, [0, 1]);
    append(&mut log, 2, STEPS);
    assert_eq!(place.bytes(), whole());
    drop(log);
    assert!(output(child(None, "open", &place, 0)).contains("opened"));
}

#[test]
fn a_killed_process_loses_nothing_that_was_written() {
    let place = Place::new();
    let mut step = 0;
    let mut random = 12345u64;
    for round in 0..10 {
        let mut child = child(None, "append", &place, step).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let mut said = String::new();
        while said.matches("appended").count() < 1 + (random >> 33) as usize % 10 {
            assert!(stdout.read_line(&mut said).unwrap() > 0, "{said}");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it had said by then.
        stdout.read_to_string(&mut said).unwrap();
        // The kill may have cut that line, too.
        let complete = said.rfind('\n').map_or("", |end| &said[..end]);
        let promised = last_number(complete, "appended").unwrap();
        assert!(promised > step);

        let logged = LoggedRun::read(&place.log).unwrap();
        let steps = &logged.losses["G_L1"].steps;
        assert!(*steps.last().unwrap() >= promised - 1, "round {round}: {:?}", steps.last());
        // The reader and the writer agree about what is there.
        let before = place.bytes();
        drop(LossLog::open(&place.log, &run()).unwrap());
        assert!(before.starts_with(&place.bytes()));
        assert_eq!(LoggedRun::read(&place.log).unwrap().losses["G_L1"].steps, *steps);
        // The checkpoint may be older than the log.
        step = promised - if round % 2 == 0 { 0 } else { MANY };
    }
    let uninterrupted = Place::new();
    let mut log = LossLog::open(&uninterrupted.log, &run()).unwrap();
    append(&mut log, 0, step);
    drop(LossLog::resume(&place.log, &run(), step - 1).unwrap());
    assert!(place.bytes() == uninterrupted.bytes());
}

/// A limit on the size of files is what a full disk is: a write takes a part, and the next one nothing.
#[test]
#[cfg(unix)]
fn on_a_full_disk_nothing_is_lost_and_nothing_comes_twice() {
    let place = Place::new();
    let said = output(child(Some("trap '' XFSZ; ulimit -f 100"), "fill", &place, 0));
    let (full, step) = (last_number(&said, "full").unwrap(), last_number(&said, "filled").unwrap());
    let bytes = place.bytes();
    assert!(bytes.ends_with(b"}\n") && full > 0);
    // There is room again.
    let mut log = LossLog::open(&place.log, &run()).unwrap();
    assert_eq!(place.bytes(), bytes);
    append(&mut log, step, step + 5);
    let expected = Place::new();
    let mut log = LossLog::open(&expected.log, &run()).unwrap();
    append(&mut log, 0, full);
    log.append(&[new_loss(full)]).unwrap();
    append(&mut log, full, step + 5);
    assert!(place.bytes() == expected.bytes());
}

// ---- the export ------------------------------------------------------------------------------------------

#[test]
fn the_export_has_the_layout_of_the_reference() {
    let place = Place::with(whole());
    let json = place.folder.path().join("new/loss_log.json");
    let mut logged = LoggedRun::read(&place.log).unwrap();
    logged.losses["G_L1"].weights[0] = f64::NEG_INFINITY;
    logged.export(&json).unwrap();
    let text = fs::read_to_string(&json).unwrap();
    // Not JSON, but Python's.
    assert!(
        text.contains(", -Infinity") && text.contains("[-Infinity, ") && text.contains("NaN, "),
        "{text}"
    );
    assert!(serde_json::from_str::<serde_json::Value>(&text).is_err());

    for curve in logged.losses.values_mut() {
        for column in [&mut curve.weighted, &mut curve.weights] {
            column.iter_mut().filter(|number| !number.is_finite()).for_each(|number| *number = -0.1);
        }
    }
    logged.export(&json).unwrap();
    let text = fs::read_to_string(&json).unwrap();
    let given: serde_json::Value = serde_json::from_str(&text).unwrap();
    let losses: serde_json::Map<_, _> = logged
        .losses
        .iter()
        .map(|(name, curve)| {
            (name.clone(), serde_json::json!({"loss": curve.weighted, "weights": curve.weights}))
        })
        .collect();
    let expected = serde_json::json!({"LOSSMANAGER_LOG": {
        "device": "cpu",
        "dataroot": r"C:\maps",
        "dataset_length": 400,
        "experiment": run().experiment,
        "loss_functions": losses,
    }});
    // As text, which has the order of the keys.
    assert_eq!(given.to_string(), expected.to_string());
    assert_eq!(logged.losses["G_L1"].weighted[0], 50.0);

    let empty = LoggedRun { run: run(), ..Default::default() };
    empty.export(&json).unwrap();
    let given: serde_json::Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    assert_eq!(given["LOSSMANAGER_LOG"]["loss_functions"], serde_json::json!({}));
}

#[test]
fn the_export_appears_whole_or_not_at_all() {
    let place = Place::with(whole());
    let logged = LoggedRun::read(&place.log).unwrap();
    // A folder in its place.
    let taken = place.folder.path().join("taken");
    fs::create_dir(&taken).unwrap();
    fs::write(taken.join("file"), "").unwrap();
    let error = logged.export(&taken).unwrap_err();
    assert!(matches!(&error, Error::Write { path, .. } if *path == taken), "{error}");
    let mut names = place.names();
    names.sort();
    assert_eq!(names, ["loss_log.jsonl", "taken"]);

    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let (usual, json) = (place.folder.path().join("usual"), place.folder.path().join("loss_log.json"));
        File::create(&usual).unwrap();
        logged.export(&json).unwrap();
        assert_eq!(mode(&json), mode(&usual));
        LossLog::open(place.folder.path().join("log"), &run()).unwrap();
        assert_eq!(mode(&place.folder.path().join("log")), mode(&usual));
    }
}
