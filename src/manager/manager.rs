//! The manager: a registry of terms, and the memory of their values.

use std::sync::Arc;

use indexmap::map::Entry;
use indexmap::IndexMap;
use tch::{no_grad, Tensor};

use super::history::{History, Kept, Pending};
use super::{Inputs, LazyRegularization, LogSink, ManagerError, NonFinite, Record, Term};
use crate::base::check;
use crate::base::precision::accumulation_kind;
use crate::Result;

/// The losses of a training run, by name. The manager weighs them, remembers their values and writes these to
/// logs.
///
/// ```text
/// compute(name, inputs) = weight(epoch) * every * loss(inputs)
/// ```
///
/// A training loop registers its losses once, calls [`begin_step`](Self::begin_step) at each step, and
/// computes losses by name. It gets the weighted loss with its graph, ready for `backward`.
///
/// - **Values** stay detached on their device, and nothing waits for it until they are fetched: when somebody
///   reads values, at a [flush](Self::flush), and after every thousandth loss (sooner if the buffer is
///   smaller). One transfer fetches all values of a device and kind.
/// - **The history** holds the latest 50,000 losses ([`set_buffer`](Self::set_buffer)).
/// - **A [log](Self::log_to)** keeps all losses. They are written at a flush, when the buffer is full, and
///   when the manager is dropped.
/// - **A loss that is NaN or infinite** is found when values are fetched; see [`NonFinite`].
/// - **A loss that is due in [every](Term::every) k-th step** counts k times there. `every` is 1 for the others.
/// - **Tags** select the losses that have any of them. No tags select every loss.
///
/// Source: NectarGAN's `LossManager`. It copies each value to the host at once. Its history records the
/// constant weight even where a schedule applies.
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::manager::{LossManager, Term};
/// use tch_losses::{BceWithLogitsLoss, L1Loss, Sobel};
///
/// let mut manager = LossManager::new();
/// manager.register("G_GAN", Term::new(BceWithLogitsLoss::default()).tags(["G"]))?;
/// manager.register("G_L1", Term::new(L1Loss::default()).weight(100.0).tags(["G", "image"]))?;
/// manager.register("G_SOBEL", Term::new(Sobel::default()).weight(10.0).tags(["G", "image"]))?;
///
/// let real = Tensor::rand([1, 3, 16, 16], (Kind::Float, Device::Cpu));
/// for step in 0..3 {
///     manager.begin_step(0, step);
///     # let fake = Tensor::rand([1, 3, 16, 16], (Kind::Float, Device::Cpu)).set_requires_grad(true);
///     # let prediction = fake.mean_dim(1, true, Kind::Float);
///     let gan = manager.compute("G_GAN", (&prediction, &prediction.ones_like()))?;
///     let image = manager.total(&["image"], (&fake, &real))?; // L1 and Sobel
///     (gan + image).backward();
/// }
/// println!("{}", manager.format_losses(&["G"], 2)?); // (epoch: 0, iters: 2) Loss: G_GAN: 0.48 G_L1: 33.27 ...
/// assert_eq!(manager.history("G_L1")?.len(), 3);
/// # Ok::<(), tch_losses::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct LossManager {
    pub(super) terms: IndexMap<Arc<str>, Registered>,
    pub(super) epoch: u64,
    pub(super) step: u64,
    /// Whether the step has been told.
    has_begun: bool,
    history: History,
}

#[derive(Debug)]
pub(super) struct Registered {
    pub(super) term: Term,
    /// The term's tags, in the form in which records share them.
    tags: Arc<[String]>,
    lazy: LazyRegularization,
}

impl LossManager {
    /// A manager without losses.
    pub fn new() -> LossManager {
        LossManager::default()
    }

    /// Registers a loss under a name of its own. Every list of losses has the order of registration.
    ///
    /// # Errors
    /// A name that is taken; a weight that is not finite; [no steps](Term::every); options of the loss that are out of
    /// their range.
    pub fn register(&mut self, name: &str, term: impl Into<Term>) -> Result<()> {
        let term = term.into();
        term.weight_in(self.epoch)?;
        let lazy = term.lazy()?;
        term.function.check_options()?;
        match self.terms.entry(name.into()) {
            Entry::Occupied(_) => Err(ManagerError::LossTaken { name: name.into() }.into()),
            Entry::Vacant(place) => {
                let tags = term.tags.clone().into();
                place.insert(Registered { term, tags, lazy });
                Ok(())
            }
        }
    }

    /// Removes a loss and frees its name. Its records stay in the history; a loss registered later under the
    /// same name continues them.
    ///
    /// # Errors
    /// A name that is not registered.
    pub fn unregister(&mut self, name: &str) -> Result<Term> {
        match self.terms.shift_remove(name) {
            Some(registered) => Ok(registered.term),
            None => Err(self.unknown(name).into()),
        }
    }

