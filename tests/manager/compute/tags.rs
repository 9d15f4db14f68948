//! Totals of the losses with some tags.

use super::*;

#[test]
fn any_tag_of_the_query_matches() {
    let manager = tagged();
    assert_eq!(manager.names(&["G"]), ["A", "B"]);
    assert_eq!(manager.names(&["edges", "G"]), ["A", "B", "C"]);
    assert_eq!(manager.names(&[]), ["A", "B", "C", "D"]);
    assert!(manager.names(&["g"]).is_empty());
    assert_eq!(manager.weights(&["image"]), [("A", 2.0), ("C", 5.0)]);
    assert_eq!(manager.format_weights(&["image"], 2), "Loss weights: A: 2.0 C: 5.0");
    let maps: Vec<_> = manager.losses(&["G", "image"]).into_iter().map(|(name, _)| name).collect();
    assert_eq!(maps, ["A", "B", "C"]);
}

#[test]
fn totals_by_tag() {
    let mut manager = tagged();
    let fake = noise(1, &[1, 1, 4, 4], Kind::Double).set_requires_grad(true);
    let real = noise(2, &[1, 1, 4, 4], Kind::Double);
    let total = manager.total(&["image"], (&fake, &real)).unwrap();
    let expected =
        L1Loss::default().forward(&fake, &real) * 2.0 + Sobel::default().forward(&fake, &real) * 5.0;
    // The same two products and their sum, each rounded once.
    let rounding = 4.0 * f64::EPSILON * value(&expected);
    assert!((value(&total) - value(&expected)).abs() <= rounding);
    assert!((manager.last_total(&["image"]).unwrap() - value(&expected)).abs() <= rounding);
    // B was not computed.
    assert_eq!(manager.last_total(&["G"]).unwrap(), manager.last_records(&["G"]).unwrap()[0].weighted);
    total.backward();
    assert!(fake.grad().abs().sum(None).double_value(&[]) > 0.0);

    let error = manager.total(&["images", "x"], (&fake, &real)).unwrap_err();
    let message = "no loss has a tag of [\"images\", \"x\"], there are `G`, `image`, `edges`";
    assert_eq!(error.to_string(), message);
    // One that is misspelt does not leave its losses out.
    let message = "no loss has a tag of [\"imgae\"], there are `G`, `image`, `edges`";
    let tags = ["G", "imgae"];
    assert_eq!(manager.total(&tags, (&fake, &real)).unwrap_err().to_string(), message);
    assert_eq!(manager.last_total(&tags).unwrap_err().to_string(), message);
    assert_eq!(manager.last_records(&tags).unwrap_err().to_string(), message);
    assert_eq!(manager.loss_maps(&tags, (&fake, &real)).unwrap_err().to_string(), message);
    // Lines for people show what there is.
    assert_eq!(manager.format_losses(&["imgae"], 2).unwrap(), "(epoch: 0, iters: 0) Loss:");
    let error = manager.total(&[], (&fake, &real)).unwrap_err();
    assert!(matches!(error, Error::Manager(ManagerError::LossInputs { name, .. }) if name == "D"));
}

/// A total that fails for its inputs leaves no record of the losses that it would have computed first.
#[test]
fn a_total_of_other_inputs_records_nothing() {
    let mut manager = LossManager::new();
    manager.register("A", L1Loss::default()).unwrap();
    manager.register("B", Term::ternary(tch_losses::TripletMarginLoss::default())).unwrap();
    let x = noise(1, &[2, 3], Kind::Float);
    let error = manager.total(&[], (&x, &x)).unwrap_err();
    assert!(matches!(error, Error::Manager(ManagerError::LossInputs { .. })), "{error}");
    assert!(manager.history("A").unwrap().is_empty());
}
