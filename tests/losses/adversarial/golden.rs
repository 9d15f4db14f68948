//! Numbers computed from the formulas by hand.

use tch::{Kind, Tensor};
use tch_losses::manager::{GanLossSpec, GanSide, LossSpec, Objective, RelativisticLossSpec};
use tch_losses::{GanLoss, GanMode, GaussianKlLoss, Loss, Pairing, Reduction, RelativisticLoss};

use crate::common::{assert_close, device, noise, value, Relative};
use crate::support::{leaf, message_of, vector, zeros};

/// The numbers have ten digits behind the point.
#[track_caller]
fn assert_golden(loss: &Tensor, expected: f64) {
    assert!((value(loss) - expected).abs() < 1e-9, "{} instead of {expected}", value(loss));
}

fn outputs() -> (Tensor, Tensor) {
    (vector(&[0.5, -1.2, 2.0]), vector(&[-0.3, 0.8, -2.5]))
}

#[test]
fn modes() {
    let (real, fake) = outputs();
    for (mode, of_real, of_fake, of_generator) in [
        (GanMode::Vanilla, 0.6880958209, 0.6014485482, 1.2681152149),
        (GanMode::NonSaturating, 0.6880958209, 0.6014485482, 1.2681152149),
        (GanMode::Saturating, 0.6880958209, 0.6014485482, -0.6014485482),
        (GanMode::Lsgan, 2.03, 2.0 + 0.98 / 3.0, 4.66),
        (GanMode::Wgan, -1.3 / 3.0, -2.0 / 3.0, 2.0 / 3.0),
        (GanMode::Hinge, 0.9, 2.5 / 3.0, 2.0 / 3.0),
    ] {
        let gan = GanLoss::default().with_mode(mode);
        assert_golden(&gan.discriminator_real(&real), of_real);
        assert_golden(&gan.discriminator_fake(&fake), of_fake);
        assert_golden(&gan.discriminator(&real, &fake), of_real + of_fake);
        assert_golden(&gan.generator(&fake), of_generator);
        let factors = gan.with_discriminator_factor(0.5).with_generator_factor(3.0);
        assert_golden(&factors.discriminator_real(&real), 0.5 * of_real);
        assert_golden(&factors.discriminator_fake(&fake), 0.5 * of_fake);
        assert_golden(&factors.discriminator(&real, &fake), 0.5 * (of_real + of_fake));
        assert_golden(&factors.generator(&fake), 3.0 * of_generator);
    }
}

#[test]
fn labels() {
    let (real, fake) = outputs();
    let smooth = GanLoss::default().with_real_label(0.9);
    assert_golden(&smooth.discriminator_real(&real), 0.7314291542);
    // The generator has that label, too, unless it has its own.
    let own = smooth.with_generator_label(1.0);
    assert_golden(&own.generator(&fake), 1.2681152149);
    assert_golden(&smooth.generator(&fake), 1.2681152149 + 0.1 * value(&fake.mean(None)));
    assert_golden(&own.discriminator_real(&real), 0.7314291542);
    // The labels of LeCam's code: real -1, fake 1, and 0 for the generator.
    let reversed = GanLoss::default().with_mode(GanMode::Lsgan).with_real_label(-1.0).with_fake_label(1.0);
    assert_golden(&reversed.discriminator_real(&real), (2.25 + 0.04 + 9.0) / 3.0);
    assert_golden(&reversed.discriminator_fake(&fake), (1.69 + 0.04 + 12.25) / 3.0);
    assert_golden(&reversed.with_generator_label(0.0).generator(&fake), (0.09 + 0.64 + 6.25) / 3.0);
    // The other modes have no labels.
    for mode in [GanMode::Wgan, GanMode::NonSaturating, GanMode::Hinge, GanMode::Saturating] {
        let plain = GanLoss::default().with_mode(mode);
        let labelled = plain.with_real_label(0.9).with_fake_label(0.2).with_generator_label(0.3);
        assert_eq!(labelled.discriminator(&real, &fake), plain.discriminator(&real, &fake));
        assert_eq!(labelled.generator(&fake), plain.generator(&fake));
    }
}

#[test]
fn relativistic() {
    let (real, fake) = outputs();
    let esrgan = RelativisticLoss::esrgan();
    assert_golden(&esrgan.discriminator(&real, &fake), 0.2222048882 + 0.2228821049);
    assert_golden(&esrgan.generator(&real, &fake), 1.5450869931);
    let r3gan = RelativisticLoss::r3gan();
    assert_golden(&r3gan.discriminator(&real, &fake), 0.8363588073);
    assert_golden(&r3gan.generator(&real, &fake), 1.9363588073);
    let least_squares = RelativisticLoss::default()
        .with_mode(GanMode::Lsgan)
        .with_fake_label(-1.0)
        .with_discriminator_factor(1.0)
        .with_generator_factor(1.0);
    assert_golden(&least_squares.discriminator(&real, &fake), 3.6111111111);
    // The hinge of the paper, both ways: x = r + 2/3, y = f - 13/30.
    let hinge = least_squares.with_mode(GanMode::Hinge);
    let (x, y) = ([0.5 + 2.0 / 3.0, -1.2 + 2.0 / 3.0, 8.0 / 3.0], [-11.0 / 15.0, 11.0 / 30.0, -44.0 / 15.0]);
    let mean = |values: [f64; 3], cost: fn(f64) -> f64| values.into_iter().map(cost).sum::<f64>() / 3.0;
    let above = |x: f64| (1.0 - x).max(0.0);
    let below = |x: f64| (1.0 + x).max(0.0);
    assert_golden(&hinge.discriminator(&real, &fake), mean(x, above) + mean(y, below));
    assert_golden(&hinge.generator(&real, &fake), mean(x, below) + mean(y, above));
}