    /// Sets the position of the training. `epoch`, counted from 0, is for the schedules. `step`, counted over
    /// the whole run, is for the history and for losses that are due in [every](Term::every) k-th step. Both are 0
    /// before the first call, which such losses need.
    pub fn begin_step(&mut self, epoch: u64, step: u64) {
        (self.epoch, self.step, self.has_begun) = (epoch, step, true);
    }

    /// Whether a loss is due in the current step. Only [`Term::every`] makes one that is not.
    ///
    /// # Errors
    /// A name that is not registered.
    pub fn is_due(&self, name: &str) -> Result<bool> {
        let registered = self.terms.get(name).ok_or_else(|| self.unknown(name))?;
        Ok(registered.lazy.is_due(self.step))
    }

    /// The weighted loss of `inputs`, with its graph.
    ///
    /// [`Inputs`] are a reference to a tensor or to a list of them, a tuple of references, or the value of a loss
    /// that the training loop has computed itself:
    ///
    /// ```
    /// use tch::{Device, Kind, Tensor};
    /// use tch_losses::manager::{LossManager, Term};
    /// use tch_losses::{L1Loss, TripletMarginLoss};
    ///
    /// let mut manager = LossManager::new();
    /// manager.register("L1", L1Loss::default())?;
    /// manager.register("TRIPLET", Term::ternary(TripletMarginLoss::default()))?;
    /// manager.register("MEAN_SQUARE", Term::value().weight(0.5))?;
    ///
    /// # let [x, y, z] = [0, 1, 2].map(|_| Tensor::rand([4, 8], (Kind::Double, Device::Cpu)));
    /// let l1 = manager.compute("L1", (&x, &y))?;
    /// let triplet = manager.compute("TRIPLET", (&x, &y, &z))?;
    /// let mean_square = manager.compute("MEAN_SQUARE", x.square().mean(Kind::Double))?;
    /// let total = l1 + triplet + mean_square;
    /// # Ok::<(), tch_losses::Error>(())
    /// ```
    ///
    /// # Errors
    /// A name that is not registered; a loss that is not [due](Self::is_due); another number of inputs than the loss
    /// takes; an error of the loss; a scheduled weight that is not finite. When the store of values is full, also the errors of
    /// [`flush`](Self::flush).
    pub fn compute<'a>(&mut self, name: &str, inputs: impl Into<Inputs<'a>>) -> Result<Tensor> {
        self.compute_from(name, &inputs.into())
    }

    /// The sum of the weighted losses with any of `tags` that are [due](Self::is_due), with its graph. Each loss is
    /// computed from `inputs`. Where none is due, the sum is 0, without a graph.
    ///
    /// The training loop need not know which losses there are, only what they compare.
    ///
    /// # Errors
    /// A tag that no loss has; a manager without losses; and as [`compute`](Self::compute).
    pub fn total<'a>(&mut self, tags: &[&str], inputs: impl Into<Inputs<'a>>) -> Result<Tensor> {
        self.check_tags(tags)?;
        let inputs = inputs.into();
        let names: Vec<Arc<str>> = self.tagged(tags).into_iter().map(|(name, _)| name.clone()).collect();
        if names.is_empty() {
            return Err(self.unknown_tags(tags.iter()).into());
        }
        // Before the first of them is recorded.
        names.iter().try_for_each(|name| self.check_inputs(name, &inputs))?;
        let mut total: Option<Tensor> = None;
        for name in names {
            if !self.is_due(&name)? {
                continue;
            }
            let weighted = self.compute_from(&name, &inputs)?;
            total = Some(match total {
                Some(total) => total.f_add(&weighted)?,
                None => weighted,
            });
        }
        total.map_or_else(|| inputs.zero(), Ok)
    }

    /// The names of the losses with any of `tags`.
    pub fn names(&self, tags: &[&str]) -> Vec<&str> {
        self.tagged(tags).into_iter().map(|(name, _)| &**name).collect()
    }

    /// The weights in the current epoch of the losses with any of `tags`, by name. That a loss counts several times
    /// [where it is due](Term::every) is not in them.
    pub fn weights(&self, tags: &[&str]) -> Vec<(&str, f64)> {
        let weight = |registered: &Registered| registered.term.weight.value(self.epoch);
        self.tagged(tags).into_iter().map(|(name, registered)| (&**name, weight(registered))).collect()
    }

    /// The last record of each loss with any of `tags`. A loss has none if it was not computed yet, or so
    /// long ago that the record has left the history.
    ///
    /// # Errors
    /// A tag that no loss has; a loss that is not finite, if that is [an error](NonFinite::Error); a device
    /// that fails; a log that fails when it is a whole buffer behind.
    pub fn last_records(&mut self, tags: &[&str]) -> Result<Vec<&Record>> {
        self.check_tags(tags)?;
        self.recorded(tags)
    }

    /// As [`last_records`](Self::last_records), but unknown tags are no error.
    pub(super) fn recorded(&mut self, tags: &[&str]) -> Result<Vec<&Record>> {
        self.history.gather()?;
        Ok(self.tagged(tags).into_iter().filter_map(|(name, _)| self.history.last(name)).collect())
    }

    /// The sum of the last weighted values of the losses with any of `tags` that are [due](Self::is_due).
    ///
    /// # Errors
    /// As [`last_records`](Self::last_records).
    pub fn last_total(&mut self, tags: &[&str]) -> Result<f64> {
        self.check_tags(tags)?;
        self.history.gather()?;
        let due = self.tagged(tags).into_iter().filter(|(_, registered)| registered.lazy.is_due(self.step));
        Ok(due.filter_map(|(name, _)| self.history.last(name)).map(|record| record.weighted).sum())
    }

    /// The remembered records of a loss, oldest first.
    ///
    /// # Errors
    /// A name that is not registered; and, except for tags, as [`last_records`](Self::last_records).
    pub fn history(&mut self, name: &str) -> Result<Vec<&Record>> {
        if !self.terms.contains_key(name) {
            return Err(self.unknown(name).into());
        }
        self.history.gather()?;
        Ok(self.history.records().filter(|record| &*record.name == name).collect())
    }

    /// Writes the losses computed from now on to `sink`. A manager may have several sinks.
    pub fn log_to(&mut self, sink: impl LogSink + 'static) {
        self.history.add(Box::new(sink));
    }

    /// Fetches the values from their devices and writes to the logs what they lack.
    ///
    /// # Errors
    /// - A device or a log that fails. Nothing is lost: the next flush tries again.
    /// - A loss that is not finite, if that is [an error](NonFinite::Error). It is written all the same, and
    ///   reported once.
    pub fn flush(&mut self) -> Result<()> {
        self.history.flush()
    }

    /// Sets how many losses are remembered: 50,000 by default, at least one. A log can be as many losses
    /// behind.
    pub fn set_buffer(&mut self, records: usize) {
        self.history.set_capacity(records);
    }

    /// Sets what happens when a loss turns out not to be finite.
    pub fn set_non_finite(&mut self, policy: NonFinite) {
        self.history.non_finite = policy;
    }

    pub(super) fn tagged(&self, tags: &[&str]) -> Vec<(&Arc<str>, &Registered)> {
        self.terms.iter().filter(|(_, registered)| registered.term.has_any(tags)).collect()
    }

    /// A misspelt tag must not leave losses out unseen.
    pub(super) fn check_tags(&self, tags: &[&str]) -> Result<()> {
        let is_unknown =
            |tag: &&&str| !self.terms.values().any(|registered| registered.term.has_any(&[**tag]));
        let mut unknown = tags.iter().filter(is_unknown).peekable();
        match unknown.peek() {
            Some(_) => Err(self.unknown_tags(unknown).into()),
            None => Ok(()),
        }
    }

    fn unknown_tags<'a>(&self, tags: impl Iterator<Item = &'a &'a str>) -> ManagerError {
        ManagerError::UnknownTags {
            tags: tags.map(|tag| tag.to_string()).collect(),
            known: self.terms.values().flat_map(|registered| registered.term.tags.clone()).collect(),
        }
    }

    pub(super) fn unknown(&self, name: &str) -> ManagerError {
        let known = self.terms.keys().map(|known| known.to_string()).collect();
        ManagerError::UnknownLoss { name: name.into(), known }
    }

    /// A registered loss takes these inputs.
    pub(super) fn check_inputs(&self, name: &str, inputs: &Inputs) -> Result<()> {
        let function = &self.terms[name].term.function;
        match function.takes(inputs) {
            true => Ok(()),
            false => Err(ManagerError::LossInputs { name: name.into(), is: function.in_words() }.into()),
        }
    }

    /// Weighs and remembers the loss.
    fn compute_from(&mut self, name: &str, inputs: &Inputs) -> Result<Tensor> {
        let Some((name, Registered { term, tags, lazy })) = self.terms.get_key_value(name) else {
            return Err(self.unknown(name).into());
        };
        if !lazy.is_due(self.step) {
            let (name, step, every) = (name.to_string(), self.step, lazy.steps());
            return Err(ManagerError::NotDue { name, step, every }.into());
        }
        if lazy.steps() > 1 && !self.has_begun {
            let (name, every) = (name.to_string(), lazy.steps());
            return Err(ManagerError::NoStep { name, every }.into());
        }
        let Some(value) = term.function.compute(inputs) else {
            let (name, is) = (name.to_string(), term.function.in_words());
            return Err(ManagerError::LossInputs { name, is }.into());
        };
        let value = value?;
        check::floating("loss", &value)?;
        let weight = term.weight_in(self.epoch)? * lazy.factor();
        let weighted = value.f_mul_scalar(weight)?;
        // A tensor of its own: the training loop may change the value in place later.
        let kept = no_grad(|| match value.dim() {
            0 => value.f_detach_copy(),
            _ => value.f_mean(accumulation_kind(value.kind())),
        })?;
        let (name, tags, epoch, step) = (name.clone(), tags.clone(), self.epoch, self.step);
        self.history.push(Pending { name, tags, epoch, step, weight, value: Kept::Tensor(kept) })?;
        Ok(weighted)
    }
}
