//! An objective in a few lines, for people.

use std::fmt::{self, Display};

use indexmap::IndexMap;
use serde_json::Value;

use super::{LossSpec, Objective};
use crate::printable;

/// One line for each loss with its weight or schedule, the steps in which it is due if not all, and its tags, below it the options that are not the
/// defaults, and at the end the losses of each tag.
///
/// ```
/// use tch_losses::manager::Objective;
///
/// let objective = Objective::from_toml(
///     r#"
///     [losses.G_L1]
///     loss = "L1Loss"
///     weight = 100.0
///     tags = ["G", "image"]
///
///     [losses.G_SOBEL]
///     loss = "Sobel"
///     options = { eps = 1e-4 }
///     schedule = { linear = { start_epoch = 1, end_epoch = 20, initial_value = 0.0, target_value = 10.0 } }
///     tags = ["G"]
///     "#,
/// )?;
/// assert_eq!(
///     objective.to_string(),
///     "\
/// G_L1     L1Loss  weight 100                                   tags G, image
/// G_SOBEL  Sobel   weight 0 (epoch 1) to 10 (epoch 20), linear  tags G
///          eps = 0.0001
///
/// tag G      G_L1, G_SOBEL
/// tag image  G_L1
/// "
/// );
/// # Ok::<(), tch_losses::Error>(())
/// ```
impl Display for Objective {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let mut tagged: IndexMap<&str, Vec<String>> = IndexMap::new();
        let mut rows = Vec::new();
        for (name, term) in &self.losses {
            let name = printable(name).to_string();
            for tag in &term.tags {
                tagged.entry(tag).or_default().push(name.clone());
            }
            let tags = match term.tags.len() {
                0 => "no tags".into(),
                _ => printable(&format!("tags {}", term.tags.join(", "))).to_string(),
            };
            let mut weight = format!("weight {}", term.weight);
            if term.every.steps() > 1 {
                weight += &format!(", every {} steps", term.every.steps());
            }
            rows.push(([name, term.loss.name().into(), weight, tags], &term.loss));
        }
        let width =
            |column: usize| rows.iter().map(|(row, _)| row[column].chars().count()).max().unwrap_or(0);
        let [name_width, loss_width, weight_width] = [0, 1, 2].map(width);
        for ([name, loss, weight, tags], spec) in &rows {
            writeln!(formatter, "{name:name_width$}  {loss:loss_width$}  {weight:weight_width$}  {tags}")?;
            for option in changed_options(spec) {
                writeln!(formatter, "{:name_width$}  {option}", "")?;
            }
        }
        if !tagged.is_empty() {
            writeln!(formatter)?;
        }
        let tags: Vec<String> = tagged.keys().map(|tag| printable(tag).to_string()).collect();
        let width = tags.iter().map(|tag| tag.chars().count()).max().unwrap_or(0);
        for (tag, names) in tags.iter().zip(tagged.values()) {
            writeln!(formatter, "tag {tag:width$}  {}", names.join(", "))?;
        }
        Ok(())
    }
}

/// Those that are not the defaults, as a file has them.
fn changed_options(loss: &LossSpec) -> Vec<String> {
    let (Ok(Value::Object(options)), Ok(defaults)) = (loss.options(), loss.default_of().options()) else {
        return vec!["options that a file cannot hold".into()];
    };
    let changed = options.iter().filter(|(name, value)| defaults.get(name.as_str()) != Some(*value));
    changed.map(|(name, value)| printable(&format!("{name} = {}", in_toml(value))).to_string()).collect()
}

/// A key, in quotation marks where it has dots, as the tap `features.15`.
fn key(name: &str) -> String {
    let is_bare = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '-');
    match !name.is_empty() && name.chars().all(is_bare) {
        true => name.into(),
        false => format!("{name:?}"),
    }
}

fn in_toml(value: &Value) -> String {
    match value {
        Value::Array(values) => format!("[{}]", values.iter().map(in_toml).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|(name, value)| format!("{} = {}", key(name), in_toml(value))).collect();
            format!("{{ {} }}", fields.join(", "))
        }
        // Of an `f32` the digits that tell it from others.
        Value::Number(number) if number.is_f64() => match number.as_f64() {
            Some(wide) if f64::from(wide as f32) == wide => format!("{:?}", wide as f32),
            _ => number.to_string(),
        },
        other => other.to_string(),
    }
}
