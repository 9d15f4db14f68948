//! Losses as the fixtures record them, built by the objective's own factory: no test knows how to make a loss.

use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;

use serde_json::{json, Value};
use tch::{nn, no_grad, Kind, Tensor};
use tch_losses::manager::{Inputs, LossManager, LossSpec, NonFinite, Objective};
use tch_losses::{Architecture, Result, WeightTensor};

use crate::common::{device, hashed_parameters, Case, Fixture};

/// The families of losses, each with its file in `tests/fixtures`.
pub const FAMILIES: [&str; 17] = [
    "pixel",
    "edge",
    "structure",
    "similarity",
    "frequency",
    "adversarial",
    "penalty",
    "classification",
    "embedding",
    "distribution",
    "regression",
    "sequence",
    "perceptual",
    "segmentation",
    "boxes",
    "self_supervised",
    "audio",
];

/// A case of the fixtures with all that the loss is made of.
pub struct Recorded<'a> {
    pub fixture: &'a Fixture,
    pub case: &'a Case,
    options: Value,
    /// The kind of the loss's parameters and networks.
    kind: Kind,
}

/// A loss with its parameters.
pub struct Built {
    manager: LossManager,
    vs: nn::VarStore,
    /// What is not trainable, and what it was at first.
    state: Vec<(Tensor, Tensor)>,
}

const NAME: &str = "LOSS";

impl<'a> Recorded<'a> {
    pub fn new(fixture: &'a Fixture, case: &'a Case) -> Recorded<'a> {
        let mut options = case.options.clone();
        for role in &case.tensor_options {
            let weight = WeightTensor::from(fixture.get(case, role));
            options.insert(role.clone(), serde_json::to_value(weight).unwrap());
        }
        let kind = match case.dtype.as_str() {
            "float32" => Kind::Float,
            "float64" => Kind::Double,
            other => panic!("{}: {other}", case.name),
        };
        let mut recorded = Recorded { fixture, case, options: options.into_iter().collect(), kind };
        recorded.translate();
        recorded
    }

    /// What PyTorch, or the reference, has in another form.
    fn translate(&mut self) {
        let kind = self.kind;
        let Value::Object(options) = &mut self.options else { unreachable!("options are an object") };
        // Two options of PyTorch's are one of ours.
        if let Some(rows) = options.remove("batch_chunk_size") {
            options.insert("chunking".into(), json!({ "rows": rows }));
        }
        if let Some(method) = options.remove("chunking_method") {
            let chunking = match method.as_str().unwrap().split_once(':') {
                Some(("aspect_ratio", number)) => json!({ "aspect_ratio": number.parse::<i64>().unwrap() }),
                None if method == "aspect_ratio" => json!({ "aspect_ratio": 1 }),
                _ => method,
            };
            options.insert("chunking".into(), chunking);
        }
        // The network, by its name: its weights come from a hash.
        if let Some(trunk) = options.remove("trunk") {
            options.insert("weights".into(), json!(hashed_file(serde_json::from_value(trunk).unwrap())));
            options.insert("kind".into(), json!(if kind == Kind::Double { "f64" } else { "f32" }));
        }
        // Pairs of a name and a weight are a table.
        if let Some(Value::Array(taps)) = options.get("taps") {
            let table =
                taps.iter().map(|tap| (tap[0].as_str().unwrap().to_owned(), tap[1].clone())).collect();
            options.insert("taps".into(), Value::Object(table));
        }
    }

    /// The same with another option.
    pub fn with(mut self, option: &str, value: Value) -> Self {
        self.options[option] = value;
        self
    }

    /// The same with parameters and networks of another kind, for arguments of that kind.
    pub fn in_kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        if self.options.get("kind").is_some() {
            self.options["kind"] = json!(if kind == Kind::Double { "f64" } else { "f32" });
        }
        self
    }

    pub fn has_reduction(&self) -> bool {
        self.options.get("reduction").is_some()
    }

    /// Our name of the loss.
    pub fn loss(&self) -> &'static str {
        LossSpec::named(&self.case.loss).unwrap().name()
    }

    pub fn try_objective(&self) -> Result<Objective> {
        let file = json!({ "losses": { NAME: { "loss": self.case.loss, "options": self.options } } });
        Objective::from_json(&file.to_string())
    }

    pub fn objective(&self) -> Objective {
        self.try_objective().unwrap_or_else(|error| panic!("{}: {error}", self.case.name))
    }

    pub fn build(&self) -> Built {
        Built::new(&self.objective(), self)
    }

    /// The arguments of the call, none of which requires a gradient. A number stands for a tensor that has it
    /// everywhere.
    pub fn arguments(&self) -> Vec<(String, Tensor)> {
        let mut arguments: Vec<(String, Tensor)> = self
            .case
            .arguments
            .iter()
            .map(|role| (role.clone(), self.fixture.get(self.case, role)))
            .collect();
        for (role, number) in &self.case.numbers {
            arguments.push((role.clone(), arguments[0].1.full_like(*number)));
        }
        arguments
    }

    /// Whether PyTorch has a gradient for the argument.
    pub fn is_differentiable(&self, role: &str) -> bool {
        self.fixture.find(self.case, &format!("grad_{role}")).is_some()
    }
}

