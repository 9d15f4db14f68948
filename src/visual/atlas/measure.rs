//! How losses answer to distorted photos.

use tch::{Device, Kind, Tensor};

use super::{Answers, Atlas, Distortion, LossAnswers, Point, Subject};
use crate::base::check;
use crate::base::gradient::gradient_of;
use crate::visual::pixels::values;
use crate::{Error, Loss, Result};

/// The root of the mean squared difference at which distortions are compared: a twentieth of the range, which is a
/// PSNR of 26 dB.
const ERROR: f64 = 0.05;

/// What a loss says to a picture: its value, the length of its gradient, and the gradient's direction, a vector of
/// length 1, or 0 where the gradient is 0.
struct Said {
    value: f64,
    length: f64,
    direction: Tensor,
}

/// A sum of [`Point`]s, and how many they are.
#[derive(Clone, Copy, Default)]
struct Sum {
    count: f64,
    strength: f64,
    value: f64,
    gradient: f64,
    way_back: f64,
}

impl Atlas {
    /// Asks each loss about each photo with each distortion.
    ///
    /// - **Photos**: `[1, 3, H, W]`, red, green and blue from 0 to 1; losses with a `data_range` have to have
    ///   [`Unit`](crate::DataRange::Unit), their default. Sizes may differ.
    /// - **Progress**: `progress` is told how many of how many distorted photos have been shown to all losses.
    ///
    /// # Errors
    /// No loss or no photo; a photo that is none; a photo that a loss refuses; a loss without a gradient.
    pub fn measure(
        subjects: &[Subject],
        photos: &[Tensor],
        seed: u64,
        mut progress: impl FnMut(usize, usize),
    ) -> Result<Atlas> {
        for (option, count) in [("subjects", subjects.len()), ("photos", photos.len())] {
            if count == 0 {
                let expected = "one or more".into();
                return Err(Error::Option { option, given: "empty".into(), expected });
            }
        }
        let levels = Distortion::ALL[0].strengths().len();
        let all = photos.len() * Distortion::ALL.len() * (levels + 1);
        let mut done = 0;
        let mut count = || {
            done += 1;
            progress(done, all);
        };
        let kinds = Distortion::ALL.len();
        let mut points = vec![vec![vec![Sum::default(); levels]; kinds]; subjects.len()];
        let mut equal = vec![vec![Sum::default(); kinds]; subjects.len()];
        let count_of_losses = subjects.len() as i64;
        let mut agreement = Tensor::f_zeros([count_of_losses; 2], (Kind::Double, Device::Cpu))?;
        let mut compared = 0;
        for photo in photos {
            check::image("photo", photo)?;
            let photo = photo.f_detach()?;
            let unspoilt = subjects
                .iter()
                .map(|subject| value(subject.loss, &photo, &photo))
                .collect::<Result<Vec<_>>>()?;
            // A loss may see only a part of the picture: its answer is taken from what it says to the photo itself.
            let ask = |fake: &Tensor| -> Result<Vec<Said>> {
                let said = |(subject, unspoilt): (&Subject, &f64)| {
                    let said = said(subject.loss, fake, &photo)?;
                    Ok(Said { value: said.value - unspoilt, ..said })
                };
                subjects.iter().zip(&unspoilt).map(said).collect()
            };
            for (kind, distortion) in Distortion::ALL.into_iter().enumerate() {
                for (level, strength) in distortion.strengths().into_iter().enumerate() {
                    let fake = distortion.apply(&photo, strength, seed)?;
                    let back = photo.f_sub(&fake)?;
                    for (loss, said) in ask(&fake)?.iter().enumerate() {
                        points[loss][kind][level].add(strength, said, &back)?;
                    }
                    count();
                }
                if let Some((fake, strength)) = distortion.at_error(&photo, ERROR, seed)? {
                    let back = photo.f_sub(&fake)?;
                    let said = ask(&fake)?;
                    for (loss, said) in said.iter().enumerate() {
                        equal[loss][kind].add(strength, said, &back)?;
                    }
                    let directions: Vec<&Tensor> = said.iter().map(|said| &said.direction).collect();
                    let directions = Tensor::f_stack(&directions, 0)?;
                    agreement = agreement
                        .f_add(&directions.f_matmul(&directions.f_tr()?)?.f_to_device(Device::Cpu)?)?;
                    compared += 1;
                }
                count();
            }
        }
        let losses = subjects.iter().enumerate().map(|(loss, subject)| {
            let middle = median(equal[loss].iter().filter_map(Sum::mean).map(|point| point.value));
            let answers = Distortion::ALL.into_iter().enumerate().map(|(kind, distortion)| {
                let at_equal_error = equal[loss][kind].mean();
                // A loss that is infinite or 0 everywhere has no unit.
                let relative = |point: Point| {
                    middle.map(|middle| point.value / middle.abs()).filter(|times| times.is_finite())
                };
                Answers {
                    distortion,
                    points: points[loss][kind].iter().filter_map(Sum::mean).collect(),
                    at_equal_error,
                    sensitivity: at_equal_error.and_then(relative),
                }
            });
            LossAnswers {
                name: subject.name.into(),
                family: subject.family.into(),
                answers: answers.collect(),
            }
        });
        let losses = losses.collect();
        let agreement = values(&agreement.f_div_scalar(compared.max(1))?)?;
        let agreement = agreement.chunks(subjects.len()).map(<[f64]>::to_vec).collect();
        Ok(Atlas { photos: photos.len(), seed, error: ERROR, losses, agreement })
    }
}

