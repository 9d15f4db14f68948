//! The losses of torch.nn against PyTorch: value and all gradients, as recorded in `tests/fixtures/nn_*`.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use common::{assert_as_in_pytorch, device, Case, Fixture, Options, Rounding};
use serde_json::Value;
use tch::{nn, no_grad, Kind, Tensor};
use tch_losses::{
    AdaptiveLogSoftmaxConfig, AdaptiveLogSoftmaxWithLoss, BceLoss, Chunking, CrossEntropyLoss,
    GaussianNllLoss, HuberLoss, KlDivLoss, KlDivReduction, LinearCrossEntropyConfig, LinearCrossEntropyLoss,
    Loss, NllLoss, PoissonNllLoss, SmoothL1Loss,
};

/// A case with the tensors that PyTorch was given.
struct Call<'a> {
    fixture: &'a Fixture,
    case: &'a Case,
    options: Options<'a>,
}

impl Call<'_> {
    /// An argument, which requires a gradient where PyTorch recorded one.
    fn argument(&self, role: &str) -> Tensor {
        let tensor = self.fixture.get(self.case, role);
        let differentiable = self.fixture.find(self.case, &format!("grad_{role}")).is_some();
        assert_eq!(differentiable, tensor.is_floating_point(), "{} {role}", self.case.name);
        tensor.set_requires_grad(differentiable)
    }

    fn weight(&self) -> Option<Tensor> {
        self.fixture.find(self.case, "weight")
    }

    /// An option, or the default that we have for it, which must be PyTorch's, for it was not given there.
    fn option<T: serde::de::DeserializeOwned>(&mut self, name: &str, default: T) -> T {
        self.options.take(name).map_or(default, |value| serde_json::from_value(value.clone()).unwrap())
    }

    fn close(&self, role: &str, actual: &Tensor) {
        let what = format!("{} {role}", self.case.name);
        let expected = self.fixture.get(self.case, role);
        // Behind a linear layer, small gradients are differences of large ones.
        let behind_layer = self.case.options.contains_key("in_features") && role.starts_with("grad_");
        let rounding = if behind_layer { Rounding::OfLarger } else { Rounding::OfResult };
        assert_as_in_pytorch(&what, actual, &expected, rounding);
    }

    /// Value and gradients are those of PyTorch; `leaves` are what has some, by role.
    fn check(self, value: &Tensor, leaves: &[(&str, &Tensor)]) {
        self.close("value", value);
        let places = Tensor::arange(value.numel() as i64, (Kind::Double, device())).view_as(value);
        let upstream: Tensor = 1.75 - places.remainder(4.0);
        (value * upstream.to_kind(value.kind())).sum(None).backward();
        for (role, leaf) in leaves.iter().filter(|(_, leaf)| leaf.requires_grad()) {
            let gradient = if leaf.grad().defined() { leaf.grad() } else { leaf.zeros_like() };
            self.close(&format!("grad_{role}"), &gradient);
        }
        self.options.finish();
    }
}

/// Gives every case of a family to `run`; `counts` are what must have been there.
fn each(family: &str, counts: &[(&str, usize)], mut run: impl FnMut(Call)) {
    let fixture = Fixture::load(family);
    let mut found = BTreeMap::new();
    for case in &fixture.cases {
        *found.entry(case.loss.as_str()).or_insert(0) += 1;
        run(Call { fixture: &fixture, case, options: Options::of(case) });
    }
    assert_eq!(found, counts.iter().copied().collect());
}

/// The same for losses of an input and a target, which `build` makes of the options.
fn each_pair(family: &str, counts: &[(&str, usize)], build: impl Fn(&mut Call) -> Box<dyn Loss>) {
    each(family, counts, |mut call| {
        let loss = build(&mut call);
        let (input, target) = (call.argument("input"), call.argument("target"));
        let value = loss.forward(&input, &target);
        call.check(&value, &[("input", &input), ("target", &target)]);
    });
}

