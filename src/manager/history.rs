//! What a manager remembers: values that are still on their device, and records.

use std::collections::VecDeque;
use std::sync::Arc;

use tch::{no_grad, Device, Kind, Tensor};

use super::{LogSink, ManagerError, Record};
use crate::base::precision::accumulation_kind;
use crate::{printable, Result};

/// What happens when a loss is found to be NaN or infinite, which is when the values are fetched from their
/// device.
///
/// The record stays in the history and goes to the logs in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NonFinite {
    /// What fetched the values returns [`ManagerError::NotFinite`], which names the first one and its step, once.
    #[default]
    Error,
    /// A line on stderr names each loss that was not finite, and the first step at which it was not, each
    /// time that values are fetched.
    Warn,
    /// Nothing.
    Ignore,
}

/// As many values are fetched together as cost little memory on the device.
const PENDING: usize = 1000;

/// A loss that is no record yet.
#[derive(Debug)]
pub(super) struct Pending {
    pub name: Arc<str>,
    pub tags: Arc<[String]>,
    pub epoch: u64,
    pub step: u64,
    pub weight: f64,
    pub value: Kept,
}

/// A value that was computed.
#[derive(Debug)]
pub(super) enum Kept {
    /// A scalar without a graph, still on its device.
    Tensor(Tensor),
    /// The number, without and with its weight.
    Numbers(f64, f64),
}

impl Pending {
    fn record(self, (value, weighted): (f64, f64)) -> Record {
        let Pending { name, tags, epoch, step, weight, value: _ } = self;
        Record { name, tags, epoch, step, value, weight, weighted }
    }
}

#[derive(Debug)]
pub(super) struct History {
    pending: Vec<Pending>,
    /// The latest, oldest first.
    records: VecDeque<Record>,
    capacity: usize,
    /// How many records have left `records`.
    forgotten: u64,
    sinks: Vec<Sink>,
    pub non_finite: NonFinite,
}

#[derive(Debug)]
struct Sink {
    sink: Box<dyn LogSink>,
    /// How many records, counted from the first ever, it has or need not have.
    has: u64,
}

impl Default for History {
    fn default() -> Self {
        History {
            pending: Vec::new(),
            records: VecDeque::new(),
            capacity: 50_000,
            forgotten: 0,
            sinks: Vec::new(),
            non_finite: NonFinite::default(),
        }
    }
}

impl History {
    pub fn push(&mut self, mut pending: Pending) -> Result<()> {
        if matches!(&pending.value, Kept::Tensor(value) if value.device() == Device::Cpu) {
            // There is nothing to wait for. And thousands of small tensors between those of the training steps would
            // keep the allocator from joining the memory that these free.
            let (value, weighted) = fetch(std::slice::from_ref(&pending))?[0];
            pending.value = Kept::Numbers(value, weighted);
        }
        self.pending.push(pending);
        if self.pending.len() >= PENDING.min(self.capacity) {
            self.gather()?;
        }
        Ok(())
    }

    /// What is remembered, oldest first; of what was [gathered](Self::gather).
    pub fn records(&self) -> impl DoubleEndedIterator<Item = &Record> {
        // The rest is there for a log that could not be written.
        self.records.range(self.records.len().saturating_sub(self.capacity)..)
    }

    pub fn last(&self, name: &str) -> Option<&Record> {
        self.records().rev().find(|record| &*record.name == name)
    }

    pub fn add(&mut self, sink: Box<dyn LogSink>) {
        let has = self.gathered() + self.pending.len() as u64;
        self.sinks.push(Sink { sink, has });
    }

    pub fn set_capacity(&mut self, records: usize) {
        self.capacity = records.max(1);
    }

    /// Makes records of all pending values. Where the logs are a whole buffer behind, writes them.
    pub fn gather(&mut self) -> Result<()> {
        let values = fetch(&self.pending)?;
        let new = self.records.len();
        self.records.extend(self.pending.drain(..).zip(values).map(|(pending, value)| pending.record(value)));
        let not_finite = self.report(new);
        let behind = self.sinks.iter().map(|sink| self.gathered() - sink.has.min(self.gathered())).max();
        self.forget();
        let delivered = if behind >= Some(self.capacity as u64) { self.deliver() } else { Ok(()) };
        // A log that cannot be written is met again at the next flush, a value is reported only now.
        not_finite.and(delivered)
    }

    pub fn flush(&mut self) -> Result<()> {
        let gathered = self.gather();
        let delivered = self.deliver();
        gathered.and(delivered)
    }