impl Sum {
    fn add(&mut self, strength: f64, said: &Said, back: &Tensor) -> Result<()> {
        self.count += 1.0;
        self.strength += strength;
        self.value += said.value;
        self.gradient += said.length;
        let (_, back) = split(back)?;
        self.way_back -= said.direction.f_dot(&back)?.f_double_value(&[])?;
        Ok(())
    }

    fn mean(&self) -> Option<Point> {
        let Sum { count, strength, value, gradient, way_back } = *self;
        (count > 0.0).then(|| Point {
            strength: strength / count,
            value: value / count,
            gradient: gradient / count,
            way_back: way_back / count,
        })
    }
}

/// The loss as one number, also of a loss that is not reduced.
fn value(loss: &dyn Loss, fake: &Tensor, real: &Tensor) -> Result<f64> {
    Ok(loss.try_forward(fake, real)?.f_mean(Kind::Double)?.f_double_value(&[])?)
}

fn said(loss: &dyn Loss, fake: &Tensor, real: &Tensor) -> Result<Said> {
    let fake = fake.f_detach()?.f_set_requires_grad(true)?;
    let value = loss.try_forward(&fake, real)?.f_mean(None)?;
    let (length, direction) = split(&gradient_of(("loss", &value), ("input", &fake), false)?)?;
    Ok(Said { value: value.f_detach()?.f_double_value(&[])?, length, direction })
}

/// The length of a gradient, and its direction as a vector.
fn split(gradient: &Tensor) -> Result<(f64, Tensor)> {
    // In f64: the squares of the gradients of a mean may be less than f32 can tell from 0.
    let vector = gradient.f_to_kind(Kind::Double)?.f_reshape([-1i64].as_slice())?;
    let length = vector.f_norm()?.f_double_value(&[])?;
    let direction = if length > 0.0 { vector.f_div_scalar(length)? } else { vector };
    Ok((length, direction))
}

/// The number in the middle, or the mean of the two; `None` without numbers, and for 0.
fn median(numbers: impl Iterator<Item = f64>) -> Option<f64> {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_unstable_by(f64::total_cmp);
    let last = numbers.len().checked_sub(1)?;
    let median = (numbers[last / 2] + numbers[last.div_ceil(2)]) / 2.0;
    (median != 0.0).then_some(median)
}
