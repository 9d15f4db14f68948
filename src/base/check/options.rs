//! Ranges of options that are numbers.

use std::fmt::Display;

use crate::{Error, Result};

fn refuse(option: &'static str, given: impl Display, expected: &str) -> Result<()> {
    Err(Error::Option { option, given: given.to_string(), expected: expected.into() })
}

pub(crate) fn finite(option: &'static str, value: f64) -> Result<()> {
    match value.is_finite() {
        true => Ok(()),
        false => refuse(option, value, "a finite number"),
    }
}

pub(crate) fn non_negative(option: &'static str, value: f64) -> Result<()> {
    match value.is_finite() && value >= 0.0 {
        true => Ok(()),
        false => refuse(option, value, "a finite number, 0 or more"),
    }
}

pub(crate) fn positive(option: &'static str, value: f64) -> Result<()> {
    match value.is_finite() && value > 0.0 {
        true => Ok(()),
        false => refuse(option, value, "a finite number greater than 0"),
    }
}

/// A part of a whole.
pub(crate) fn fraction(option: &'static str, value: f64) -> Result<()> {
    match (0.0..=1.0).contains(&value) {
        true => Ok(()),
        false => refuse(option, value, "a number in [0, 1]"),
    }
}

pub(crate) fn at_least_1(option: &'static str, value: i64) -> Result<()> {
    match value >= 1 {
        true => Ok(()),
        false => refuse(option, value, "a number of at least 1"),
    }
}

pub(crate) fn between(option: &'static str, value: i64, least: i64, most: i64) -> Result<()> {
    match (least..=most).contains(&value) {
        true => Ok(()),
        false => refuse(option, value, &format!("a number from {least} to {most}")),
    }
}
