//! What can go wrong in a manager.

use crate::base::debug_is_the_message;
use crate::printable;

/// What a [`LossManager`](super::LossManager) refuses, or has found in the values of its losses.
///
/// [`Error::Manager`](crate::Error::Manager) carries it.
///
/// ```
/// use tch_losses::manager::{LossManager, ManagerError};
/// use tch_losses::{Error, L1Loss};
///
/// let mut manager = LossManager::new();
/// manager.register("G_L1", L1Loss::default())?;
/// match manager.history("G_L2") {
///     Err(Error::Manager(ManagerError::UnknownLoss { known, .. })) => assert_eq!(known, ["G_L1"]),
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), tch_losses::Error>(())
/// ```
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ManagerError {
    /// A name that no loss of the manager has.
    #[error("no loss is registered as `{}`, {}", printable(name), there_are(known))]
    UnknownLoss {
        /// The name given.
        name: String,
        /// The names that are registered.
        known: Vec<String>,
    },

    /// Tags that no loss of the manager has.
    #[error("no loss has a tag of {tags:?}, {}", there_are(known))]
    UnknownTags {
        /// The tags given.
        tags: Vec<String>,
        /// The tags of the losses that are registered.
        known: Vec<String>,
    },

    /// A name under which a loss is already registered.
    #[error(
        "a loss is already registered as `{}`: unregister it first, or choose another name",
        printable(name)
    )]
    LossTaken {
        /// The name given.
        name: String,
    },

    /// A loss was computed from other inputs than it has.
    #[error("the loss `{}` is {is}", printable(name))]
    LossInputs {
        /// The name of the loss.
        name: String,
        /// What it is, in words.
        is: &'static str,
    },

    /// A loss has no map of where in the image it comes from.
    #[error("the loss `{}` has no loss map: its `loss_map` returns `None`", printable(name))]
    NoLossMap {
        /// The name of the loss.
        name: String,
    },

    /// A loss was computed in a step in which it is not due.
    #[error(
        "the loss `{}` is not due in step {step}: it is computed once in {every} steps, see `LossManager::is_due`",
        printable(name)
    )]
    NotDue {
        /// The name of the loss.
        name: String,
        /// The step.
        step: u64,
        /// How many steps apart it is [due](super::Term::every).
        every: u64,
    },

    /// A loss that is not due in every step was computed before the first step.
    #[error(
        "the loss `{}` is computed once in {every} steps: call `LossManager::begin_step` at each step",
        printable(name)
    )]
    NoStep {
        /// The name of the loss.
        name: String,
        /// How many steps apart it is [due](super::Term::every).
        every: u64,
    },

    /// A loss turned out not to be finite.
    #[error("the loss `{}` is {value} in step {step} (epoch {epoch}, weight {weight})", printable(name))]
    NotFinite {
        /// The name of the loss.
        name: String,
        /// The epoch in which it was computed.
        epoch: u64,
        /// The step in which it was computed.
        step: u64,
        /// Its value, before the weight; finite if only the weighted value is not.
        value: f64,
        /// The weight.
        weight: f64,
    },
}

debug_is_the_message!(ManagerError);

fn there_are(known: &[String]) -> String {
    if known.is_empty() {
        return "there are none".into();
    }
    let mut unique: Vec<&str> = Vec::new();
    for name in known {
        if !unique.contains(&name.as_str()) {
            unique.push(name);
        }
    }
    format!("there are `{}`", printable(&unique.join("`, `")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[test]
    fn messages() {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        for (error, message) in [
            (
                ManagerError::UnknownLoss { name: "a\u{1b}".into(), known: names(&["b", "c"]) },
                r"no loss is registered as `a\u{1b}`, there are `b`, `c`",
            ),
            (
                ManagerError::UnknownTags { tags: names(&["a"]), known: names(&["G", "D", "G"]) },
                r#"no loss has a tag of ["a"], there are `G`, `D`"#,
            ),
            (
                ManagerError::UnknownTags { tags: names(&["a"]), known: Vec::new() },
                r#"no loss has a tag of ["a"], there are none"#,
            ),
            (
                ManagerError::LossTaken { name: "a".into() },
                "a loss is already registered as `a`: unregister it first, or choose another name",
            ),
            (
                ManagerError::NoLossMap { name: "a".into() },
                "the loss `a` has no loss map: its `loss_map` returns `None`",
            ),
            (ManagerError::LossInputs { name: "a".into(), is: "of two" }, "the loss `a` is of two"),
            (
                ManagerError::NotDue { name: "a".into(), step: 17, every: 16 },
                "the loss `a` is not due in step 17: it is computed once in 16 steps, see `LossManager::is_due`",
            ),
            (
                ManagerError::NoStep { name: "a".into(), every: 16 },
                "the loss `a` is computed once in 16 steps: call `LossManager::begin_step` at each step",
            ),
            (
                ManagerError::NotFinite {
                    name: "a".into(),
                    epoch: 1,
                    step: 2,
                    value: f64::INFINITY,
                    weight: 0.5,
                },
                "the loss `a` is inf in step 2 (epoch 1, weight 0.5)",
            ),
        ] {
            assert_eq!(error.to_string(), message);
            assert_eq!(format!("{error:?}"), message);
            let error = Error::from(error);
            assert!(matches!(error, Error::Manager(_)));
            assert_eq!(error.to_string(), message);
            assert_eq!(format!("{error:?}"), message);
        }
    }
}
