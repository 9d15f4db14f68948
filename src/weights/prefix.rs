//! What wrappers of a network put before the names of its parameters.

use super::WeightsFile;
use crate::printable;

/// `state_dict` and `model` are how checkpoints are nested, `module` is of `DataParallel` and `DistributedDataParallel`,
/// `_orig_mod` of `torch.compile`.
const WRAPPERS: [&str; 5] = ["state_dict", "model_state_dict", "model", "module", "_orig_mod"];

/// The prefix, made of the names of wrappers, that the tensor `name` has in a file: `module.`, `model._orig_mod.`. It is
/// empty where the name itself is there, or is not there with any such prefix. An error says what is ambiguous.
pub(crate) fn find(file: &WeightsFile, name: &str) -> Result<String, String> {
    let names = file.names();
    let is_wrapping = |prefix: &&str| match prefix.strip_suffix('.') {
        Some(wrappers) => wrappers.split('.').all(|wrapper| WRAPPERS.contains(&wrapper)),
        None => prefix.is_empty(),
    };
    let prefixes: Vec<&str> =
        names.iter().filter_map(|present| present.strip_suffix(name)).filter(is_wrapping).collect();
    match *prefixes {
        [] => Ok(String::new()),
        [prefix] => Ok(prefix.into()),
        _ if prefixes.contains(&"") => Ok(String::new()),
        [first, second, ..] => {
            let problem = format!("`{name}` is there with the prefix `{first}` and with `{second}`");
            Err(problem + &advice(file, first, "writes a file with the first"))
        }
    }
}

/// Why the tensor `name` cannot be had from a file, as the end of a sentence about it.
pub(crate) fn missing(file: &WeightsFile, name: &str) -> String {
    if let Some((_, reason)) = file.unreadable().into_iter().find(|(present, _)| present == name) {
        return reason;
    }
    let names = file.names();
    let mut prefixes = names.iter().filter_map(|present| present.strip_suffix(name));
    match prefixes.find(|prefix| prefix.ends_with('.')) {
        Some(prefix) => {
            let problem = format!("missing, but there is `{}{name}`", printable(prefix));
            problem + &advice(file, prefix, "takes the prefix off")
        }
        None => "missing".into(),
    }
}

/// What to do about a prefix.
fn advice(file: &WeightsFile, prefix: &str, effect: &str) -> String {
    match file.is_pth() {
        true => format!(": `tch-losses weights convert --strip {}` {effect}", printable(prefix)),
        false => String::new(),
    }
}
