//! Gradients of gradients, which penalties and meta-learning need.

use tch::{nn, Kind, Tensor};
use tch_losses::{
    ConsistencyRegularization, FeatureCriterion, FeatureMatchingLoss, GanActivation, GanLoss, GanMode,
    GaussianKlLoss, LeCamConfig, LeCamLoss, Loss, Pairing, PatchNceLoss, RelativisticLoss,
};

use crate::common::{device, noise, value};
use crate::support::leaf;

const STEP: f64 = 1e-5;

/// A discriminator that bends: its outputs and a feature, of parameters.
fn outputs(parameters: &Tensor, images: &Tensor) -> (Tensor, Tensor) {
    let feature = images.matmul(&parameters.narrow(1, 0, 4)).tanh();
    (feature.matmul(&parameters.narrow(1, 4, 1)) * 3.0, feature)
}

/// The gradient by the parameters along a direction; with its own gradient along another, if that is asked for.
fn slope(
    loss: &dyn Fn(&Tensor) -> Tensor,
    parameters: &Tensor,
    directions: &[Tensor; 2],
    second: bool,
) -> (f64, f64) {
    let parameters = leaf(parameters);
    let gradient = Tensor::run_backward(&[loss(&parameters)], &[&parameters], true, true).remove(0);
    let along = (&gradient * &directions[0]).sum(None);
    if !second {
        return (value(&along), 0.0);
    }
    let bend = Tensor::run_backward(&[&along], &[&parameters], false, false).remove(0);
    (value(&along), value(&(bend * &directions[1]).sum(None)))
}

/// The second derivative is what differences of the first one say.
fn check(what: &str, loss: impl Fn(&Tensor) -> Tensor) {
    let parameters = noise(3, &[4, 5], Kind::Double);
    let directions = [noise(4, &[4, 5], Kind::Double), noise(5, &[4, 5], Kind::Double)];
    let at = |step: f64| slope(&loss, &(&parameters + &directions[1] * step), &directions, false).0;
    let (_, bend) = slope(&loss, &parameters, &directions, true);
    let expected = (at(STEP) - at(-STEP)) / (2.0 * STEP);
    // A step of h is off by h² times the third derivative, some thousands here, and by the rounding of the slope over
    // h.
    assert!(
        (bend - expected).abs() < 1e-6 * expected.abs().max(1.0),
        "{what}: {bend:e} instead of {expected:e}"
    );
    assert!(expected.abs() > 1e-3, "{what}: there is nothing to compare");
}

#[test]
fn of_gan_losses() {
    let (real, fake) = (noise(1, &[6, 4], Kind::Double), noise(2, &[6, 4], Kind::Double));
    for mode in [
        GanMode::Vanilla,
        GanMode::Lsgan,
        GanMode::Wgan,
        GanMode::NonSaturating,
        GanMode::Hinge,
        GanMode::Saturating,
    ] {
        for activation in [GanActivation::None, GanActivation::LeakyRelu, GanActivation::Tanh] {
            let gan = GanLoss { mode, activation, ..GanLoss::default() };
            check(&format!("{gan:?} discriminator"), |parameters| {
                gan.discriminator(&outputs(parameters, &real).0, &outputs(parameters, &fake).0)
            });
            check(&format!("{gan:?} generator"), |parameters| gan.generator(&outputs(parameters, &fake).0));
        }
    }
}

#[test]
fn of_relativistic_losses() {
    let (real, fake) = (noise(1, &[6, 4], Kind::Double), noise(2, &[6, 4], Kind::Double));
    for mode in [GanMode::Vanilla, GanMode::Lsgan, GanMode::NonSaturating, GanMode::Hinge] {
        for pairing in [Pairing::Average, Pairing::Paired] {
            let loss = RelativisticLoss::default().with_mode(mode).with_pairing(pairing).with_detach(false);
            let both = |parameters: &Tensor| (outputs(parameters, &real).0, outputs(parameters, &fake).0);
            check(&format!("{loss:?} discriminator"), |parameters| {
                let (real, fake) = both(parameters);
                loss.discriminator(&real, &fake)
            });
            check(&format!("{loss:?} generator"), |parameters| {
                let (real, fake) = both(parameters);
                loss.generator(&real, &fake)
            });
        }
    }
}

#[test]
fn of_the_others() {
    let (real, fake) = (noise(1, &[6, 4], Kind::Double), noise(2, &[6, 4], Kind::Double));
    for criterion in [FeatureCriterion::L1, FeatureCriterion::Mse] {
        let loss = FeatureMatchingLoss::imaginaire().with_criterion(criterion);
        check(&format!("{loss:?}"), |parameters| {
            let list = |feature: Tensor| vec![vec![feature]];
            loss.forward(&list(outputs(parameters, &fake).1), &list(real.tanh()))
        });
    }
    check("KL", |parameters| {
        let (outputs, feature) = outputs(parameters, &fake);
        GaussianKlLoss::default().forward(&feature, &outputs.expand_as(&feature))
    });
    let vs = nn::VarStore::new(device());
    let lecam = LeCamLoss::new(&vs.root(), LeCamConfig::default().with_initial(0.0)).unwrap();
    lecam.update(&real, &fake).unwrap();
    check("LeCam", |parameters| {
        lecam.regularization(&outputs(parameters, &real).0, &outputs(parameters, &fake).0).unwrap()
    });
    check("consistency", |parameters| {
        let consistency = ConsistencyRegularization::default();
        consistency.real(&outputs(parameters, &real).0, &outputs(parameters, &fake).0).unwrap()
    });
    for negatives_from_batch in [false, true] {
        let loss = PatchNceLoss { temperature: 0.5, negatives_from_batch, ..PatchNceLoss::default() };
        let patches = |features: &Tensor| features.reshape([2, 3, 4]);
        check(&format!("{loss:?}"), |parameters| {
            loss.forward(&patches(&outputs(parameters, &fake).1), &patches(&real))
        });
    }
}
