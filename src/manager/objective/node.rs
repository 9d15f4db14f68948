//! The text of a file as a tree, in which everything knows its line.

use std::fmt;

use serde_json::value::RawValue;
use toml::de::{DeTable, DeValue};
use toml::Spanned;

use super::problem::Problem;
use crate::base::json::{in_words, Fields};

/// A value in a file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    /// The number of the line where it begins, from 1.
    pub line: usize,
    pub value: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Whole(i128),
    Number(f64),
    Text(String),
    Date(String),
    List(Vec<Node>),
    Table(Vec<Field>),
}

/// A field of a table.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Field {
    pub key: String,
    /// The line of the key.
    pub line: usize,
    pub node: Node,
}

impl Node {
    pub fn from_toml(text: &str) -> Result<Node, Problem> {
        let table = DeTable::parse(text).map_err(|error| {
            let problem = Problem::new(error.message());
            match error.span() {
                Some(span) => problem.or_line(line_at(text, span.start)),
                None => problem,
            }
        })?;
        Ok(Node { line: 1, value: fields_of_toml(text, table.get_ref())? })
    }

    pub fn from_json(text: &str) -> Result<Node, Problem> {
        // As TOML's parser does: some editors put it there.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let raw = serde_json::from_str(text).map_err(|error| problem_of_json(&error, 1))?;
        node_of_json(text, raw, 0)
    }

    /// A table without fields.
    pub fn empty(line: usize) -> Node {
        Node { line, value: Value::Table(Vec::new()) }
    }

    /// The fields, if it is a table.
    pub fn table(&self, expected: &str) -> Result<&[Field], Problem> {
        match &self.value {
            Value::Table(fields) => Ok(fields),
            _ => Err(self.mismatch(expected)),
        }
    }

    /// A field of a table.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Table(fields) => fields.iter().find(|field| field.key == key).map(|field| &field.node),
            _ => None,
        }
    }

    /// The problem that it is not what is `expected`.
    pub fn mismatch(&self, expected: &str) -> Problem {
        Problem::new(format!("given {self}, expected {expected}")).or_line(self.line)
    }
}

/// What was given, in words.
impl fmt::Display for Node {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match &self.value {
            Value::Null => formatter.write_str("null"),
            Value::Bool(value) => write!(formatter, "{value}"),
            Value::Whole(number) => write!(formatter, "the number {number}"),
            Value::Number(number) => write!(formatter, "the number {number:?}"),
            Value::Text(text) => write!(formatter, "the text {text:?}"),
            Value::Date(text) => write!(formatter, "the date {text}"),
            Value::List(values) => write!(formatter, "a list of {}", values.len()),
            Value::Table(_) => formatter.write_str("a table"),
        }
    }
}

fn line_at(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset].iter().filter(|byte| **byte == b'\n').count() + 1
}

fn node_of_toml(text: &str, value: &Spanned<DeValue>) -> Result<Node, Problem> {
    let line = line_at(text, value.span().start);
    let out_of_range = |number: &str| Problem::new(format!("the number {number} is too large")).or_line(line);
    let value = match value.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => Value::Whole(
            i128::from_str_radix(number.as_str(), number.radix())
                .map_err(|_| out_of_range(number.as_str()))?,
        ),
        DeValue::Float(number) => {
            Value::Number(number.as_str().parse().map_err(|_| out_of_range(number.as_str()))?)
        }
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Datetime(date) => Value::Date(date.to_string()),
        DeValue::Array(values) => {
            Value::List(values.iter().map(|value| node_of_toml(text, value)).collect::<Result<_, _>>()?)
        }
        DeValue::Table(table) => fields_of_toml(text, table)?,
    };
    Ok(Node { line, value })
}

fn fields_of_toml(text: &str, table: &DeTable) -> Result<Value, Problem> {
    let fields = table.iter().map(|(key, value)| {
        let line = line_at(text, key.span().start);
        Ok(Field { key: key.get_ref().to_string(), line, node: node_of_toml(text, value)? })
    });
    Ok(Value::Table(fields.collect::<Result<_, _>>()?))
}

/// The deepest of tables and lists in each other; objectives need five.
const DEEPEST: usize = 64;

/// `raw` is a part of `text`, which is how its line is known: serde_json has no other way.
fn node_of_json(text: &str, raw: &RawValue, depth: usize) -> Result<Node, Problem> {
    let json = raw.get();
    let line = line_at(text, json.as_ptr() as usize - text.as_ptr() as usize);
    if depth > DEEPEST {
        return Err(Problem::new(format!("more than {DEEPEST} tables and lists in each other")).or_line(line));
    }
    let unreadable = |error: serde_json::Error| problem_of_json(&error, line);
    let value = match json.as_bytes().first() {
        Some(b'{') => {
            let Fields(fields) = serde_json::from_str(json).map_err(unreadable)?;
            let fields = fields.into_iter().map(|(key, raw)| {
                let node = node_of_json(text, raw, depth + 1)?;
                Ok(Field { key, line: node.line, node })
            });
            Value::Table(fields.collect::<Result<_, Problem>>()?)
        }
        Some(b'[') => {
            let values: Vec<&RawValue> = serde_json::from_str(json).map_err(unreadable)?;
            let nodes = values.into_iter().map(|raw| node_of_json(text, raw, depth + 1));
            Value::List(nodes.collect::<Result<_, _>>()?)
        }
        _ => match serde_json::from_str(json).map_err(unreadable)? {
            serde_json::Value::Bool(value) => Value::Bool(value),
            serde_json::Value::String(text) => Value::Text(text),
            serde_json::Value::Number(number) => match number.as_i128() {
                Some(whole) => Value::Whole(whole),
                None => Value::Number(number.as_f64().unwrap_or(f64::NAN)),
            },
            _ => Value::Null,
        },
    };
    Ok(Node { line, value })
}

fn problem_of_json(error: &serde_json::Error, first_line: usize) -> Problem {
    Problem::new(in_words(error)).or_line(first_line + error.line().max(1) - 1)
}
