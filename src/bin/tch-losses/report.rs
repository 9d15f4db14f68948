//! What `compare` prints: a table, JSON or CSV of one pair or of many.

use anyhow::Result;
use serde_json::{json, Map, Value};
use tch_losses::printable;

/// The losses of some pairs.
pub struct Report {
    pub losses: Vec<Loss>,
    /// Whether the losses have weights of their own, and add up to a total.
    pub weighted: bool,
    pub rows: Vec<Row>,
}

/// A column of the report.
pub struct Loss {
    pub key: String,
    pub weight: f64,
}

/// The losses of a pair.
pub struct Row {
    pub pair: String,
    /// One for each loss.
    pub values: Vec<f64>,
}

/// Of a loss over all pairs.
struct Summary<'a> {
    mean: f64,
    worst: f64,
    /// The pair that has it.
    of: &'a str,
}

impl Summary<'_> {
    /// The largest loss is the worst, and one that is no number is worse.
    fn of<'a>(values: impl Iterator<Item = (&'a str, f64)>) -> Summary<'a> {
        let values: Vec<(&str, f64)> = values.collect();
        let mean = values.iter().map(|(_, value)| value).sum::<f64>() / values.len() as f64;
        // From the end, for `max_by` returns the last one of those that are equal.
        let worst = values
            .iter()
            .rev()
            .max_by(|(_, a), (_, b)| a.is_nan().cmp(&b.is_nan()).then(a.total_cmp(b)))
            .expect("there are pairs");
        Summary { mean, worst: worst.1, of: worst.0 }
    }

    fn json(&self) -> Map<String, Value> {
        let worst = json!({ "value": self.worst, "pair": self.of });
        [("mean".to_owned(), json!(self.mean)), ("worst".to_owned(), worst)].into_iter().collect()
    }
}

impl Report {
    fn total(&self, row: &Row) -> f64 {
        self.losses.iter().zip(&row.values).map(|(loss, value)| loss.weight * value).sum()
    }

