//! What an objective's file looks like.

use indexmap::IndexMap;
use serde::Serialize;

use super::node::{Field, Node, Value};
use super::problem::{nearest, none_of, Problem};
use super::read::read;
use super::{LossSpec, Objective, TermSpec};
use crate::manager::{LazyRegularization, Schedule};

/// What it is written as.
#[derive(Serialize)]
pub(super) struct File {
    losses: IndexMap<String, Row>,
}

#[derive(Serialize)]
struct Row {
    loss: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    weight: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule: Option<Schedule>,
    #[serde(skip_serializing_if = "Option::is_none")]
    every: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    options: serde_json::Value,
}

impl File {
    pub fn new(objective: &Objective) -> Result<File, Problem> {
        let row = |(name, term): (&String, &TermSpec)| {
            let row = Row::new(term).map_err(|problem| problem.within(name).within("losses"))?;
            Ok((name.clone(), row))
        };
        Ok(File { losses: objective.losses.iter().map(row).collect::<Result<_, _>>()? })
    }
}

impl Row {
    fn new(TermSpec { loss, weight, every, tags }: &TermSpec) -> Result<Row, Problem> {
        // JSON has no NaN: `null` could not be read back.
        loss.check()?;
        let options = loss.options().map_err(|error| Problem::new(error.to_string()).within("options"))?;
        let constant = weight.as_constant();
        if let Some(weight) = constant.filter(|weight| !weight.is_finite()) {
            return Err(not_finite(weight));
        }
        let schedule = if constant.is_none() { Some(weight.clone()) } else { None };
        let every = Some(every.steps()).filter(|steps| *steps > 1);
        Ok(Row { loss: loss.name(), weight: constant, schedule, every, tags: tags.clone(), options })
    }
}

fn not_finite(weight: f64) -> Problem {
    Problem::new(format!("given {weight}, expected a finite number")).within("weight")
}

const FIELDS: [&str; 6] = ["loss", "weight", "schedule", "every", "tags", "options"];

/// What people write who know it from elsewhere.
const SYNONYMS: [(&str, &str); 19] = [
    ("lambda", "weight"),
    ("lambda_", "weight"),
    ("coefficient", "weight"),
    ("factor", "weight"),
    ("scale", "weight"),
    ("interval", "every"),
    ("lazy", "every"),
    // Of BasicSR, rosinality's and NVIDIA's StyleGAN2.
    ("net_d_reg_every", "every"),
    ("net_g_reg_every", "every"),
    ("d_reg_every", "every"),
    ("reg_interval", "every"),
    ("type", "loss"),
    ("class", "loss"),
    ("function", "loss"),
    ("criterion", "loss"),
    ("groups", "tags"),
    ("args", "options"),
    ("kwargs", "options"),
    ("params", "options"),
];

/// The objective that a file holds.
pub(super) fn objective(file: &Node) -> Result<Objective, Problem> {
    for Field { key, line, node } in file.table("a table with the table `losses`")? {
        if key != "losses" {
            // [G_L1] and [loss.G_L1] for [losses.G_L1].
            let inner = if let Value::Table(fields) = &node.value { fields.first() } else { None };
            let name = match inner {
                _ if node.get("loss").is_some() => key,
                Some(Field { key, node, .. }) if node.get("loss").is_some() => key,
                _ => "NAME",
            };
            let problem = Problem::new(format!("losses stand in the table `losses`: write [losses.{name}]"));
            return Err(problem.within(key).or_line(*line));
        }
    }
    let Some(losses) = file.get("losses") else {
        return Err(Problem::new("`losses` is missing: write [losses.NAME] for each loss").or_line(file.line));
    };
    let term = |Field { key, line, node }: &Field| {
        let term = term(node).map_err(|problem| problem.within(key).or_line(*line))?;
        Ok((key.clone(), term))
    };
    let losses = losses
        .table("a table of losses by name, [losses.NAME]")
        .and_then(|rows| rows.iter().map(term).collect());
    Ok(Objective { losses: losses.map_err(|problem: Problem| problem.within("losses"))? })
}

