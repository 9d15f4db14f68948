//! The documents name what there is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use tch_losses::manager::LossSpec;

fn text_of(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

/// The rows of the table with this head.
fn rows(text: &str, head: &str) -> Vec<String> {
    let lines = text.lines().map(|line| line.trim_start_matches("//! "));
    let rows = lines.skip_while(|line| *line != head).skip(2).take_while(|line| line.starts_with('|'));
    rows.map(str::to_owned).collect()
}

/// The front page of the documentation has every loss of the catalogue, by family.
#[test]
fn the_front_page_lists_every_loss() {
    let table = rows(&text_of("src/lib.rs"), "| family | losses |");
    let listed: BTreeSet<String> = table.iter().flat_map(|row| quoted(row)).collect();
    let catalogue: BTreeSet<String> = LossSpec::NAMES.iter().map(|name| name.to_string()).collect();
    assert_eq!(listed, catalogue);
}

/// The table of the README has every loss of the catalogue.
#[test]
fn the_readme_lists_every_loss() {
    let readme = text_of("README.md");
    let table = rows(&readme, "| family | losses | originals |");
    let listed: BTreeSet<String> = table.iter().flat_map(|row| quoted(row)).collect();
    for name in LossSpec::NAMES {
        assert!(listed.contains(*name), "{name}");
    }
}

/// The documentation above the declaration of a type.
fn page_of(name: &str) -> String {
    let declaration = format!("\npub struct {name} {{");
    let source = sources().into_iter().find(|source| source.contains(&declaration)).expect(name);
    let above: Vec<&str> = source.split(&declaration).next().unwrap().lines().collect();
    let page = above.rsplit(|line| !(line.starts_with("///") || line.starts_with("#["))).next().unwrap();
    page.join("\n")
}

/// Whoever looks something up finds it at the same place on the page of each loss on images.
#[test]
fn pages_of_losses_on_images_have_the_same_parts() {
    let families = ["pixel", "edge", "structure", "similarity", "frequency", "perceptual"];
    let parts = ["Shapes", "Values", "Gradients", "Map", "Defaults", "Errors"];
    for name in LossSpec::NAMES {
        if families.contains(&LossSpec::named(name).unwrap().family()) {
            let page = page_of(name);
            for part in parts {
                assert!(page.contains(&format!("/// - **{part}**: ")), "{name} lacks {part}");
            }
            assert!(page.contains("/// ```text") && page.contains("\n/// Source:"), "{name}");
        }
    }
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

/// The table of the losses of `torch.nn` names the options that there are, and all of them.
#[test]
fn the_table_of_torch_nn_names_the_options_that_there_are() {
    // Arguments, methods, and PyTorch's names for some of ours.
    let beside = ["reduction", "BatchMean", "batchmean", "var", "cutoffs", "log_prob", "predict", "options"];
    // Arguments of constructors in PyTorch.
    let sizes = ["reduction", "in_features", "num_classes", "n_classes", "cutoffs"];
    let fields = fields_of_the_crate();
    let options = |loss: &str| -> BTreeSet<String> {
        let config = match loss {
            "LinearCrossEntropyLoss" => "LinearCrossEntropyConfig",
            "AdaptiveLogSoftmaxWithLoss" => "AdaptiveLogSoftmaxConfig",
            loss => loss,
        };
        fields[config].iter().filter(|field| !sizes.contains(&field.as_str())).cloned().collect()
    };
    let mut losses = 0;
    for row in rows(&text_of("src/lib.rs"), "| `torch.nn` | here | options |") {
        let cells: Vec<&str> = row.split('|').collect();
        let mut named: BTreeSet<String> = BTreeSet::new();
        for name in quoted(cells[3]).into_iter().filter(|name| !beside.contains(&name.as_str())) {
            // Those of another loss, or one.
            named.extend(if fields.contains_key(&name) { options(&name) } else { [name].into() });
        }
        for loss in quoted(cells[2]) {
            assert_eq!(named, options(&loss), "{row}");
            losses += 1;
        }
    }
    assert_eq!(losses, 23);
}
