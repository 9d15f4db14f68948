//! What is remembered and where it goes: buffers, sinks, sinks that fail, values that are not finite.

use std::process::Command;
use std::sync::{Arc, Mutex};

use tch::Tensor;
use tch_losses::manager::{LogSink, LossManager, ManagerError, NonFinite, Record, Term};
use tch_losses::{Error, Result};

/// A sink that keeps everything, and fails when told to.
#[derive(Debug, Clone, Default)]
struct Memory(Arc<Mutex<Shared>>);

#[derive(Debug, Default)]
struct Shared {
    records: Vec<Record>,
    appends: usize,
    broken: bool,
}

impl Memory {
    fn break_down(&self, broken: bool) {
        self.0.lock().unwrap().broken = broken;
    }

    fn steps(&self) -> Vec<u64> {
        self.0.lock().unwrap().records.iter().map(|record| record.step).collect()
    }

    fn appends(&self) -> usize {
        self.0.lock().unwrap().appends
    }
}

impl LogSink for Memory {
    fn append(&mut self, records: &[Record]) -> Result<()> {
        let mut shared = self.0.lock().unwrap();
        if shared.broken {
            return Err(Error::Write {
                path: "memory".into(),
                reason: std::io::ErrorKind::StorageFull.into(),
            });
        }
        shared.appends += 1;
        shared.records.extend_from_slice(records);
        Ok(())
    }
}

fn manager() -> LossManager {
    let mut manager = LossManager::new();
    manager.register("X", Term::value().weight(2.0)).unwrap();
    manager
}

fn step(manager: &mut LossManager, step: u64) -> Result<()> {
    manager.begin_step(step / 10, step);
    manager.compute("X", Tensor::from(step as f64)).map(drop)
}

#[test]
fn a_flush_writes_what_is_not_written_yet() {
    let (mut manager, sink) = (manager(), Memory::default());
    step(&mut manager, 0).unwrap(); // before there is a log
    manager.log_to(sink.clone());
    step(&mut manager, 1).unwrap();
    step(&mut manager, 2).unwrap();
    assert!(sink.steps().is_empty());
    manager.flush().unwrap();
    assert_eq!(sink.steps(), [1, 2]);
    manager.flush().unwrap();
    step(&mut manager, 3).unwrap();
    manager.flush().unwrap();
    assert_eq!(sink.steps(), [1, 2, 3]);
    assert_eq!(sink.appends(), 2);
    let record = manager.history("X").unwrap()[2].clone();
    assert_eq!((&*record.name, record.value, record.weight, record.weighted), ("X", 2.0, 2.0, 4.0));
    assert_eq!(manager.history("X").unwrap().len(), 4);
}

#[test]
fn the_manager_writes_the_rest_when_it_goes() {
    let (mut manager, sink) = (manager(), Memory::default());
    manager.log_to(sink.clone());
    step(&mut manager, 1).unwrap();
    drop(manager);
    assert_eq!(sink.steps(), [1]);
}

#[test]
fn a_full_buffer_is_written() {
    let (mut manager, sink) = (manager(), Memory::default());
    manager.set_buffer(8);
    manager.log_to(sink.clone());
    for number in 0..20 {
        step(&mut manager, number).unwrap();
    }
    assert_eq!((sink.steps(), sink.appends()), ((0..16).collect(), 2));
    let remembered: Vec<u64> = manager.history("X").unwrap().iter().map(|record| record.step).collect();
    assert_eq!(remembered, (12..20).collect::<Vec<_>>());
    manager.flush().unwrap();
    assert_eq!(sink.steps(), (0..20).collect::<Vec<_>>());
}

/// However often the values are read: it is how far the log is behind that counts.
#[test]
fn reading_does_not_write() {
    let (mut manager, sink) = (manager(), Memory::default());
    manager.set_buffer(4);
    manager.log_to(sink.clone());
    for number in 0..14 {
        step(&mut manager, number).unwrap();
        assert_eq!(manager.last_total(&[]).unwrap(), 2.0 * number as f64);
    }
    assert_eq!((sink.steps(), sink.appends()), ((0..12).collect(), 3));
}

#[test]
fn no_log_is_more_than_a_buffer_behind() {
    let (mut manager, sink, other) = (manager(), Memory::default(), Memory::default());
    manager.set_buffer(4);
    manager.log_to(sink.clone());
    step(&mut manager, 0).unwrap();
    step(&mut manager, 1).unwrap();
    manager.log_to(other.clone());
    step(&mut manager, 2).unwrap();
    assert!(sink.steps().is_empty());
    step(&mut manager, 3).unwrap();
    assert_eq!((sink.steps(), other.steps()), (vec![0, 1, 2, 3], vec![2, 3]));
}