fn term(row: &Node) -> Result<TermSpec, Problem> {
    let fields = row.table("a table that describes a loss")?;
    let Some(name) = row.get("loss") else {
        let other = fields.iter().find(|field| nearest(&field.key, &["loss"], &SYNONYMS).is_some());
        let problem = match other {
            Some(Field { key, line, .. }) => {
                Problem::new(format!("`loss` is missing: write `loss` instead of `{key}`")).or_line(*line)
            }
            None => {
                Problem::new("`loss` is missing: write, for instance, loss = \"L1Loss\"").or_line(row.line)
            }
        };
        return Err(problem);
    };
    let text: String = read(name).map_err(|problem| problem.within("loss"))?;
    let options = row.get("options");
    for Field { key, line, .. } in fields {
        if !FIELDS.contains(&key.as_str()) {
            let options = LossSpec::option_names(&text).unwrap_or_default();
            return Err(unknown_field(key, options).within(key).or_line(*line));
        }
    }
    let default = Node::empty(row.line);
    let loss = LossSpec::from_parts(&text, options.unwrap_or(&default)).map_err(|problem| {
        // Of the loss's own name, or of its options.
        let line =
            row.get(problem.path.split('.').next().unwrap_or_default()).map_or(row.line, |node| node.line);
        problem.or_line(line)
    })?;
    let weight = weight(row.get("weight"), row.get("schedule"))?;
    let every = every(row.get("every"))?;
    let tags = row.get("tags").map(read).transpose().map_err(|problem: Problem| problem.within("tags"))?;
    Ok(TermSpec { loss, weight, every, tags: tags.unwrap_or_default() })
}

fn unknown_field(name: &str, options: &[&str]) -> Problem {
    if options.contains(&name) {
        let text = format!("this is an option of the loss: write options = {{ {name} = .. }}");
        return Problem::new(text);
    }
    Problem::new(none_of("a loss has no such field", name, &FIELDS, &SYNONYMS))
}

fn every(steps: Option<&Node>) -> Result<LazyRegularization, Problem> {
    let Some(steps) = steps else { return Ok(LazyRegularization::default()) };
    let read = match steps.value {
        Value::Whole(number) => u64::try_from(number).ok().map(LazyRegularization::every),
        _ => None,
    };
    match read {
        Some(Ok(every)) => Ok(every),
        _ => Err(steps.mismatch("a number of steps, 1 or more").within("every")),
    }
}

fn weight(weight: Option<&Node>, schedule: Option<&Node>) -> Result<Schedule, Problem> {
    match (weight, schedule) {
        (Some(_), Some(schedule)) => {
            let text = "there is a `weight`, too: choose one";
            Err(Problem::new(text).within("schedule").or_line(schedule.line))
        }
        (None, Some(schedule)) => {
            let schedule =
                match schedule.value {
                    Value::Whole(_) | Value::Number(_) => Err(schedule
                        .mismatch("a table such as { linear = { .. } }; a number alone is a `weight`")),
                    _ => read(schedule),
                };
            schedule.map_err(|problem| problem.within("schedule"))
        }
        (Some(weight), None) => {
            let number: f64 = match weight.value {
                Value::Table(_) => Err(weight.mismatch("a number; a weight that changes is a `schedule`")),
                Value::List(_) => {
                    Err(weight.mismatch("a number; the `weight` of classes goes into `options`"))
                }
                _ => read(weight),
            }
            .map_err(|problem| problem.within("weight"))?;
            match number.is_finite() {
                true => Ok(Schedule::fixed(number)),
                false => Err(not_finite(number).or_line(weight.line)),
            }
        }
        (None, None) => Ok(Schedule::fixed(1.0)),
    }
}
