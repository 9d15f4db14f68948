//! The format of `torch.save` before PyTorch 1.6: pickles of a magic number, a version, facts on the system,
//! the object and the list of storages; then, storage by storage, the number of its elements and their bytes.

use std::io::{Read, Seek};

use super::graph::{Graph, Object, Value};
use super::input::{Budget, Input};
use super::{pickle, PthError};
use crate::weights::looks;

/// The object in the file, with the places of its storages.
pub(super) fn open<R: Read + Seek>(input: &mut Input<R>, budget: &mut Budget) -> Result<Graph, PthError> {
    if !matches!(pickle::load(input, budget)?.root, Value::Magic) {
        return Err(other_pickle());
    }
    match pickle::load(input, budget)?.root {
        Value::Int(1001) => {}
        Value::Int(found) => return Err(PthError::Version { found: found.to_string() }),
        _ => return Err(PthError::Version { found: "unknown".into() }),
    }
    let system = pickle::load(input, budget)?;
    let Some(Object::Dict(facts)) = system.object(system.root) else { return Err(other_pickle()) };
    match facts.iter().find(|(key, _)| system.is_text(*key, "little_endian")) {
        Some((_, Value::Bool(true))) => {}
        Some((_, Value::Bool(false))) => return Err(PthError::BigEndian),
        _ => return Err(other_pickle()),
    }
    let mut graph = pickle::load(input, budget)?;
    let keys = pickle::load(input, budget)?;
    let Some(Object::List(order)) = keys.object(keys.root) else { return Err(other_pickle()) };
    for key in order {
        let Value::Text(key) = key else { return Err(other_pickle()) };
        let Some(index) = graph.find_storage(keys.text(*key)) else {
            // Without its type it cannot even be skipped.
            return Err(keys.storage_error(*key, "is not part of the object"));
        };
        let root = &mut graph.storages[index];
        let elements = u64::from_le_bytes(input.array()?);
        if elements != root.elements || root.position.is_some() {
            return Err(keys.storage_error(*key, "has another size in the pickle than in the data"));
        }
        root.position = Some(input.position());
        input.skip(root.bytes())?;
    }
    Ok(graph)
}

fn other_pickle() -> PthError {
    PthError::NotPth { looks: looks::PICKLE.into() }
}