#[test]
fn regression() {
    each_pair("nn_regression", &[("SmoothL1Loss", 27), ("HuberLoss", 24)], |call| {
        let reduction = call.options.reduction();
        match call.case.loss.as_str() {
            "SmoothL1Loss" => {
                Box::new(SmoothL1Loss { beta: call.option("beta", SmoothL1Loss::default().beta), reduction })
            }
            "HuberLoss" => {
                Box::new(HuberLoss { delta: call.option("delta", HuberLoss::default().delta), reduction })
            }
            other => panic!("{other}"),
        }
    });
}

#[test]
fn binary() {
    each_pair("nn_binary", &[("BCELoss", 39)], |call| {
        Box::new(BceLoss { weight: call.weight(), reduction: call.options.reduction() })
    });
}

#[test]
fn classification() {
    each_pair("nn_classification", &[("CrossEntropyLoss", 141), ("NLLLoss", 63)], |call| {
        let (weight, reduction) = (call.weight(), call.options.reduction());
        match call.case.loss.as_str() {
            "CrossEntropyLoss" => {
                let default = CrossEntropyLoss::default();
                Box::new(CrossEntropyLoss {
                    weight,
                    ignore_index: call.option("ignore_index", default.ignore_index),
                    label_smoothing: call.option("label_smoothing", default.label_smoothing),
                    reduction,
                })
            }
            "NLLLoss" => {
                let ignore_index = call.option("ignore_index", NllLoss::default().ignore_index);
                Box::new(NllLoss { weight, ignore_index, reduction })
            }
            other => panic!("{other}"),
        }
    });
}

#[test]
fn distribution() {
    let counts = [("KLDivLoss", 44), ("PoissonNLLLoss", 42), ("GaussianNLLLoss", 63)];
    each("nn_distribution", &counts, |mut call| {
        let (input, target) = (call.argument("input"), call.argument("target"));
        let loss: Box<dyn Loss> = match call.case.loss.as_str() {
            "KLDivLoss" => Box::new(KlDivLoss {
                reduction: match call.option("reduction", String::new()).as_str() {
                    "none" => KlDivReduction::None,
                    "batchmean" => KlDivReduction::BatchMean,
                    "mean" => KlDivReduction::Mean,
                    "sum" => KlDivReduction::Sum,
                    other => panic!("{other}"),
                },
                log_target: call.option("log_target", KlDivLoss::default().log_target),
            }),
            "PoissonNLLLoss" => {
                let default = PoissonNllLoss::default();
                Box::new(PoissonNllLoss {
                    log_input: call.option("log_input", default.log_input),
                    full: call.option("full", default.full),
                    eps: call.option("eps", default.eps),
                    reduction: call.options.reduction(),
                })
            }
            "GaussianNLLLoss" => {
                let default = GaussianNllLoss::default();
                let loss = GaussianNllLoss {
                    full: call.option("full", default.full),
                    eps: call.option("eps", default.eps),
                    reduction: call.options.reduction(),
                };
                if let Some(number) = call.options.take("var") {
                    let value = loss.forward(&input, &target, number.as_f64().unwrap());
                    return call.check(&value, &[("input", &input), ("target", &target)]);
                }
                let var = call.argument("var");
                let value = loss.forward(&input, &target, &var);
                return call.check(&value, &[("input", &input), ("target", &target), ("var", &var)]);
            }
            other => panic!("{other}"),
        };
        let value = loss.forward(&input, &target);
        call.check(&value, &[("input", &input), ("target", &target)]);
    });
}

/// A variable store whose parameters are those of the case, found by PyTorch's names.
fn filled<T>(call: &Call, build: impl FnOnce(&nn::Path) -> T) -> (nn::VarStore, T) {
    let mut vs = nn::VarStore::new(device());
    if call.case.dtype == "float64" {
        vs.set_kind(Kind::Double);
    }
    let module = build(&vs.root());
    for (name, mut parameter) in vs.variables() {
        no_grad(|| parameter.copy_(&call.fixture.get(call.case, &format!("parameter.{name}"))));
    }
    (vs, module)
}

