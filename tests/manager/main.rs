//! The loss manager against the reference's semantics and closed forms; its log, objectives and sinks that fail.

#[path = "../common/mod.rs"]
mod common;

mod compute;
mod history;
mod lazy;
mod log;
mod objective;
mod predictions;
mod schedule;
mod tensorboard;

use std::sync::OnceLock;

use serde_json::Value;

/// What `scripts/fixtures/manager.py` recorded.
fn fixture() -> &'static Value {
    static FIXTURE: OnceLock<Value> = OnceLock::new();
    FIXTURE.get_or_init(|| {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/manager.json");
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    })
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}
