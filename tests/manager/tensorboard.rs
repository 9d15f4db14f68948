//! Event files for TensorBoard. That their bytes are PyTorch's is tested beside the writer.
#![cfg(feature = "tensorboard")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tch_losses::manager::log::{LossLog, RunInfo, TensorBoardLog};
use tch_losses::manager::{LogSink, Record};
use tch_losses::Error;

fn records(step: u64) -> Vec<Record> {
    let names: &[&str] =
        if step < 3 { &["G_L1", "D/größe 🎨"] } else { &["G_L1", "D/größe 🎨", "late"] };
    let record = |name: &&str| {
        let value = if step == 5 { f64::NAN } else { 1.0 / (step + name.len() as u64) as f64 };
        let weight = 100.0 - step as f64;
        Record {
            name: (**name).into(),
            tags: [].into(),
            epoch: 0,
            step,
            value,
            weight,
            weighted: value * weight,
        }
    };
    names.iter().map(record).collect()
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// How many frames there are, by their lengths.
fn frames(mut bytes: &[u8]) -> usize {
    let mut count = 0;
    while let Some((length, rest)) = bytes.split_first_chunk() {
        bytes = &rest[u64::from_le_bytes(*length) as usize + 8..];
        count += 1;
    }
    assert!(bytes.is_empty());
    count
}

#[test]
fn each_writer_makes_a_file_that_comes_after_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("runs/a");
    let mut log = TensorBoardLog::create(&directory).unwrap();
    log.append(&records(0)).unwrap();
    log.append(&[]).unwrap();
    log.append(&records(3)).unwrap();
    let [first] = &files(&directory)[..] else { panic!() };
    assert_eq!(frames(&fs::read(first).unwrap()), 1 + 3 * (2 + 3));
    let bytes = fs::read(first).unwrap();

    // Made by a machine whose clock is fast.
    let future = directory.join("events.out.tfevents.9000000000.host.1.0");
    fs::write(&future, "").unwrap();
    let mut others = [(); 2].map(|()| TensorBoardLog::resume(&directory, 2).unwrap());
    let [one, two, three, four] = &files(&directory)[..] else { panic!() };
    assert_eq!((one, two), (first, &future));
    for (other, path) in others.iter_mut().zip([three, four]) {
        assert_eq!(frames(&fs::read(path).unwrap()), 2);
        other.append(&records(3)).unwrap();
        assert_eq!(frames(&fs::read(path).unwrap()), 2 + 3 * 3);
    }
    assert_eq!(fs::read(first).unwrap(), bytes);
}

#[test]
fn a_folder_that_cannot_be_made_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = TensorBoardLog::create(&file).unwrap_err();
    assert!(matches!(&error, Error::Write { path, .. } if path.starts_with(&file)), "{error}");
}

/// A run that was killed at step 6, after its checkpoint of step 3, and went on from there.
#[test]
#[ignore = "installs TensorBoard"]
fn tensorboard_reads_it_back() {
    let folder = tempfile::tempdir().unwrap();
    let (directory, path) = (folder.path().join("events"), folder.path().join("loss_log.jsonl"));
    let run = RunInfo::default();
    let mut sinks: [Box<dyn LogSink>; 2] = [
        Box::new(TensorBoardLog::create(&directory).unwrap()),
        Box::new(LossLog::open(&path, &run).unwrap()),
    ];
    let append = |sinks: &mut [Box<dyn LogSink>; 2], steps: std::ops::Range<u64>| {
        for step in steps {
            for sink in &mut *sinks {
                sink.append(&records(step)).unwrap();
            }
        }
    };
    append(&mut sinks, 0..7);
    drop(sinks);
    let [killed] = &files(&directory)[..] else { panic!() };
    let bytes = fs::read(killed).unwrap();
    fs::write(killed, &bytes[..bytes.len() - 5]).unwrap();
    let mut sinks: [Box<dyn LogSink>; 2] = [
        Box::new(TensorBoardLog::resume(&directory, 3).unwrap()),
        Box::new(LossLog::resume(&path, &run, 3).unwrap()),
    ];
    append(&mut sinks, 4..20);

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/check_tensorboard.py");
    let output = Command::new("python3").arg(script).args([&directory, &path]).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}{stderr}");
    assert!(stdout.contains(r#""weighted/late": 17"#), "{stdout}");
}