/// As [`Call::check`], with the parameters in the store among the leaves.
fn check_module(call: Call, vs: &nn::VarStore, value: &Tensor, input: &Tensor, target: &Tensor) {
    let parameters: Vec<(String, Tensor)> =
        vs.variables().into_iter().map(|(name, tensor)| (format!("parameter.{name}"), tensor)).collect();
    assert!(parameters.iter().all(|(_, parameter)| parameter.requires_grad()));
    let mut leaves = vec![("input", input), ("target", target)];
    leaves.extend(parameters.iter().map(|(role, parameter)| (role.as_str(), parameter)));
    call.check(value, &leaves);
}

#[test]
fn adaptive() {
    each("nn_adaptive", &[("AdaptiveLogSoftmaxWithLoss", 15)], |mut call| {
        let default = AdaptiveLogSoftmaxConfig::default();
        let (in_features, n_classes) = (call.option("in_features", 0), call.option("n_classes", 0));
        let cutoffs: Vec<i64> = call.option("cutoffs", vec![]);
        let config = AdaptiveLogSoftmaxConfig {
            div_value: call.option("div_value", default.div_value),
            head_bias: call.option("head_bias", default.head_bias),
        };
        let (vs, loss) = filled(&call, |vs| {
            AdaptiveLogSoftmaxWithLoss::new(vs, in_features, n_classes, &cutoffs, config).unwrap()
        });
        let (input, target) = (call.argument("input"), call.argument("target"));
        let result = loss.forward(&input, &target);
        call.close("output", &result.output);
        call.close("loss", &result.loss);
        if input.dim() == 2 {
            call.close("log_prob", &loss.log_prob(&input).unwrap());
            call.close("predict", &loss.predict(&input).unwrap());
        }
        check_module(call, &vs, &(result.output + result.loss), &input, &target);
    });
}

#[test]
fn linear() {
    each("nn_linear", &[("LinearCrossEntropyLoss", 59)], |mut call| {
        let default = LinearCrossEntropyConfig::default();
        let (in_features, num_classes) = (call.option("in_features", 0), call.option("num_classes", 0));
        let rows: Option<i64> = call.option("batch_chunk_size", None);
        let method: Option<String> = call.option("chunking_method", None);
        let config = LinearCrossEntropyConfig {
            out_features: call.option("out_features", default.out_features),
            bias: call.option("bias", default.bias),
            weight: call.weight(),
            ignore_index: call.option("ignore_index", default.ignore_index),
            label_smoothing: call.option("label_smoothing", default.label_smoothing),
            reduction: call.options.reduction(),
            chunking: match (rows, method.as_deref()) {
                (None, None) => default.chunking,
                (Some(rows), None) => Chunking::Rows(rows),
                (None, Some("auto")) => Chunking::Auto,
                (None, Some("aspect_ratio")) => Chunking::AspectRatio(1),
                (None, Some("aspect_ratio:3")) => Chunking::AspectRatio(3),
                other => panic!("{other:?}"),
            },
        };
        let (vs, loss) =
            filled(&call, |vs| LinearCrossEntropyLoss::new(vs, in_features, num_classes, config).unwrap());
        let (input, target) = (call.argument("input"), call.argument("target"));
        let value = loss.forward(&input, &target);
        check_module(call, &vs, &value, &input, &target);
    });
}

