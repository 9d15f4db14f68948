//! What a manager remembers of each computed loss, and where that goes.

use std::fmt::Debug;
use std::sync::Arc;

use crate::Result;

/// One loss computed once: what the history keeps and the log holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The name under which the loss is registered.
    pub name: Arc<str>,
    /// Its tags, in the order in which they were given.
    pub tags: Arc<[String]>,
    /// The epoch given to [`begin_step`](super::LossManager::begin_step).
    pub epoch: u64,
    /// The step given there.
    pub step: u64,
    /// The loss itself, before its weight; of a loss that is not reduced, the mean.
    pub value: f64,
    /// The weight that was applied; of a loss that is due in [every](super::Term::every) k-th step, k times its own.
    pub weight: f64,
    /// `value` times `weight`, as the training saw it.
    pub weighted: f64,
}

/// Where a manager's records are kept for good: [`LossLog`](super::log::LossLog), or one of your own.
///
/// ```
/// use tch_losses::manager::{LogSink, Record};
///
/// /// Warns of losses that get out of hand.
/// #[derive(Debug)]
/// struct Alarm(f64);
///
/// impl LogSink for Alarm {
///     fn append(&mut self, records: &[Record]) -> tch_losses::Result<()> {
///         for record in records.iter().filter(|record| record.weighted > self.0) {
///             eprintln!("step {}: {} is {}", record.step, record.name, record.weighted);
///         }
///         Ok(())
///     }
/// }
///
/// Alarm(1e3).append(&[])?;
/// # Ok::<(), tch_losses::Error>(())
/// ```
pub trait LogSink: Debug + Send {
    /// Appends `records`, which come in the order in which the losses were computed.
    ///
    /// # Errors
    /// Where they cannot be kept, with nothing of them kept: they come again with the next flush.
    fn append(&mut self, records: &[Record]) -> Result<()>;
}
