//! Lazy regularisation: losses that are due in some of the steps.

use tch::{nn, nn::OptimizerConfig, Device, Kind, Tensor};
use tch_losses::manager::log::{LoggedRun, LossLog, RunInfo};
use tch_losses::manager::{LazyRegularization, LossManager, Objective, Ramp, Schedule, Term};
use tch_losses::{CtcLoss, Error, GanLoss, L1Loss, MseLoss};

use crate::common::{device, noise, value};

fn lazy(steps: u64) -> LazyRegularization {
    LazyRegularization::every(steps).unwrap()
}

#[test]
fn steps_that_are_due() {
    let due = |steps: u64| (0..40).filter(|step| lazy(steps).is_due(*step)).collect::<Vec<_>>();
    assert_eq!(due(1), (0..40).collect::<Vec<_>>());
    assert_eq!(due(4), [0, 4, 8, 12, 16, 20, 24, 28, 32, 36]);
    assert_eq!(due(16), [0, 16, 32]);
    assert_eq!(due(u64::MAX), [0]);
    assert!(lazy(u64::MAX).is_due(u64::MAX) && lazy(u64::MAX).factor().is_finite());
    assert_eq!(LazyRegularization::default(), lazy(1));
    let error = LazyRegularization::every(0).unwrap_err();
    assert!(matches!(error, Error::Option { option: "every", .. }));
    assert_eq!(error.to_string(), "option `every` is 0, expected 1 or more");
}

/// StyleGAN2's own numbers: a rate of 0.002 and betas of 0 and 0.99, with 16 steps and with 4.
#[test]
fn adam_with_additional_steps() {
    for (steps, rate, beta2) in [(16, 0.002 * 16.0 / 17.0, 0.990585), (4, 0.0016, 0.991992)] {
        let lazy = lazy(steps);
        assert_eq!((lazy.steps(), lazy.factor()), (steps, steps as f64));
        assert!((lazy.learning_rate(0.002) - rate).abs() < 1e-15);
        let (own1, own2) = lazy.betas((0.0, 0.99));
        assert_eq!(own1, 0.0);
        assert!((own2 - beta2).abs() < 1e-6, "{own2}");
        // As many steps more forget as much.
        let forgotten = own2.powi(steps as i32 + 1);
        assert!((forgotten - 0.99f64.powi(steps as i32)).abs() < 1e-12);
    }
    let adam = nn::Adam { beta1: lazy(16).betas((0.5, 0.99)).0, ..Default::default() };
    let store = nn::VarStore::new(Device::Cpu);
    let _ = store.root().zeros("x", &[1]);
    assert!(adam.build(&store, lazy(16).learning_rate(2e-3)).is_ok());
}

/// Otherwise it would count k times in every step of a loop that tells no steps.
#[test]
fn a_lazy_loss_needs_to_know_the_step() {
    let mut manager = LossManager::new();
    manager.register("D_R1", Term::value().every(16)).unwrap();
    let error = manager.compute("D_R1", Tensor::from(1.0)).unwrap_err().to_string();
    assert_eq!(
        error,
        "the loss `D_R1` is computed once in 16 steps: call `LossManager::begin_step` at each step"
    );
    manager.begin_step(0, 0);
    assert_eq!(value(&manager.compute("D_R1", Tensor::from(1.0)).unwrap()), 16.0);
}

/// Over k steps, a lazy loss counts as much as one in every step.
#[test]
fn a_lazy_loss_counts_as_often_as_it_is_left_out() {
    let mut manager = LossManager::new();
    let ramp = Ramp { start_epoch: 1, end_epoch: 3, initial_value: 2.0, target_value: 8.0 };
    let schedule = Schedule::linear(ramp).unwrap();
    manager.register("ALWAYS", Term::new(L1Loss::default()).schedule(schedule.clone())).unwrap();
    manager.register("LAZY", Term::new(L1Loss::default()).schedule(schedule).every(4)).unwrap();
    let (x, y) = (noise(1, &[2, 3], Kind::Double), noise(2, &[2, 3], Kind::Double));
    let [mut always, mut lazy] = [0.0, 0.0];
    for step in 0..24 {
        let epoch = step / 8;
        manager.begin_step(epoch, step);
        always += value(&manager.compute("ALWAYS", (&x, &y)).unwrap());
        assert_eq!(manager.is_due("LAZY").unwrap(), step % 4 == 0);
        assert!(manager.is_due("ALWAYS").unwrap());
        if manager.is_due("LAZY").unwrap() {
            lazy += value(&manager.compute("LAZY", (&x, &y)).unwrap());
        }
    }
    assert!((always / lazy - 1.0).abs() < 1e-12, "{always} {lazy}");
    let records = manager.history("LAZY").unwrap();
    let told: Vec<(u64, u64, f64)> = records.iter().map(|r| (r.epoch, r.step, r.weight)).collect();
    assert_eq!(told, [(0, 0, 8.0), (0, 4, 8.0), (1, 8, 20.0), (1, 12, 20.0), (2, 16, 32.0), (2, 20, 32.0)]);
    assert!(records.iter().all(|record| record.weighted == record.weight * record.value));
    // That of every step.
    assert_eq!(manager.weights(&[]), [("ALWAYS", 8.0), ("LAZY", 8.0)]);
}