/// The text of every source file of the crate.
fn sources() -> Vec<String> {
    fn visit(folder: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                visit(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut found = Vec::new();
    visit(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    found
}

/// The first word of a text.
fn word(text: &str) -> String {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap().to_owned()
}

/// The names under which the crate offers its structs: their own, and those of `#[doc(alias = "...")]`.
fn types_of_the_crate() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for source in sources() {
        let mut aliases = Vec::new();
        for line in source.lines() {
            if let Some(alias) = line.strip_prefix("#[doc(alias = \"") {
                aliases.push(alias.trim_end_matches("\")]").to_owned());
            } else if let Some(rest) = line.strip_prefix("pub struct ") {
                found.insert(word(rest));
                found.extend(aliases.drain(..));
            } else if !line.starts_with("#[") {
                aliases.clear();
            }
        }
    }
    found
}

/// The public fields of each struct of the crate.
fn fields_of_the_crate() -> BTreeMap<String, BTreeSet<String>> {
    let mut found = BTreeMap::new();
    for source in sources() {
        for part in source.split("\npub struct ").skip(1) {
            let body = part.split("\n}").next().unwrap();
            let fields = body.lines().filter_map(|line| line.strip_prefix("    pub "));
            found.insert(word(part), fields.map(word).collect());
        }
    }
    found
}

/// What stands between backticks.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The tables of losses in the README and in the documentation name the options that there are, and all of
/// them.
#[test]
fn the_tables_of_losses_name_the_options_that_there_are() {
    // Arguments, methods, and PyTorch's names for some of ours.
    let beside = ["reduction", "BatchMean", "batchmean", "var", "cutoffs", "log_prob", "predict", "options"];
    let fields = fields_of_the_crate();
    let options = |loss: &str| -> BTreeSet<String> {
        let config = match loss {
            "LinearCrossEntropyLoss" => "LinearCrossEntropyConfig",
            "AdaptiveLogSoftmaxWithLoss" => "AdaptiveLogSoftmaxConfig",
            loss => loss,
        };
        fields[config].iter().filter(|field| *field != "reduction").cloned().collect()
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tables = [
        ("README.md", "| here | in `torch.nn` | options beside `reduction` |", 1),
        ("src/lib.rs", "| `torch.nn` | here | options |", 2),
    ];
    for (file, head, here) in tables {
        let text = fs::read_to_string(root.join(file)).unwrap();
        let lines = text.lines().map(|line| line.trim_start_matches("//! "));
        let rows = lines.skip_while(|line| *line != head).skip(2).take_while(|line| line.starts_with('|'));
        let mut losses = 0;
        for row in rows {
            let cells: Vec<&str> = row.split('|').collect();
            let mut named: BTreeSet<String> = BTreeSet::new();
            for name in quoted(cells[3]).into_iter().filter(|name| !beside.contains(&name.as_str())) {
                // Those of another loss, or one.
                named.extend(if fields.contains_key(&name) { options(&name) } else { [name].into() });
            }
            for loss in quoted(cells[here]) {
                assert_eq!(named, options(&loss), "{file}: {row}");
                losses += 1;
            }
        }
        assert_eq!(losses, 23, "{file}");
    }
}

/// No loss of PyTorch is forgotten: each has a type here and cases among the fixtures.
#[test]
fn every_loss_of_torch_nn_is_mirrored_and_tested() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let recorded: Value =
        serde_json::from_slice(&fs::read(fixtures.join("nn_losses.json")).unwrap()).unwrap();
    let losses: BTreeSet<String> = serde_json::from_value(recorded["losses"].clone()).unwrap();
    assert_eq!(losses.len(), 23);

    let mut tested = BTreeSet::new();
    for entry in fs::read_dir(fixtures).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "safetensors") {
            let family = path.file_stem().unwrap().to_str().unwrap();
            tested.extend(Fixture::load(family).cases.into_iter().map(|case| case.loss));
        }
    }
    let types = types_of_the_crate();
    let without = |names: &BTreeSet<String>| losses.difference(names).cloned().collect::<Vec<_>>();
    assert_eq!((without(&types), without(&tested)), (vec![], vec![]), "without a type, without a fixture");
}