    fn summary(&self, column: usize) -> Summary<'_> {
        Summary::of(self.rows.iter().map(|row| (row.pair.as_str(), row.values[column])))
    }

    fn summary_of_totals(&self) -> Summary<'_> {
        Summary::of(self.rows.iter().map(|row| (row.pair.as_str(), self.total(row))))
    }

    /// One object of the only pair: the losses by name; with weights, what they add up to as well.
    pub fn json_of_pair(&self) -> String {
        let row = &self.rows[0];
        let whole = match self.weighted {
            false => self.json_of(row),
            true => json!({ "losses": self.json_of(row), "total": self.total(row) }),
        };
        format!("{whole}\n")
    }

    /// One object: the pairs, and the mean and the worst of each loss.
    pub fn json_of_pairs(&self) -> String {
        let mut pairs = Vec::new();
        for row in &self.rows {
            let mut pair = json!({ "pair": row.pair, "losses": self.json_of(row) });
            if self.weighted {
                pair["total"] = json!(self.total(row));
            }
            pairs.push(pair);
        }
        let mut losses = Map::new();
        for (column, loss) in self.losses.iter().enumerate() {
            let mut summary = self.summary(column).json();
            if self.weighted {
                summary.insert("weight".into(), json!(loss.weight));
            }
            losses.insert(loss.key.clone(), summary.into());
        }
        let mut whole = json!({ "pairs": pairs, "losses": losses });
        if self.weighted {
            whole["total"] = self.summary_of_totals().json().into();
        }
        format!("{whole}\n")
    }

    /// The losses of a pair. `json!` makes null of what is not finite.
    fn json_of(&self, row: &Row) -> Value {
        let mut object = Map::new();
        for (Loss { key, weight }, value) in self.losses.iter().zip(&row.values) {
            let entry = match self.weighted {
                false => json!(value),
                true => json!({ "value": value, "weight": weight, "weighted": weight * value }),
            };
            object.insert(key.clone(), entry);
        }
        object.into()
    }

    /// A line for each pair, with every digit. Means are left to the reader of the file: among the pairs, they would be
    /// taken for one.
    pub fn csv(&self) -> Result<String> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let total = self.weighted.then_some("total");
        writer.write_record(
            ["pair"].into_iter().chain(self.losses.iter().map(|loss| &*loss.key)).chain(total),
        )?;
        for row in &self.rows {
            writer.serialize((&row.pair, &row.values, self.weighted.then(|| self.total(row)).as_slice()))?;
        }
        Ok(String::from_utf8(writer.into_inner()?)?)
    }

    /// The losses of the only pair, a line for each.
    pub fn table_of_pair(&self) -> String {
        let row = &self.rows[0];
        let mut lines = vec![match self.weighted {
            false => words(&["loss", "value"]),
            true => words(&["loss", "value", "weight", "weighted"]),
        }];
        for (Loss { key, weight }, value) in self.losses.iter().zip(&row.values) {
            let mut line = vec![printable(key).to_string(), six_digits(*value)];
            if self.weighted {
                line.extend([six_digits(*weight), six_digits(weight * value)]);
            }
            lines.push(line);
        }
        if self.weighted {
            lines.push(vec!["total".into(), String::new(), String::new(), six_digits(self.total(row))]);
        }
        columns(&lines)
    }

    /// The losses of each pair, a line for each, and below, mean and worst of each loss.
    pub fn table_of_pairs(&self) -> String {
        let total = self.weighted.then(|| "total".to_owned());
        let keys = self.losses.iter().map(|loss| printable(&loss.key).to_string());
        let mut lines = vec![["pair".to_owned()].into_iter().chain(keys).chain(total).collect::<Vec<_>>()];
        for row in &self.rows {
            let total = self.weighted.then(|| self.total(row));
            let numbers = row.values.iter().copied().chain(total).map(six_digits);
            lines.push([printable(&row.pair).to_string()].into_iter().chain(numbers).collect());
        }
        let mut summaries = vec![match self.weighted {
            false => words(&["loss", "mean", "worst", "of"]),
            true => words(&["loss", "weight", "mean", "worst", "of"]),
        }];
        let mut summarise = |name: &str, weight: Option<f64>, summary: Summary| {
            let mut line = vec![printable(name).to_string()];
            if self.weighted {
                line.push(weight.map(six_digits).unwrap_or_default());
            }
            let numbers = [summary.mean, summary.worst].map(six_digits);
            line.extend(numbers.into_iter().chain([printable(summary.of).to_string()]));
            summaries.push(line);
        };
        for (column, loss) in self.losses.iter().enumerate() {
            summarise(&loss.key, Some(loss.weight), self.summary(column));
        }
        if self.weighted {
            summarise("total", None, self.summary_of_totals());
        }
        format!("{}\n{}", columns(&lines), columns(&summaries))
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| word.to_string()).collect()
}

/// The least widths of the first column and of the others.
const LEAST: [usize; 2] = [10, 9];

/// Lines as columns, each as wide as its widest entry.
pub fn columns(lines: &[Vec<String>]) -> String {
    let count = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let entries = lines.iter().filter_map(|line| line.get(column));
        entries.map(|entry| entry.chars().count()).fold(LEAST[column.min(1)], usize::max)
    };
    let widths: Vec<usize> = (0..count).map(width).collect();
    let mut text = String::new();
    for line in lines {
        let padded = line.iter().zip(&widths).map(|(entry, width)| format!("{entry:<width$}"));
        text += padded.collect::<Vec<_>>().join(" ").trim_end();
        text.push('\n');
    }
    text
}

/// Six significant digits, or fewer where the rest are zeros.
fn six_digits(value: f64) -> String {
    let rounded: f64 = format!("{value:.5e}").parse().unwrap_or(value);
    format!("{rounded:?}")
}
