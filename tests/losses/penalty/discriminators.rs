//! Penalties of small discriminators, with the gradients by all of their parameters, against the sources, as
//! `scripts/fixtures/discriminators.py` has them.

use std::collections::{BTreeMap, BTreeSet};

use tch::Tensor;
use tch_losses::{AdaptiveWeight, GanLoss, GradientPenalty, L1Loss, Loss, PenaltyPoints, R1Penalty};

use crate::common::{assert_as_in_pytorch, Case, Fixture, Rounding};
use crate::support::leaf;

/// The tensors of a case, those of the discriminator as leaves.
struct Recorded {
    tensors: BTreeMap<String, Tensor>,
    is_smooth: bool,
}

impl Recorded {
    fn new(fixture: &Fixture, case: &Case) -> Recorded {
        let tensor = |name: &String| {
            let tensor = fixture.get(case, name);
            let is_leaf = name.contains('.') || name == "last_layer";
            (name.clone(), if is_leaf { leaf(&tensor) } else { tensor })
        };
        let tensors = case.arguments.iter().map(tensor).collect();
        Recorded { tensors, is_smooth: case.options["activation"] == "softplus" }
    }

    fn get(&self, name: &str) -> &Tensor {
        &self.tensors[name]
    }

    fn parameters(&self) -> impl Iterator<Item = (&String, &Tensor)> {
        self.tensors.iter().filter(|(name, _)| name.contains('.'))
    }

    fn discriminator(&self, images: &Tensor) -> Tensor {
        let conv = |name: &str, x: &Tensor, stride: i64, padding: i64| {
            let (weight, bias) = (self.get(&format!("{name}.weight")), self.get(&format!("{name}.bias")));
            x.conv2d(weight, Some(bias), [stride, stride], [padding, padding], [1, 1], 1)
        };
        let activated = |x: Tensor| if self.is_smooth { x.softplus() } else { x.leaky_relu() };
        let hidden = activated(conv("first", images, 2, 1));
        match self.tensors.get("third.weight") {
            None => conv("second", &hidden, 1, 1),
            Some(last) => {
                activated(conv("second", &hidden, 1, 0)).flatten(1, -1).matmul(&last.transpose(0, 1))
            }
        }
    }

    fn gradient_penalty(&self, penalty: GradientPenalty) -> Tensor {
        let (weights, noise) = (self.tensors.get("weights"), self.tensors.get("noise"));
        let (real, fake) = (self.get("real"), self.get("fake"));
        penalty.try_penalty_with(|x| self.discriminator(x), real, fake, weights, noise).unwrap()
    }

    fn r1(&self, penalty: R1Penalty, side: &str) -> Tensor {
        penalty.penalty(|x| self.discriminator(x), self.get(side))
    }

    fn adaptive_weight(&self) -> Tensor {
        let last_layer = self.get("last_layer");
        let fake = self.get("fake").conv2d::<Tensor>(last_layer, None, [1, 1], [0, 0], [1, 1], 1);
        let reconstruction = L1Loss::default().forward(&fake, self.get("real"));
        let gan = GanLoss::spade().generator(&self.discriminator(&fake));
        let weight = AdaptiveWeight::default().with_factor(0.8).weight(&reconstruction, &gan, last_layer);
        // Both graphs are there for the step.
        (reconstruction + &weight * gan).backward();
        assert!(last_layer.grad().defined() && !weight.requires_grad());
        weight
    }

    fn value(&self, source: &str) -> Tensor {
        let plain = GradientPenalty::default();
        match source {
            "cyclegan_mixed" => self.gradient_penalty(GradientPenalty::cyclegan()),
            "cyclegan_real" => {
                self.gradient_penalty(GradientPenalty::cyclegan().with_points(PenaltyPoints::Real))
            }
            "cyclegan_fake" => {
                self.gradient_penalty(GradientPenalty::cyclegan().with_points(PenaltyPoints::Fake))
            }
            "basicsr_gp" => self.gradient_penalty(GradientPenalty::basicsr()),
            "gan_stability_gp" => self.gradient_penalty(plain),
            "gan_stability_gp0" => self.gradient_penalty(GradientPenalty::zero_centered()),
            "dragan" => self.gradient_penalty(GradientPenalty::dragan()),
            "studiogan_dragan" => {
                self.gradient_penalty(GradientPenalty::dragan().with_unbiased(true).with_factor(1.0))
            }
            "basicsr_r1" => self.r1(R1Penalty::basicsr(), "real"),
            "r2" => self.r1(R1Penalty::basicsr(), "fake"),
            "stylegan2_r1" => self.r1(R1Penalty::stylegan2(), "real") * (10.0 * 16.0),
            "r3gan" => {
                let half = R1Penalty::stylegan2();
                (self.r1(half, "real") + self.r1(half, "fake")) * 0.5
            }
            "mmgen_r1" => self.r1(R1Penalty::mmgen(), "real"),
            "taming" => self.adaptive_weight(),
            other => panic!("{other}"),
        }
    }
}

/// Value and all gradients of second order.
#[test]
fn as_in_the_sources() {
    let fixture = Fixture::load("discriminators");
    let mut tested = BTreeSet::new();
    for case in &fixture.cases {
        let recorded = Recorded::new(&fixture, case);
        let value = recorded.value(&case.loss);
        assert_as_in_pytorch(&case.name, &value, &fixture.get(case, "value"), Rounding::OfLarger);
        tested.insert(case.loss.as_str());
        if case.loss == "taming" {
            continue;
        }
        value.backward();
        let mut gradients = 0;
        for (name, parameter) in recorded.parameters() {
            let what = format!("{} {name}", case.name);
            match fixture.find(case, &format!("grad_{name}")) {
                Some(expected) => {
                    assert_as_in_pytorch(&what, &parameter.grad(), &expected, Rounding::OfLarger);
                    gradients += 1;
                }
                // The last bias is in no gradient.
                None => assert!(!parameter.grad().defined(), "{what}"),
            }
        }
        assert!(gradients >= 2, "{}", case.name);
    }
    assert_eq!(tested.len(), 14);
}
