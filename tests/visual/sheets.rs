//! The contact sheets that a training writes.

use std::fs;
use std::path::Path;

use tch::{Device, Kind, Tensor};
use tch_losses::manager::{LossManager, Term};
use tch_losses::visual::{image, ContactSheet, SheetWriter};
use tch_losses::{Error, L1Loss, Loss, Reduction, Sobel, TripletMarginLoss};

use crate::common::noise;

fn batch(seed: i64) -> Tensor {
    noise(seed, &[3, 3, 12, 10], Kind::Float).to_device(Device::Cpu)
}

fn manager() -> LossManager {
    let mut manager = LossManager::new();
    let sum = L1Loss { reduction: Reduction::Sum };
    manager.register("G_L1", Term::new(sum).weight(100.0).tags(["G", "pixel"])).unwrap();
    manager.register("G_SOBEL", Term::new(Sobel::default()).tags(["G"])).unwrap();
    manager.register("G_TRIPLET", Term::ternary(TripletMarginLoss::default()).tags(["G"])).unwrap();
    manager.register("../D: a/b\u{202e}\n", Term::new(L1Loss::default()).tags(["D"])).unwrap();
    manager
}

fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn every_so_many_steps_the_image_losses_are_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("deep/sheets");
    let sheets = SheetWriter { folder: folder.clone(), every: 500, range: (-1.0, 1.0) };
    let (fake, real) = (batch(0).set_requires_grad(true), batch(1));
    for step in [1, 499, 501, 999] {
        sheets.write(&manager(), &["G"], step, &fake, &real).unwrap();
    }
    assert!(!folder.exists());
    for step in [0, 500, 1_000_000] {
        sheets.write(&manager(), &["G"], step, &fake, &real).unwrap();
    }
    assert_eq!(names(&folder), ["step-000000", "step-000500", "step-1000000"]);
    // The third loss with the tag has no map.
    assert_eq!(names(&folder.join("step-000500")), ["G_L1.png", "G_SOBEL.png"]);

    // The sheet is that of the first image, with the mean, and without the weight.
    let (first, of_real) = (fake.detach().narrow(0, 0, 1), real.narrow(0, 0, 1));
    let sheet = ContactSheet {
        name: "G_L1",
        value: L1Loss::default().forward(&first, &of_real).double_value(&[]),
        fake: &first,
        real: &of_real,
        range: (-1.0, 1.0),
        responses: None,
        map: L1Loss::default().loss_map(&first, &of_real).unwrap().unwrap(),
    };
    let written = image::open(folder.join("step-000500/G_L1.png")).unwrap().into_rgb8();
    assert!(written == sheet.render().unwrap());
}

#[test]
fn tags_choose_and_names_become_file_names() {
    let folder = tempfile::tempdir().unwrap();
    let sheets = SheetWriter { folder: folder.path().into(), every: 1, range: (-1.0, 1.0) };
    sheets.write(&manager(), &["D", "pixel"], 7, &batch(0), &batch(1)).unwrap();
    assert_eq!(names(folder.path()), ["step-000007"]);
    let step = folder.path().join("step-000007");
    assert_eq!(names(&step), [".._D_ a_b__.png", "G_L1.png"]);
    // Again, over the old ones.
    let before = fs::read(step.join("G_L1.png")).unwrap();
    sheets.write(&manager(), &["pixel"], 7, &batch(2), &batch(3)).unwrap();
    assert_ne!(fs::read(step.join("G_L1.png")).unwrap(), before);
    assert_eq!(names(&step).len(), 2);
}

#[test]
fn what_cannot_be_drawn_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let sheets = SheetWriter { folder: folder.path().into(), every: 2, range: (-1.0, 1.0) };
    let write = |sheets: &SheetWriter, step, fake: &Tensor, real: &Tensor| {
        sheets.write(&manager(), &["G"], step, fake, real).unwrap_err()
    };
    let (fake, real) = (batch(0), batch(1));
    let error = write(&SheetWriter { every: 0, ..sheets.clone() }, 1, &fake, &real);
    assert_eq!(error.to_string(), "option `every` is 0, expected 1 or more");
    let error = write(&SheetWriter { range: (1.0, -1.0), ..sheets.clone() }, 2, &fake, &real);
    assert!(matches!(error, Error::Option { option: "range", .. }), "{error}");
    let error = write(&sheets, 2, &fake.get(0), &real);
    assert!(matches!(error, Error::Shape { argument: "fake", .. }), "{error}");
    let error = write(&sheets, 2, &fake, &real.narrow(3, 0, 5));
    assert!(matches!(error, Error::Shape { .. }), "{error}");
    let error = write(&sheets, 2, &Tensor::new(), &real);
    assert!(matches!(error, Error::Undefined { argument: "fake" }), "{error}");
    assert!(names(folder.path()).is_empty());

    fs::write(folder.path().join("step-000002"), "in the way").unwrap();
    let error = write(&sheets, 2, &fake, &real);
    assert!(matches!(&error, Error::Write { path, .. } if path.ends_with("step-000002/G_L1.png")), "{error}");
}