    /// How many records there were so far.
    fn gathered(&self) -> u64 {
        self.forgotten + self.records.len() as u64
    }

    fn deliver(&mut self) -> Result<()> {
        let gathered = self.gathered();
        let mut delivered = Ok(());
        for Sink { sink, has } in &mut self.sinks {
            if *has >= gathered {
                continue;
            }
            let start = (*has - self.forgotten) as usize;
            match sink.append(&self.records.make_contiguous()[start..]) {
                Ok(()) => *has = gathered,
                Err(error) => delivered = delivered.and(Err(error)),
            }
        }
        self.forget();
        delivered
    }

    /// Drops the oldest records beyond the capacity, if all logs have them.
    fn forget(&mut self) {
        let written = self.sinks.iter().map(|sink| sink.has).min().unwrap_or(u64::MAX);
        let spare = self.records.len().saturating_sub(self.capacity) as u64;
        let spare = spare.min(written.saturating_sub(self.forgotten));
        self.records.drain(..spare as usize);
        self.forgotten += spare;
    }

    /// Does with what is not finite among the records from `start` on as the policy says.
    fn report(&self, start: usize) -> Result<()> {
        let mut bad = self.records.range(start..).filter(|record| !record.weighted.is_finite());
        match self.non_finite {
            NonFinite::Ignore => {}
            NonFinite::Error => {
                if let Some(Record { name, epoch, step, value, weight, .. }) = bad.next() {
                    let (name, epoch, step) = (name.to_string(), *epoch, *step);
                    let (value, weight) = (*value, *weight);
                    return Err(ManagerError::NotFinite { name, epoch, step, value, weight }.into());
                }
            }
            NonFinite::Warn => {
                let mut named: Vec<&str> = Vec::new();
                for Record { name, epoch, step, value, .. } in bad {
                    if !named.contains(&&**name) {
                        let loss = printable(name);
                        eprintln!("warning: the loss `{loss}` is {value} in step {step} (epoch {epoch})");
                        named.push(name);
                    }
                }
            }
        }
        Ok(())
    }
}

/// Whatever ends a training run, short of a signal, leaves a whole log behind.
impl Drop for History {
    fn drop(&mut self) {
        if self.sinks.is_empty() {
            return;
        }
        if let Err(error) = self.flush() {
            eprintln!("warning: while writing the last losses: {error}");
        }
    }
}

/// The values, without and with their weights, on the host: one transfer for each device and kind.
fn fetch(pending: &[Pending]) -> Result<Vec<(f64, f64)>> {
    type Members<'a> = Vec<(usize, &'a Tensor)>;
    let mut groups: Vec<((Device, Kind), Members)> = Vec::new();
    let mut values = vec![(f64::NAN, f64::NAN); pending.len()];
    for (index, Pending { value, .. }) in pending.iter().enumerate() {
        let value = match value {
            Kept::Tensor(value) => value,
            Kept::Numbers(value, weighted) => {
                values[index] = (*value, *weighted);
                continue;
            }
        };
        let key = (value.device(), value.kind());
        match groups.iter_mut().find(|(group, _)| *group == key) {
            Some((_, members)) => members.push((index, value)),
            None => groups.push((key, vec![(index, value)])),
        }
    }
    for (_, members) in groups {
        let (indices, scalars): (Vec<usize>, Vec<&Tensor>) = members.into_iter().unzip();
        let host = no_grad(|| Tensor::f_stack(&scalars, 0)?.f_to_device(Device::Cpu))?;
        let weights: Vec<f64> = indices.iter().map(|index| pending[*index].weight).collect();
        let weighted = weigh(&host, &weights)?;
        for ((index, value), weighted) in indices.into_iter().zip(numbers(&host)?).zip(numbers(&weighted)?) {
            values[index] = (value, weighted);
        }
    }
    Ok(values)
}

/// The products as libtorch rounds them: half precision is multiplied in `f32`, and may overflow afterwards.
fn weigh(values: &Tensor, weights: &[f64]) -> Result<Tensor> {
    let kind = accumulation_kind(values.kind());
    let weights = Tensor::f_from_slice(weights)?.f_to_kind(kind)?;
    Ok(values.f_to_kind(kind)?.f_mul(&weights)?.f_to_kind(values.kind())?)
}

fn numbers(scalars: &Tensor) -> Result<Vec<f64>> {
    let scalars = scalars.f_to_kind(Kind::Double)?;
    let mut numbers = vec![0.0; scalars.numel()];
    scalars.f_copy_data(&mut numbers, scalars.numel())?;
    Ok(numbers)
}
