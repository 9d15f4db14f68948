//! Names, weights and options that are refused.

use super::*;

#[test]
fn names_are_unique_and_known() {
    let mut manager = tagged();
    let (x, y) = (noise(1, &[3], Kind::Float), noise(2, &[3], Kind::Float));
    let error = manager.register("A", MseLoss::default()).unwrap_err();
    let message = "a loss is already registered as `A`: unregister it first, or choose another name";
    assert_eq!(error.to_string(), message);
    // The one that was there still is.
    assert_eq!(manager.weights(&["G"]), [("A", 2.0), ("B", 3.0)]);

    let unknown = "no loss is registered as `X`, there are `A`, `B`, `C`, `D`";
    assert_eq!(manager.compute("X", (&x, &y)).unwrap_err().to_string(), unknown);
    assert_eq!(manager.compute("X", (&x, &y, &y)).unwrap_err().to_string(), unknown);
    assert_eq!(manager.compute("X", Tensor::from(1.0)).unwrap_err().to_string(), unknown);
    assert_eq!(manager.unregister("X").unwrap_err().to_string(), unknown);
    assert_eq!(manager.history("X").unwrap_err().to_string(), unknown);
    assert_eq!(manager.loss_map("X", (&x, &y)).unwrap_err().to_string(), unknown);
    let none = LossManager::new().compute("X", (&x, &y)).unwrap_err().to_string();
    assert_eq!(none, "no loss is registered as `X`, there are none");
}

#[test]
fn a_name_is_free_again() {
    let mut manager = tagged();
    let (x, y) = (noise(1, &[3], Kind::Float), noise(2, &[3], Kind::Float));
    let _ = manager.compute("A", (&x, &y)).unwrap();
    let term = manager.unregister("A").unwrap();
    assert_eq!(manager.names(&[]), ["B", "C", "D"]);
    manager.register("A", term).unwrap();
    assert_eq!(manager.names(&["G"]), ["B", "A"]);
    assert_eq!(manager.history("A").unwrap().len(), 1);
}

#[test]
fn what_is_no_loss_is_refused_and_not_recorded() {
    let mut manager = tagged();
    let x = noise(1, &[3], Kind::Float);
    let error = manager.compute("A", (&x, &noise(1, &[4], Kind::Float))).unwrap_err();
    assert!(matches!(error, Error::Shape { argument: "target", .. }), "{error}");
    let error = manager.compute("D", Tensor::new()).unwrap_err();
    assert!(matches!(error, Error::Undefined { argument: "loss" }), "{error}");
    let error = manager.compute("D", Tensor::from(3i64)).unwrap_err();
    assert!(matches!(error, Error::Kind { argument: "loss", .. }), "{error}");
    assert!(manager.last_records(&[]).unwrap().is_empty());
}

#[test]
fn weights_are_finite() {
    let mut manager = LossManager::new();
    let error = manager.register("A", Term::new(L1Loss::default()).weight(f64::NAN)).unwrap_err();
    assert_eq!(error.to_string(), "option `weight` is NaN, expected a finite number");
    let late = Schedule::custom(|epoch| if epoch < 2 { 1.0 } else { f64::INFINITY });
    manager.register("A", Term::new(L1Loss::default()).schedule(late)).unwrap();
    let x = noise(1, &[3], Kind::Float);
    manager.begin_step(1, 10);
    let _ = manager.compute("A", (&x, &x)).unwrap();
    manager.begin_step(2, 20);
    let error = manager.compute("A", (&x, &x)).unwrap_err();
    assert_eq!(error.to_string(), "option `weight` is inf, expected a finite number");
}

#[test]
fn options_are_checked_when_a_loss_is_registered() {
    let mut manager = LossManager::new();
    let error = manager.register("A", Sobel { eps: -1.0, ..Default::default() }).unwrap_err();
    assert_eq!(error.to_string(), "option `eps` is -1, expected a finite number, 0 or more");
    assert!(manager.names(&[]).is_empty());
}
