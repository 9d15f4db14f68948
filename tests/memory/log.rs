//! That a flush costs the same however much is in the log, in memory and in bytes read and written. It counts every
//! allocation that Rust code asks for, which does not depend on the allocator, and all that the process reads and writes.

use std::fs;
use std::path::Path;

use tch_losses::manager::log::{LossLog, RunInfo};
use tch_losses::manager::{LogSink, Record};

use crate::allocations::{in_use, peak};

/// What of the process's traffic with files `run` makes: bytes read, bytes written, calls to write.
#[cfg(target_os = "linux")]
fn traffic(run: impl FnOnce()) -> [u64; 3] {
    let now = || {
        let text = fs::read_to_string("/proc/self/io").unwrap();
        let counter = |name: &str| -> u64 {
            text.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().parse().unwrap()
        };
        ([counter("rchar:"), counter("wchar:"), counter("syscw:")], text.len() as u64)
    };
    let (before, own) = now();
    run();
    let (after, _) = now();
    // The first look at the counters counts in the second.
    [after[0] - before[0] - own, after[1] - before[1], after[2] - before[2]]
}

const RECORDS: u64 = 1000;

/// `RECORDS` of four losses, in numbers of always the same length.
fn flush(flushes: u64) -> Vec<Record> {
    let names = ["G_GAN", "G_L1", "D_real", "D_fake"];
    let records = (0..RECORDS).map(|index| Record {
        name: names[index as usize % names.len()].into(),
        tags: ["G".to_owned()].into(),
        epoch: 10,
        step: 1_000_000 + flushes * RECORDS / names.len() as u64 + index / names.len() as u64,
        value: 0.5,
        weight: 100.0,
        weighted: 50.0,
    });
    records.collect()
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).unwrap().len()
}

/// How much longer the log gets, and how much memory that takes at the most.
fn cost(log: &mut LossLog, path: &Path, flushes: u64) -> (u64, usize) {
    let records = flush(flushes);
    let before = length(path);
    let append = || log.append(&records).unwrap();
    #[cfg(target_os = "linux")]
    let (moved, memory) = peak(|| traffic(append));
    #[cfg(not(target_os = "linux"))]
    let ((), memory) = peak(append);
    let written = length(path) - before;
    #[cfg(target_os = "linux")]
    assert_eq!(moved, [0, written, 1], "flush {flushes}");
    (written, memory)
}

pub fn a_flush_costs_the_same_however_long_the_log_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("loss_log.jsonl");
    let mut log = LossLog::open(&path, &RunInfo::default()).unwrap();
    // The losses get to be known, and the buffer its size.
    cost(&mut log, &path, 0);
    let (first, used) = (cost(&mut log, &path, 1), in_use());
    for flushes in 2..200 {
        assert_eq!(cost(&mut log, &path, flushes), first, "flush {flushes}");
        assert_eq!(in_use(), used, "flush {flushes}");
    }
    drop(log);

    // Neither does opening need more memory for a longer log.
    // 200 flushes, and `"G_L1":{"value":0.5,"weight":100.0,"weighted":50.0},` has more than 50 bytes.
    assert!(length(&path) > 200 * RECORDS * 50, "{}", length(&path));
    let (mut log, peak) = peak(|| LossLog::open(&path, &RunInfo::default()).unwrap());
    // The reader's buffer of 64 KiB, and half as much for a line of 300 bytes, as text and as data, and for the names. The
    // records would take more than a hundred times as much.
    assert!(peak < 3 << 15, "{peak}");
    assert_eq!(cost(&mut log, &path, 200).0, first.0);
}