#[test]
fn without_a_log_the_latest_are_remembered() {
    let mut manager = manager();
    manager.set_buffer(3);
    for number in 0..10 {
        step(&mut manager, number).unwrap();
    }
    let remembered: Vec<u64> = manager.history("X").unwrap().iter().map(|record| record.step).collect();
    assert_eq!(remembered, [7, 8, 9]);
    manager.set_buffer(0); // at least one
    assert_eq!(manager.history("X").unwrap().len(), 1);
    assert_eq!(manager.last_total(&[]).unwrap(), 18.0);
}

/// More than are ever pending, so that they come in several transfers, in order.
#[test]
fn thousands_come_in_order() {
    let (mut manager, sink) = (manager(), Memory::default());
    manager.log_to(sink.clone());
    for number in 0..3500 {
        step(&mut manager, number).unwrap();
    }
    assert_eq!(manager.history("X").unwrap().len(), 3500);
    manager.flush().unwrap();
    let shared = sink.0.lock().unwrap();
    assert!(shared
        .records
        .iter()
        .enumerate()
        .all(|(index, r)| r.step == index as u64 && r.value == index as f64));
    assert_eq!((shared.records.len(), shared.appends), (3500, 1));
}

/// A sink that fails loses nothing and gets nothing twice, and the other one does not wait for it.
#[test]
fn a_sink_that_fails_gets_everything_later() {
    let (mut manager, sink, other) = (manager(), Memory::default(), Memory::default());
    manager.set_buffer(4);
    manager.log_to(sink.clone());
    manager.log_to(other.clone());
    step(&mut manager, 0).unwrap();
    manager.flush().unwrap();
    sink.break_down(true);
    let mut failures = 0;
    for number in 1..12 {
        failures += usize::from(step(&mut manager, number).is_err());
    }
    assert!(failures > 0);
    let error = manager.flush().unwrap_err();
    assert!(matches!(error, Error::Write { .. }), "{error}");
    assert_eq!(sink.steps(), [0]);
    assert_eq!(other.steps(), (0..12).collect::<Vec<_>>());
    // The history is no longer for that.
    assert_eq!(manager.history("X").map_or(4, |records| records.len()), 4);
    sink.break_down(false);
    manager.flush().unwrap();
    assert_eq!(sink.steps(), (0..12).collect::<Vec<_>>());
    assert_eq!(other.steps(), (0..12).collect::<Vec<_>>());
}

#[test]
fn what_is_not_finite_is_reported_once_and_recorded() {
    let (mut manager, sink) = (manager(), Memory::default());
    manager.log_to(sink.clone());
    for (number, loss) in [(5, 1.0), (6, f64::NAN), (7, 1.0), (8, f64::INFINITY)] {
        manager.begin_step(2, number);
        let _ = manager.compute("X", Tensor::from(loss)).unwrap();
    }
    let error = manager.flush().unwrap_err();
    assert_eq!(error.to_string(), "the loss `X` is NaN in step 6 (epoch 2, weight 2)");
    assert_eq!(sink.steps(), [5, 6, 7, 8]);
    manager.flush().unwrap();
    let values: Vec<f64> = manager.history("X").unwrap().iter().map(|record| record.value).collect();
    assert!(values[1].is_nan() && values[3] == f64::INFINITY);
}

/// Where a log fails as well, the loss comes first: the log is met again.
#[test]
fn what_is_not_finite_is_reported_before_a_log_that_fails() {
    let (mut manager, sink) = (manager(), Memory::default());
    manager.set_buffer(1);
    manager.log_to(sink.clone());
    sink.break_down(true);
    let error = manager.compute("X", Tensor::from(f64::NAN)).unwrap_err();
    assert!(matches!(error, Error::Manager(ManagerError::NotFinite { .. })), "{error}");
    let error = manager.flush().unwrap_err();
    assert!(matches!(error, Error::Write { .. }), "{error}");
    sink.break_down(false);
    manager.flush().unwrap();
    assert_eq!(sink.steps(), [0]);
}

/// The loss is finite, what the training saw is not.
#[test]
fn the_weighted_value_counts() {
    let mut manager = LossManager::new();
    manager.register("X", Term::value().weight(1e30)).unwrap();
    let _ = manager.compute("X", Tensor::from(1e30f32)).unwrap();
    let error = manager.last_total(&[]).unwrap_err();
    assert!(
        matches!(error, Error::Manager(ManagerError::NotFinite { value, .. }) if value.is_finite()),
        "{error}"
    );
}

