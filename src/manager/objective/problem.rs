//! What can be wrong in a file, in the words of someone who writes one.

use std::fmt;

use serde::de::{Expected, Unexpected};

use super::ObjectiveError;

/// What is wrong, and where.
#[derive(Debug)]
pub(super) struct Problem {
    /// The path of the field, as `losses.G_L1.weight`; empty for the whole.
    pub path: String,
    pub line: Option<usize>,
    pub text: String,
}

impl Problem {
    pub fn new(text: impl Into<String>) -> Problem {
        Problem { path: String::new(), line: None, text: text.into() }
    }

    /// In this line, unless it is known better.
    pub fn or_line(mut self, line: usize) -> Problem {
        self.line.get_or_insert(line);
        self
    }

    /// Within `parent`: the name of a table, or the place in a list, `[1]`.
    pub fn within(mut self, parent: &str) -> Problem {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{parent}{dot}{}", self.path);
        self
    }

    /// The error, of a text that comes from `origin`.
    pub fn into_error(self, origin: impl Into<String>) -> ObjectiveError {
        let Problem { path: field, line, mut text } = self;
        if let Some(line) = line {
            text += &format!(" (line {line})");
        }
        ObjectiveError { origin: origin.into(), field, problem: text }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl std::error::Error for Problem {}

impl serde::de::Error for Problem {
    fn custom<T: fmt::Display>(text: T) -> Problem {
        Problem::new(text.to_string())
    }

    fn missing_field(field: &'static str) -> Problem {
        Problem::new(format!("`{field}` is missing"))
    }

    fn invalid_type(given: Unexpected, expected: &dyn Expected) -> Problem {
        let given = match given {
            Unexpected::Bool(value) => value.to_string(),
            Unexpected::Unsigned(number) => format!("the number {number}"),
            Unexpected::Signed(number) => format!("the number {number}"),
            Unexpected::Float(number) => format!("the number {number:?}"),
            Unexpected::Str(text) => format!("the text {text:?}"),
            Unexpected::Seq => "a list".into(),
            Unexpected::Map => "a table".into(),
            Unexpected::Unit => "null".into(),
            other => other.to_string(),
        };
        Problem::new(format!("given {given}, expected {expected}"))
    }

    fn invalid_value(given: Unexpected, expected: &dyn Expected) -> Problem {
        Problem::invalid_type(given, expected)
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Problem {
        Problem::new(none_of("there is no such option", field, known, &SYNONYMS))
    }

    fn unknown_variant(variant: &str, known: &'static [&'static str]) -> Problem {
        Problem::new(none_of(&format!("`{variant}` is not known"), variant, known, &SYNONYMS))
    }
}

/// What people write who know it from elsewhere, and what it is called here. Beside them goes whatever is spelt
/// alike.
const SYNONYMS: [(&str, &str); 27] = [
    ("size_average", "reduction"), // what PyTorch had before
    ("reduce", "reduction"),
    ("layers", "taps"),
    ("dtype", "kind"),
    ("l2", "mse"),
    ("mae", "l1"),
    ("fro", "frobenius"),
    // Of lpips, BasicSR, piq and DISTS.
    ("layer_weights", "taps"),
    ("vgg_type", "architecture"),
    ("net", "architecture"),
    ("network", "architecture"),
    ("architecture", "net"),
    ("normalize", "data_range"),
    ("range_norm", "data_range"),
    ("use_input_norm", "normalization"),
    ("replace_pooling", "pooling"),
    ("batch_average", "reduction"),
    // Of the criteria of GANs.
    ("gan_mode", "mode"),
    ("gan_type", "mode"),
    ("target_real_label", "real_label"),
    ("target_fake_label", "fake_label"),
    ("wgan_softplus", "non_saturating"),
    ("logistic_ns", "non_saturating"),
    ("least_square", "lsgan"),
    ("original", "vanilla"),
    ("bce", "vanilla"),
    ("avg", "average"),
];

/// The message that `given` is none of the `known`, which it tells, and which of them may be meant.
pub(super) fn none_of(problem: &str, given: &str, known: &[&str], synonyms: &[(&str, &str)]) -> String {
    let verb = if known.len() == 1 { "is" } else { "are" };
    let names = known.join("`, `");
    match nearest(given, known, synonyms) {
        Some(near) => format!("{problem}, did you mean `{near}`? There {verb} `{names}`"),
        None => format!("{problem}: there {verb} `{names}`"),
    }
}

/// What of `known` is spelt like `given`, or is a synonym.
pub(super) fn nearest<'a>(given: &str, known: &[&'a str], synonyms: &[(&str, &str)]) -> Option<&'a str> {
    // Where a typing error or an abbreviation is told from another word: `epsilon` for `eps` has 0.87, `Sobl` for
    // `Sobel` 0.95, words that have nothing in common less than 0.6.
    const ALIKE: f64 = 0.8;
    let plain = |name: &str| name.replace(['_', '-', ' '], "").to_lowercase();
    let given = plain(given);
    let synonym = synonyms.iter().find(|(other, _)| plain(other) == given).map(|(_, name)| *name);
    if let Some(name) = known.iter().find(|name| Some(**name) == synonym) {
        return Some(name);
    }
    let likeness = |name: &&'a str| (strsim::jaro_winkler(&given, &plain(name)), *name);
    let best = known.iter().map(likeness).max_by(|a, b| a.0.total_cmp(&b.0));
    best.filter(|(likeness, _)| *likeness >= ALIKE).map(|(_, name)| name)
}
