//! Losses on images.

use tch::Kind;
use tch_losses::{Laplacian, Sobel, VggPerceptual};

use super::{constant, map, pair, variable, Subject, MEAN};
use crate::common::{noise, vgg};

pub fn images(kind: Kind) -> Vec<Subject> {
    let mut subjects = Vec::new();
    for with_target in [true, false] {
        let both = |shape: &[i64]| {
            let target = noise(2, shape, kind);
            let target = if with_target { variable("target", target) } else { constant("target", target) };
            (variable("input", noise(1, shape, kind)), target)
        };
        let variant = if with_target { "both" } else { "constant target" };
        for shape in [[2, 3, 6, 5], [2, 1, 6, 5]] {
            let variant = format!("{variant} {shape:?}");
            let build = |reduction| Sobel { reduction, ..Default::default() };
            let sobel = pair("Sobel", &variant, both(&shape), build);
            let laplacian = pair("Laplacian", &variant, both(&shape), |reduction| Laplacian { reduction });
            subjects.extend([sobel, laplacian].map(|subject| Subject { has_kinks: true, ..subject }));
        }
        if !with_target {
            subjects.push(map("Sobel", both(&[2, 3, 6, 5]), Sobel::default()));
            subjects.push(map("Laplacian", both(&[2, 3, 6, 5]), Laplacian::default()));
        }
        // In f32, rounding alone turns signs behind its ReLUs.
        if kind == Kind::Double {
            let loss = VggPerceptual::new(vgg().to_kind(kind).unwrap());
            let subject = pair("VggPerceptual", variant, both(&[2, 3, 4, 8]), move |_| loss.clone());
            // Sums of up to 1152 terms, five in a row, of both signs.
            subjects.push(Subject { reductions: MEAN, has_kinks: true, roundings: 65536.0, ..subject });
        }
    }
    subjects
}
