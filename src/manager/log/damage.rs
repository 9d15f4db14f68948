//! What is wrong with a damaged line, in words.

use serde::Deserialize;

use super::json::{is_number, Point};
use crate::base::json::{in_words, Fields};

/// What is wrong with a line that is not one of a log, as `error` has found.
///
/// serde reads fast, but speaks of its own types. This reads the line again, field by field.
pub(super) fn describe(line: &[u8], error: &serde_json::Error) -> String {
    let found = match serde_json::from_slice(line) {
        Ok(Fields(fields)) => fields.iter().find_map(|(name, value)| field(name, value.get())),
        Err(error) if error.is_data() => Some(in_words(&error)),
        Err(error) => Some(format!("{} (column {})", in_words(&error), error.column())),
    };
    found.unwrap_or_else(|| in_words(error))
}

/// What is wrong with the value of a field, if anything is.
fn field(name: &str, value: &str) -> Option<String> {
    let (is_right, expected) = match name {
        "tch_losses_log" | "dataset_length" | "step" | "epoch" => {
            (is::<Option<u64>>(value), "a whole number, 0 or more")
        }
        "experiment" | "device" | "dataroot" | "loss" => (is::<Option<String>>(value), "a text in quotes"),
        "tags" => (is::<Option<Vec<String>>>(value), "a list of texts in quotes"),
        "losses" => return losses(value),
        // serde passes over it.
        _ => return None,
    };
    (!is_right).then(|| unexpected(name, value, expected))
}

fn losses(value: &str) -> Option<String> {
    match serde_json::from_str(value) {
        Ok(Fields(points)) => points.iter().find_map(|(name, value)| point(name, value.get())),
        Err(_) if !value.starts_with('{') => Some(unexpected("losses", value, "an object of losses by name")),
        Err(error) => Some(in_words(&error)),
    }
}

fn point(loss: &str, value: &str) -> Option<String> {
    if is::<Point>(value) {
        return None;
    }
    let loss = format!("losses.{loss}");
    let Ok(Fields(numbers)) = serde_json::from_str(value) else {
        return Some(unexpected(&loss, value, "an object with `value`, `weight` and `weighted`"));
    };
    ["value", "weight", "weighted"].into_iter().find_map(|name| {
        let place = format!("{loss}.{name}");
        match numbers.get(name) {
            None => Some(format!("`{place}` is missing")),
            Some(value) if is_number(value.get()) => None,
            Some(value) => {
                Some(unexpected(&place, value.get(), "a number, \"NaN\", \"Infinity\" or \"-Infinity\""))
            }
        }
    })
}

fn is<'a, T: Deserialize<'a>>(json: &'a str) -> bool {
    serde_json::from_str::<T>(json).is_ok()
}

fn unexpected(place: &str, value: &str, expected: &str) -> String {
    /// A value may be the rest of a long line.
    const MOST: usize = 60;
    match value.char_indices().nth(MOST) {
        Some((end, _)) => format!("`{place}` is {}…, expected {expected}", &value[..end]),
        None => format!("`{place}` is {value}, expected {expected}"),
    }
}