/// Totals leave out what is not due; a run that goes on in the middle has the same.
#[test]
fn totals() {
    let make = || {
        let mut manager = LossManager::new();
        manager.register("L1", Term::new(L1Loss::default()).tags(["G"])).unwrap();
        let lazy = Term::new(MseLoss::default()).weight(0.5).every(3);
        manager.register("MSE", lazy.tags(["G", "rare"])).unwrap();
        manager
    };
    let (x, y) = (noise(1, &[5], Kind::Double), noise(2, &[5], Kind::Double));
    let l1 = value(&(&x - &y).abs().mean(None));
    let mse = value(&(&x - &y).square().mean(None));
    let mut manager = make();
    for step in 0..10 {
        let mut resumed = make();
        for manager in [&mut manager, &mut resumed] {
            manager.begin_step(0, step);
            let total = value(&manager.total(&["G"], (&x, &y)).unwrap());
            let rare = value(&manager.total(&["rare"], (&x, &y)).unwrap());
            let lazy = if step % 3 == 0 { 1.5 * mse } else { 0.0 };
            assert!(
                (total - l1 - lazy).abs() < 1e-14 && (rare - lazy).abs() < 1e-14,
                "{step}: {total} {rare}"
            );
            // The last record of the lazy loss is of an earlier step.
            assert!((manager.last_total(&["G"]).unwrap() - l1 - lazy).abs() < 1e-14);
            assert!((manager.last_total(&["rare"]).unwrap() - lazy).abs() < 1e-14);
        }
    }
    assert_eq!(manager.last_records(&["G"]).unwrap().len(), 2);
    assert!(manager.format_losses(&["rare"], 2).unwrap().contains(" MSE: "));
    // Nothing is due in step 10: a zero of the inputs' kind, without a graph.
    manager.begin_step(1, 10);
    let half = x.to_kind(Kind::Half).set_requires_grad(true);
    let none = manager.total(&["rare"], (&half, &y.to_kind(Kind::Half))).unwrap();
    assert_eq!((none.kind(), none.device(), none.dim(), value(&none)), (Kind::Half, device(), 0, 0.0));
    assert!(!none.requires_grad());
    // Other inputs are an error in each step.
    for step in [10, 12] {
        manager.begin_step(1, step);
        let error = manager.total(&["rare"], &x).unwrap_err().to_string();
        assert_eq!(error, "the loss `MSE` is a loss of two tensors: pass `(&input, &target)`");
    }
    assert!(manager.total(&["none"], (&x, &y)).is_err() && manager.last_total(&["none"]).is_err());
    assert!(LossManager::new().total(&[], (&x, &y)).is_err());
}

/// A zero for inputs of every form.
#[test]
fn sums_of_nothing() {
    let mut manager = LossManager::new();
    manager.register("VALUE", Term::value().every(2).tags(["value"])).unwrap();
    manager.register("CTC", Term::sequence(CtcLoss::default()).every(2).tags(["ctc"])).unwrap();
    let gan = GanLoss::default();
    manager.register("G", Term::generator(gan).every(2).tags(["generator"])).unwrap();
    manager.register("D", Term::discriminator(gan).every(2).tags(["discriminator"])).unwrap();
    manager.begin_step(0, 1);
    let x = noise(1, &[4, 1, 3], Kind::Double);
    let (scales, none) = (vec![vec![], vec![x.shallow_clone()]], Vec::<Tensor>::new());
    let targets = Tensor::zeros([1, 2], (Kind::Int64, device()));
    for (zero, kind) in [
        (manager.total(&["value"], x.shallow_clone()), Kind::Double),
        (manager.total(&["value"], targets.shallow_clone()), Kind::Float),
        (manager.total(&["value"], Tensor::new()), Kind::Float),
        (manager.total(&["ctc"], (&x, &targets, &[4], &[2])), Kind::Double),
        (manager.total(&["generator"], &x), Kind::Double),
        (manager.total(&["generator"], &scales), Kind::Double),
        (manager.total(&["generator"], &none), Kind::Float),
        (manager.total(&["discriminator"], (&x, &none)), Kind::Double),
    ] {
        let zero = zero.unwrap();
        assert_eq!((zero.kind(), zero.numel(), value(&zero.to_kind(Kind::Double))), (kind, 1, 0.0));
    }
}

