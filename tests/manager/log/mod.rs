//! The loss log: what is in the file, and what becomes of it when something goes wrong.

mod damage;
mod export;
mod processes;
mod runs;

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

// ---- the export ------------------------------------------------------------------------------------------