/// The value is the same with and without constants; the gradients differ.
#[test]
fn what_is_detached() {
    let (real, fake) = (noise(1, &[4, 1, 3, 3], Kind::Double), noise(2, &[4, 1, 3, 3], Kind::Double));
    let (own, joint) = (RelativisticLoss::esrgan(), RelativisticLoss::esrgan().with_detach(false));
    let gradients = |loss: RelativisticLoss, side: GanSide| {
        let (real, fake) = (leaf(&real), leaf(&fake));
        let loss = match side {
            GanSide::Generator => loss.generator(&real, &fake),
            GanSide::Discriminator => loss.discriminator(&real, &fake),
        };
        loss.backward();
        (loss.detach(), real.grad(), fake.grad())
    };
    let detached = gradients(own, GanSide::Generator);
    let through = gradients(joint, GanSide::Generator);
    assert_eq!(detached.0, through.0);
    assert!(!detached.1.defined() && through.1.defined());
    assert_eq!(detached.2, through.2);
    let detached = gradients(own, GanSide::Discriminator);
    let through = gradients(joint, GanSide::Discriminator);
    assert_eq!(detached.0, through.0);
    // Shifting all outputs changes nothing, as the joint gradient knows.
    let total = |(_, real, fake): &(Tensor, Tensor, Tensor)| value(&(real.sum(None) + fake.sum(None)));
    assert!(total(&through).abs() < 1e-12 && value(&(&detached.1 - &through.1).abs().max()) > 1e-3);
}

#[test]
fn divergence_from_the_standard_normal_distribution() {
    let (mu, logvar) = outputs();
    let loss = GaussianKlLoss::default();
    assert_golden(&loss.forward(&mu, &logvar), 3.8692220739);
    let reduced = |reduction| loss.with_reduction(reduction).forward(&mu.view([3, 1]), &logvar.view([3, 1]));
    assert_golden(&reduced(Reduction::Mean), 3.8692220739 / 3.0);
    assert_golden(&reduced(Reduction::BatchMean), 3.8692220739 / 3.0);
    let batch = loss.with_reduction(Reduction::BatchMean);
    assert_golden(&batch.forward(&mu.view([1, 3]), &logvar.view([1, 3])), 3.8692220739);
    // exp(x) - 1 - x is x² / 2 near 0, of which exp(x) has no digit. Rounding of exp(x) - 1 is 2e-16 of 1e-9.
    let small = vector(&[1e-9]);
    let near_zero = value(&loss.forward(&small.zeros_like(), &small));
    assert!((near_zero / 2.5e-19 - 1.0).abs() < 1e-5, "{near_zero:e}");
}

/// The exponential of 12 is 162755, beyond f16.
#[test]
fn half_precision() {
    let (mu, logvar) = (zeros(&[2, 64]).to_kind(Kind::Half), (zeros(&[2, 64]) + 12.0).to_kind(Kind::Half));
    let mean = GaussianKlLoss::default().with_reduction(Reduction::Mean);
    let exact = (12f64.exp() - 13.0) / 2.0;
    assert!(exact > 65504.0);
    assert_eq!(value(&mean.forward(&mu, &logvar)), f64::INFINITY);
    // Of few large ones the mean is within f16; each exponential is not.
    let _ = logvar.narrow(1, 1, 63).fill_(0.0);
    let (mu, logvar) = (leaf(&mu), leaf(&logvar));
    let loss = mean.forward(&mu, &logvar);
    loss.backward();
    assert_eq!(loss.kind(), Kind::Half);
    assert!((value(&loss) / (exact / 64.0) - 1.0).abs() < 1e-3);
    let slope = logvar.grad().double_value(&[0, 0]);
    assert!((slope / ((12f64.exp() - 1.0) / 256.0) - 1.0).abs() < 1e-3, "{slope}");

    // Sums of squares of f16, which the mean would bring back: 300² is beyond f16.
    let outputs = leaf(&Tensor::from_slice(&[300f32, 0.0, 0.0, 0.0]).to_device(device()).to_kind(Kind::Half));
    let loss = GanLoss::cyclegan().generator(&outputs);
    loss.backward();
    assert!((value(&loss) / ((299.0 * 299.0 + 3.0) / 4.0) - 1.0).abs() < 1e-3);
    assert!((outputs.grad().double_value(&[0]) - 149.5).abs() < 0.1);
}