#[test]
fn what_is_not_due_is_not_computed() {
    let mut manager = LossManager::new();
    manager.register("LAZY", Term::new(L1Loss::default()).every(16)).unwrap();
    let x = noise(1, &[3], Kind::Float);
    manager.begin_step(0, 17);
    let error = manager.compute("LAZY", (&x, &x)).unwrap_err().to_string();
    assert_eq!(
        error,
        "the loss `LAZY` is not due in step 17: it is computed once in 16 steps, see `LossManager::is_due`"
    );
    assert!(manager.history("LAZY").unwrap().is_empty());
    let error = manager.is_due("LAZI").unwrap_err().to_string();
    assert_eq!(error, "no loss is registered as `LAZI`, there are `LAZY`");
    let error = manager.register("NEVER", Term::new(L1Loss::default()).every(0)).unwrap_err().to_string();
    assert_eq!(error, "option `every` is 0, expected 1 or more");
    // A term that is taken out and put back is as it was.
    let term = manager.unregister("LAZY").unwrap();
    manager.register("AGAIN", term).unwrap();
    assert!(!manager.is_due("AGAIN").unwrap());
}

#[test]
fn steps_in_a_file() {
    let text = "
        [losses.D_GAN]
        loss = 'L1Loss'
        tags = 'D'
        [losses.D_R1]
        loss = 'MSELoss'
        weight = 5
        every = 16
        tags = 'D'
    ";
    let objective = Objective::from_toml(text).unwrap();
    assert_eq!((objective.losses["D_GAN"].every, objective.losses["D_R1"].every), (lazy(1), lazy(16)));
    let (toml, json) = (objective.to_toml().unwrap(), objective.to_json().unwrap());
    assert_eq!((toml.matches("every").count(), json.matches("every").count()), (1, 1));
    assert_eq!(Objective::from_toml(&toml).unwrap(), objective);
    assert_eq!(Objective::from_json(&json).unwrap(), objective);
    let summary = "\
D_GAN  L1Loss   weight 1                  tags D
D_R1   MseLoss  weight 5, every 16 steps  tags D

tag D  D_GAN, D_R1
";
    assert_eq!(objective.to_string(), summary);
    let mut manager = objective.build(device()).unwrap();
    let (x, y) = (noise(1, &[5], Kind::Double), noise(2, &[5], Kind::Double));
    manager.begin_step(0, 0);
    let mse = manager.compute("D_R1", (&x, &y)).unwrap();
    assert!((value(&mse) / value(&(&x - &y).square().mean(None)) - 80.0).abs() < 1e-12);
    manager.begin_step(0, 15);
    assert!(!manager.is_due("D_R1").unwrap() && manager.is_due("D_GAN").unwrap());

    for given in ["0", "-1", "1.5", "'16'", "true", "[16]", "{ steps = 16 }", "18446744073709551616"] {
        let text = format!("[losses.X]\nloss = 'L1Loss'\nevery = {given}");
        let error = Objective::from_toml(&text).unwrap_err().to_string();
        let (start, end) =
            ("objective: losses.X.every: given ", ", expected a number of steps, 1 or more (line 3)");
        assert!(error.starts_with(start) && error.ends_with(end) || given.len() == 20, "{error}");
    }
    for synonym in ["interval", "lazy", "net_d_reg_every"] {
        let text = format!("[losses.X]\nloss = 'L1Loss'\n{synonym} = 16");
        let error = Objective::from_toml(&text).unwrap_err().to_string();
        assert!(error.contains("did you mean `every`?"), "{error}");
    }
}

/// A run that is interrupted and goes on from a checkpoint has the log of one that was not.
#[test]
fn a_resumed_run_has_the_same_steps() {
    let folder = tempfile::tempdir().unwrap();
    let run = |file: &str, log: &dyn Fn(&std::path::Path) -> LossLog, steps: std::ops::Range<u64>| {
        let path = folder.path().join(file);
        let mut manager = LossManager::new();
        manager.register("L1", L1Loss::default()).unwrap();
        manager.register("LAZY", Term::new(MseLoss::default()).weight(0.5).every(8)).unwrap();
        manager.log_to(log(&path));
        for step in steps {
            manager.begin_step(step / 10, step);
            let (x, y) = (noise(step as i64, &[4], Kind::Double), noise(99, &[4], Kind::Double));
            let _ = manager.total(&[], (&x, &y)).unwrap();
        }
        manager.flush().unwrap();
        drop(manager);
        std::fs::read_to_string(path).unwrap()
    };
    let info = RunInfo { experiment: "lazy".into(), ..Default::default() };
    let whole = run("whole", &|path| LossLog::open(path, &info).unwrap(), 0..30);
    let _ = run("parts", &|path| LossLog::open(path, &info).unwrap(), 0..20);
    // From the checkpoint of step 11.
    let parts = run("parts", &|path| LossLog::resume(path, &info, 11).unwrap(), 12..30);
    assert_eq!(parts, whole);
    let logged = LoggedRun::read(folder.path().join("parts")).unwrap();
    assert_eq!(logged.losses["LAZY"].steps, [0, 8, 16, 24]);
    assert_eq!(logged.losses["LAZY"].weights, [4.0; 4]);
    assert_eq!(logged.losses["L1"].steps.len(), 30);
}
