//! The log in the layout of the reference.

use super::*;

#[test]
fn the_export_has_the_layout_of_the_reference() {
    let place = Place::with(whole());
    let json = place.folder.path().join("new/loss_log.json");
    let mut logged = LoggedRun::read(&place.log).unwrap();
    logged.losses["G_L1"].weights[0] = f64::NEG_INFINITY;
    logged.export(&json).unwrap();
    let text = fs::read_to_string(&json).unwrap();
    // Not JSON, but Python's.
    assert!(
        text.contains(", -Infinity") && text.contains("[-Infinity, ") && text.contains("NaN, "),
        "{text}"
    );
    assert!(serde_json::from_str::<serde_json::Value>(&text).is_err());

    for curve in logged.losses.values_mut() {
        for column in [&mut curve.weighted, &mut curve.weights] {
            column.iter_mut().filter(|number| !number.is_finite()).for_each(|number| *number = -0.1);
        }
    }
    logged.export(&json).unwrap();
    let text = fs::read_to_string(&json).unwrap();
    let given: serde_json::Value = serde_json::from_str(&text).unwrap();
    let losses: serde_json::Map<_, _> = logged
        .losses
        .iter()
        .map(|(name, curve)| {
            (name.clone(), serde_json::json!({"loss": curve.weighted, "weights": curve.weights}))
        })
        .collect();
    let expected = serde_json::json!({"LOSSMANAGER_LOG": {
        "device": "cpu",
        "dataroot": r"C:\maps",
        "dataset_length": 400,
        "experiment": run().experiment,
        "loss_functions": losses,
    }});
    // As text, which has the order of the keys.
    assert_eq!(given.to_string(), expected.to_string());
    assert_eq!(logged.losses["G_L1"].weighted[0], 50.0);

    let empty = LoggedRun { run: run(), ..Default::default() };
    empty.export(&json).unwrap();
    let given: serde_json::Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    assert_eq!(given["LOSSMANAGER_LOG"]["loss_functions"], serde_json::json!({}));
}

#[test]
fn the_export_appears_whole_or_not_at_all() {
    let place = Place::with(whole());
    let logged = LoggedRun::read(&place.log).unwrap();
    // A folder in its place.
    let taken = place.folder.path().join("taken");
    fs::create_dir(&taken).unwrap();
    fs::write(taken.join("file"), "").unwrap();
    let error = logged.export(&taken).unwrap_err();
    assert!(matches!(&error, Error::Write { path, .. } if *path == taken), "{error}");
    let mut names = place.names();
    names.sort();
    assert_eq!(names, ["loss_log.jsonl", "taken"]);

    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let (usual, json) = (place.folder.path().join("usual"), place.folder.path().join("loss_log.json"));
        File::create(&usual).unwrap();
        logged.export(&json).unwrap();
        assert_eq!(mode(&json), mode(&usual));
        LossLog::open(place.folder.path().join("log"), &run()).unwrap();
        assert_eq!(mode(&place.folder.path().join("log")), mode(&usual));
    }
}