/// Both sides of both losses by an objective's file.
#[test]
fn sides() {
    let (real, fake) = outputs();
    let (gan, relativistic) = (GanLoss::studiogan(GanMode::Lsgan), RelativisticLoss::r3gan());
    let text = r#"
        [losses.G]
        loss = "GANLoss"
        options = { mode = "lsgan", discriminator_factor = 0.5, generator_factor = 0.5 }
        [losses.D]
        loss = "GanLoss"
        options = { side = "discriminator", mode = "lsgan", discriminator_factor = 0.5, generator_factor = 0.5 }
        [losses.RG]
        loss = "RelativisticLoss"
        [losses.RG.options]
        pairing = "paired"
        mode = "non_saturating"
        detach = false
        discriminator_factor = 1
        generator_factor = 1
        [losses.RD]
        loss = "RelativisticLoss"
        [losses.RD.options]
        side = "discriminator"
        pairing = "paired"
        mode = "non_saturating"
        detach = false
        discriminator_factor = 1
        generator_factor = 1
        "#;
    let objective = Objective::from_toml(text).unwrap();
    let spec = |name: &str| objective.losses[name].loss.clone();
    assert_eq!(spec("G"), LossSpec::GanLoss(GanLossSpec::new(GanSide::Generator, gan)));
    assert_eq!(spec("D"), LossSpec::GanLoss(GanLossSpec::new(GanSide::Discriminator, gan)));
    let paired = RelativisticLossSpec::new(GanSide::Discriminator, relativistic);
    assert_eq!(spec("RD"), LossSpec::RelativisticLoss(paired));
    assert_eq!(paired.loss(), relativistic);
    let mut manager = objective.build(device()).unwrap();
    assert_eq!(manager.compute("G", &fake).unwrap(), gan.generator(&fake));
    assert_eq!(manager.compute("D", (&real, &fake)).unwrap(), gan.discriminator(&real, &fake));
    assert_eq!(manager.compute("RG", (&real, &fake)).unwrap(), relativistic.generator(&real, &fake));
    assert_eq!(manager.compute("RD", (&real, &fake)).unwrap(), relativistic.discriminator(&real, &fake));
}

#[test]
fn options() {
    let refused = |gan: GanLoss| message_of(gan.try_generator(&zeros(&[2])));
    let gan = GanLoss::default();
    assert_eq!(
        refused(gan.with_real_label(1.5)),
        "option `real_label` is 1.5, expected a number in [0, 1] for the mode vanilla"
    );
    assert_eq!(
        refused(gan.with_mode(GanMode::Lsgan).with_fake_label(f64::NAN)),
        "option `fake_label` is NaN, expected a finite number"
    );
    assert_eq!(
        refused(gan.with_mode(GanMode::Hinge).with_generator_label(f64::INFINITY)),
        "option `generator_label` is inf, expected a finite number"
    );
    for factor in [0.0, -1.0, f64::NAN] {
        let expected = format!("_factor` is {factor}, expected a finite number greater than 0");
        assert_eq!(
            refused(gan.with_discriminator_factor(factor)),
            format!("option `discriminator{expected}")
        );
        assert_eq!(refused(gan.with_generator_factor(factor)), format!("option `generator{expected}"));
    }
    for (mode, name) in [(GanMode::Wgan, "wgan"), (GanMode::Saturating, "saturating")] {
        for pairing in [Pairing::Average, Pairing::Paired] {
            let loss = RelativisticLoss::default().with_mode(mode).with_pairing(pairing);
            assert_eq!(
                message_of(loss.try_discriminator(&zeros(&[2]), &zeros(&[2]))),
                format!("option `mode` is {name}, expected vanilla, lsgan, non_saturating or hinge")
            );
        }
    }
    let paired = RelativisticLoss::r3gan();
    assert_eq!(
        message_of(paired.try_generator(&zeros(&[2]), &zeros(&[3]))),
        "`fake` has shape [3], expected [2], the shape of `real`"
    );
}

/// Outputs that overflow a sigmoid: the losses are linear there, and so are their gradients.
#[test]
fn huge_outputs() {
    for kind in [Kind::Float, Kind::Double] {
        let outputs = leaf(&vector(&[-1e30, -1e4, 0.0, 1e4, 1e30]).to_kind(kind));
        for gan in [GanLoss::default(), GanLoss::stylegan2(), GanLoss::spade()] {
            let loss = gan.discriminator(&outputs, &outputs);
            loss.backward();
            // |x| for vanilla, and up to 2 more for the hinge; all else is lost beside 1e30.
            assert_close(
                "loss",
                &(loss / 4e29),
                &Tensor::from(1.0).to_kind(kind).to_device(device()),
                1e-5,
                Relative::ToLargest,
            );
            let slope = outputs.grad();
            assert!(slope.isfinite().all().int64_value(&[]) != 0 && value(&slope.abs().max()) < 1.0);
        }
    }
}