impl Built {
    /// The objective's loss, with the parameters that the case records.
    pub fn new(objective: &Objective, recorded: &Recorded) -> Built {
        let mut vs = nn::VarStore::new(device());
        if recorded.kind == Kind::Double {
            vs.set_kind(Kind::Double);
        }
        let mut manager = objective.build_in(&vs.root()).unwrap();
        manager.set_non_finite(NonFinite::Ignore);
        let Recorded { fixture, case, .. } = recorded;
        let mut found = 0;
        let mut state = Vec::new();
        for (name, mut parameter) in vs.variables() {
            let role = name.strip_prefix(&format!("{NAME}.")).unwrap();
            let recorded = fixture.get(case, role);
            no_grad(|| parameter.copy_(&recorded));
            if !parameter.requires_grad() {
                state.push((parameter, recorded));
            }
            found += 1;
        }
        assert_eq!(found, case.parameters.len(), "{}", case.name);
        Built { manager, vs, state }
    }

    /// The parameters by PyTorch's names.
    pub fn parameters(&self) -> Vec<(String, Tensor)> {
        let prefix = format!("{NAME}.");
        let named = |(name, tensor): (String, Tensor)| (name.replacen(&prefix, "", 1), tensor);
        self.vs.variables().into_iter().map(named).collect()
    }

    /// The loss of the arguments. A state is what it was at first: what is computed twice can be compared.
    pub fn compute(&mut self, case: &Case, arguments: &[Tensor]) -> Result<Tensor> {
        for (variable, recorded) in &mut self.state {
            variable.copy_(recorded);
        }
        let lists = lists(case, arguments);
        self.manager.compute(NAME, inputs(case, arguments, &lists))
    }

    pub fn map(&self, case: &Case, arguments: &[Tensor]) -> Result<Option<Tensor>> {
        let lists = lists(case, arguments);
        let maps = self.manager.loss_maps(&[], inputs(case, arguments, &lists))?;
        Ok(maps.into_iter().next().map(|(_, map)| map))
    }
}

/// The argument that a role is a part of: `fake` for `fake_1_0`, the first layer of the second scale.
pub fn list_of(role: &str) -> Option<&str> {
    let is_number = |part: &str| part.chars().all(|character| character.is_ascii_digit());
    let (rest, layer) = role.rsplit_once('_')?;
    let (list, scale) = rest.rsplit_once('_')?;
    (is_number(layer) && is_number(scale)).then_some(list)
}

/// The arguments that are lists of scales, which are lists of layers.
fn lists(case: &Case, arguments: &[Tensor]) -> Vec<Vec<Vec<Tensor>>> {
    let mut lists: Vec<Vec<Vec<Tensor>>> = Vec::new();
    for (role, tensor) in case.arguments.iter().zip(arguments).filter(|(role, _)| list_of(role).is_some()) {
        if role.ends_with("_0_0") {
            lists.push(Vec::new());
        }
        let scales = lists.last_mut().unwrap();
        if role.ends_with("_0") {
            scales.push(Vec::new());
        }
        scales.last_mut().unwrap().push(tensor.shallow_clone());
    }
    lists
}

fn inputs<'a>(case: &'a Case, arguments: &'a [Tensor], lists: &'a [Vec<Vec<Tensor>>]) -> Inputs<'a> {
    if let [fake, real] = lists {
        return (fake, real).into();
    }
    match (arguments, &case.lengths) {
        ([input], None) => input.into(),
        ([input, target], None) => (input, target).into(),
        ([first, second, third], None) => (first, second, third).into(),
        ([inputs, targets], Some(lengths)) => {
            (inputs, targets, lengths.input_lengths.as_slice(), lengths.target_lengths.as_slice()).into()
        }
        _ => panic!("{}: {} arguments", case.name, arguments.len()),
    }
}

/// A file of the hashed weights of a network, written once.
fn hashed_file(architecture: Architecture) -> PathBuf {
    static WRITING: Mutex<()> = Mutex::new(());
    let _turn = WRITING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(format!("hashed-{architecture}.safetensors"));
    if !path.exists() {
        // Other processes may be writing theirs: the last one to be renamed stays.
        let partial = folder.join(format!("hashed-{architecture}-{}.safetensors", std::process::id()));
        Tensor::write_safetensors(&hashed_parameters(architecture), &partial).unwrap();
        fs::rename(partial, &path).unwrap();
    }
    path
}