/// 1000 fits into half precision, 100 times as much does not, and that is what the training saw.
#[test]
fn half_precision_overflows_as_in_the_training() {
    let mut manager = LossManager::new();
    manager.register("X", Term::value().weight(100.0)).unwrap();
    let loss = Tensor::from(1000f32).to_kind(tch::Kind::Half);
    let weighted = manager.compute("X", loss).unwrap();
    assert_eq!(weighted.double_value(&[]), f64::INFINITY);
    let error = manager.flush().unwrap_err();
    assert!(matches!(error, Error::Manager(ManagerError::NotFinite { value: 1000.0, .. })), "{error}");
    assert_eq!(manager.last_total(&[]).unwrap(), f64::INFINITY);
}

#[test]
fn it_may_be_ignored() {
    let mut manager = manager();
    manager.set_non_finite(NonFinite::Ignore);
    let _ = manager.compute("X", Tensor::from(f64::NAN)).unwrap();
    manager.flush().unwrap();
    assert!(manager.last_total(&[]).unwrap().is_nan());
}

/// Found in `compute` at the latest when that fetches the values.
#[test]
fn it_does_not_stay_unnoticed() {
    let mut manager = manager();
    let found = (0..2000).find_map(|number| {
        manager.begin_step(0, number);
        let loss = if number == 3 { f64::NAN } else { 1.0 };
        manager.compute("X", Tensor::from(loss)).err()
    });
    assert!(matches!(found, Some(Error::Manager(ManagerError::NotFinite { step: 3, .. }))), "{found:?}");
}

const CHILD: &str = "TCH_LOSSES_TEST_WARN";

#[test]
fn it_may_be_a_warning_on_stderr() {
    if std::env::var_os(CHILD).is_some() {
        let mut manager = manager();
        manager.register("Y", Term::value()).unwrap();
        manager.set_non_finite(NonFinite::Warn);
        for number in 0..5 {
            manager.begin_step(1, number);
            let loss = if number < 2 { 1.0 } else { f64::NEG_INFINITY };
            let _ = manager.compute("X", Tensor::from(loss)).unwrap();
            let _ = manager.compute("Y", Tensor::from(1.0)).unwrap();
        }
        manager.flush().unwrap();
        manager.flush().unwrap();
        return;
    }
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "history::it_may_be_a_warning_on_stderr", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    assert!(child.status.success());
    let stderr = String::from_utf8(child.stderr).unwrap();
    let warnings: Vec<&str> = stderr.lines().filter(|line| line.starts_with("warning:")).collect();
    assert_eq!(warnings, ["warning: the loss `X` is -inf in step 2 (epoch 1)"]);
}

/// A parameter that is a loss, or a running sum: what counts is its value at that step.
#[test]
fn what_is_changed_in_place_later_stays_as_it_was() {
    let mut manager = manager();
    let mut sum = Tensor::from(0.0);
    for number in 0..3 {
        sum += 1.0;
        manager.begin_step(0, number);
        let _ = manager.compute("X", sum.shallow_clone()).unwrap();
    }
    let values: Vec<f64> = manager.history("X").unwrap().iter().map(|record| record.value).collect();
    assert_eq!(values, [1.0, 2.0, 3.0]);
}

/// Values of several kinds are fetched together.
#[test]
fn kinds_may_be_mixed() {
    let mut manager = LossManager::new();
    manager.register("X", Term::value().weight(0.1)).unwrap();
    let mut seen = Vec::new();
    for (number, value) in [
        Tensor::from(0.5f64),
        Tensor::from(1.5f32),
        Tensor::from(2.5f64),
        Tensor::from(3.5f32).to_kind(tch::Kind::BFloat16),
        Tensor::from_slice(&[4.0f32, 5.0]),
    ]
    .into_iter()
    .enumerate()
    {
        manager.begin_step(0, number as u64);
        let weighted = manager.compute("X", value).unwrap();
        seen.push(weighted.mean(tch::Kind::Double).double_value(&[]));
    }
    let records = manager.history("X").unwrap();
    let values: Vec<f64> = records.iter().map(|record| record.value).collect();
    assert_eq!(values, [0.5, 1.5, 2.5, 3.5, 4.5]);
    // Each rounded in its own kind, as in the training.
    let weighted: Vec<f64> = records.iter().map(|record| record.weighted).collect();
    assert_eq!(weighted[..4], seen[..4]);
}
