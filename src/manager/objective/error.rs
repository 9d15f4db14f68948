//! What can be wrong with an objective's text.

use crate::base::debug_is_the_message;
use crate::printable;

/// A text is not an [`Objective`](super::Objective), or an objective cannot be written as text.
///
/// [`Error::Objective`](crate::Error::Objective) carries it.
///
/// ```
/// use tch_losses::manager::Objective;
/// use tch_losses::Error;
///
/// match Objective::from_toml("[losses.G_L1]\nloss = \"L1Loss\"\nweight = \"high\"") {
///     Err(Error::Objective(error)) => {
///         assert_eq!(error.field, "losses.G_L1.weight");
///         assert_eq!(error.problem, "given the text \"high\", expected a number (line 3)");
///     }
///     other => panic!("{other:?}"),
/// }
/// ```
#[derive(thiserror::Error)]
#[error("{origin}: {}{}", after_colon(field), printable(problem))]
#[non_exhaustive]
pub struct ObjectiveError {
    /// The file, or `objective`.
    pub origin: String,
    /// The path of the field, as `losses.G_L1.weight`; empty if it is the whole.
    pub field: String,
    /// What is wrong with it, and in which line.
    pub problem: String,
}

debug_is_the_message!(ObjectiveError);

fn after_colon(field: &str) -> String {
    if field.is_empty() {
        String::new()
    } else {
        format!("{}: ", printable(field))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[test]
    fn messages() {
        for (field, message) in [
            ("losses.a.weight", r"objective.toml: losses.a.weight: given \u{1b} (line 2)"),
            ("", r"objective.toml: given \u{1b} (line 2)"),
        ] {
            let error = ObjectiveError {
                origin: "objective.toml".into(),
                field: field.into(),
                problem: "given \u{1b} (line 2)".into(),
            };
            assert_eq!(error.to_string(), message);
            assert_eq!(format!("{error:?}"), message);
            let error = Error::from(error);
            assert!(matches!(error, Error::Objective(_)));
            assert_eq!(error.to_string(), message);
            assert_eq!(format!("{error:?}"), message);
        }
    }
}
