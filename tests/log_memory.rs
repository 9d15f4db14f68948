//! That a flush costs the same however much is in the log, in memory and in bytes read and written. A test
//! binary of its own: it counts every allocation.

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tch_losses::manager::log::{LossLog, RunInfo};
use tch_losses::manager::{LogSink, Record};

struct Counting;

static USED: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: passes on to the system's allocator, which keeps the promises.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        PEAK.fetch_max(USED.fetch_add(layout.size(), Relaxed) + layout.size(), Relaxed);
        System.alloc(layout)
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        USED.fetch_sub(layout.size(), Relaxed);
        System.dealloc(memory, layout);
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

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
    let base = USED.load(Relaxed);
    PEAK.store(base, Relaxed);
    #[cfg(target_os = "linux")]
    let [read, written, calls] = traffic(|| log.append(&records).unwrap());
    #[cfg(not(target_os = "linux"))]
    log.append(&records).unwrap();
    let cost = (length(path) - before, PEAK.load(Relaxed) - base);
    #[cfg(target_os = "linux")]
    assert_eq!((read, written, calls), (0, cost.0, 1), "flush {flushes}");
    cost
}

/// One test, for they would count each other's allocations.
#[test]
fn a_flush_costs_the_same_however_long_the_log_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("loss_log.jsonl");
    let mut log = LossLog::open(&path, &RunInfo::default()).unwrap();
    // The losses get to be known, and the buffer its size.
    cost(&mut log, &path, 0);
    let (first, used) = (cost(&mut log, &path, 1), USED.load(Relaxed));
    for flushes in 2..200 {
        assert_eq!(cost(&mut log, &path, flushes), first, "flush {flushes}");
        assert_eq!(USED.load(Relaxed), used, "flush {flushes}");
    }
    drop(log);

    // Neither does opening need more memory for a longer log.
    assert!(length(&path) > 10_000_000, "{}", length(&path));
    let base = USED.load(Relaxed);
    PEAK.store(base, Relaxed);
    let mut log = LossLog::open(&path, &RunInfo::default()).unwrap();
    let peak = PEAK.load(Relaxed) - base;
    assert!(peak < 100_000, "{peak}");
    assert_eq!(cost(&mut log, &path, 200).0, first.0);
}
