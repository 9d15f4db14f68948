//! What the ratios of a signal to its noise share.

use std::f64::consts::LN_10;

use tch::Tensor;

use crate::base::check;
use crate::base::gradient::Wanted;
use crate::base::pointwise::sum_of_rows;
use crate::base::precision::{accumulation_kind, smallest_normal};
use crate::base::reduction::reduce;
use crate::{Error, Reduction, Result};

/// What is compared with what.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Parts {
    /// The target, and what the input has beside it.
    Target,
    /// The part of the input in the direction of the target, and the rest of the input.
    Projection,
    /// That part, and what the input has beside the target.
    ProjectionBesideTarget,
}

/// A ratio of energies in decibels, with the sign of a loss.
pub(super) struct Ratio {
    pub parts: Parts,
    pub zero_mean: bool,
    pub eps: f64,
    pub reduction: Reduction,
}

/// The sum over time.
fn sum(wave: &Tensor) -> Result<Tensor> {
    Ok(wave.f_sum_dim_intlist([-1i64].as_slice(), true, None)?)
}

/// Less its mean. The first sample goes first, so that a constant wave becomes one of zeros, which the rounding of its
/// mean would hide.
fn centred(wave: &Tensor) -> Result<Tensor> {
    let mut shifted = wave.f_sub(&wave.f_narrow(-1, 0, 1)?.f_detach()?)?;
    let mean = shifted.f_mean_dim([-1i64].as_slice(), true, None)?;
    Ok(shifted.f_sub_(&mean)?)
}

impl Ratio {
    pub fn check_options(&self) -> Result<()> {
        self.reduction.check_without_batch_mean()?;
        check::positive("eps", self.eps)
    }

    pub fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        check::pair(input, target)?;
        if input.size().last().is_none_or(|length| *length == 0) {
            let expected = "[..., T] with T at least 1".into();
            return Err(Error::Shape { argument: "input", given: input.size(), expected });
        }
        let kind = accumulation_kind(input.kind());
        let (wide, wide_target) = (input.f_to_kind(kind)?, target.f_to_kind(kind)?);
        let graph = Wanted::of(input, Some(target))? != Wanted::InputGradient;
        if graph || self.reduction == Reduction::None || input.numel() == 0 {
            return reduce(&self.losses(&wide, &wide_target)?, self.reduction, input.kind());
        }
        let rows = |waves: &Tensor| waves.f_reshape([-1, waves.size()[waves.dim() - 1]].as_slice());
        let (input_rows, target_rows) = (rows(&wide)?, rows(&wide_target)?);
        let part = |input: &Tensor, constants: &[Tensor]| self.sum_and_gradient(input, &constants[0]);
        let loss = sum_of_rows(&input_rows, &[target_rows], &part)?;
        let loss = match self.reduction {
            Reduction::Mean => loss.f_div_scalar(input_rows.size()[0])?,
            _ => loss,
        };
        Ok(loss.f_to_kind(input.kind())?)
    }

    /// `eps` in numbers of the kind of `wave`, in which it is not 0.
    fn eps_for(&self, wave: &Tensor) -> f64 {
        self.eps.max(smallest_normal(wave.kind()))
    }

    /// In decibels.
    fn level(&self, ratio: &Tensor) -> Result<Tensor> {
        Ok(ratio.f_add_scalar(self.eps_for(ratio))?.f_log10()?.f_mul_scalar(-10.0)?)
    }

    /// Of each wave, in libtorch's graph.
    fn losses(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let eps = self.eps_for(input);
        let (input, target) = match self.zero_mean {
            true => (centred(input)?, centred(target)?),
            false => (input.shallow_clone(), target.shallow_clone()),
        };
        let projection = || -> Result<Tensor> {
            let energy = sum(&target.f_square()?)?.f_add_scalar(eps)?;
            Ok(target.f_mul(&sum(&input.f_mul(&target)?)?.f_div(&energy)?)?)
        };
        let signal = if self.parts == Parts::Target { target.shallow_clone() } else { projection()? };
        let noise = input.f_sub(if self.parts == Parts::Projection { &signal } else { &target })?;
        let ratio = sum(&signal.f_square()?)?.f_div(&sum(&noise.f_square()?)?.f_add_scalar(eps)?)?;
        Ok(self.level(&ratio)?.f_squeeze_dim(-1)?)
    }

    /// The sum of the losses of some waves `[R, T]`, and its gradient with respect to `input`, without a graph.
    fn sum_and_gradient(&self, input: &Tensor, target: &Tensor) -> Result<(Tensor, Tensor)> {
        let eps = self.eps_for(input);
        let prepared = |wave: &Tensor| match self.zero_mean {
            true => centred(wave),
            false => Ok(wave.shallow_clone()),
        };
        let own = prepared(target)?;
        let mut work = own.f_square()?;
        let energy = sum(&work)?;
        // The projection is the target times `scale`.
        let (scale, mut noise) = match self.parts {
            Parts::Target => (None, prepared(&input.f_sub(target)?)?),
            Parts::Projection | Parts::ProjectionBesideTarget => {
                let input = prepared(input)?;
                work = input.f_mul_out(&work, &own)?;
                let scale = sum(&work)?.f_div_(&energy.f_add_scalar(eps)?)?;
                let noise = match self.parts {
                    Parts::Projection => input.f_addcmul(&own, &scale.f_neg()?)?,
                    _ => input.f_sub(&own)?,
                };
                (Some(scale), noise)
            }
        };
        let divisor = sum(&noise.f_mul_out(&work, &noise)?)?.f_add_scalar(eps)?;
        let signal = match &scale {
            None => energy.shallow_clone(),
            Some(scale) => energy.f_mul(scale)?.f_mul_(scale)?,
        };
        let ratio = signal.f_div(&divisor)?;
        let losses = self.level(&ratio)?;
        // The slope of the level, of which both the ratio's numerator and its denominator have a share. Both are linear
        // in `noise` and `target`, so the gradient has no mean where these have none.
        let slope =
            ratio.f_add_scalar(eps)?.f_reciprocal()?.f_mul_scalar_(-20.0 / LN_10)?.f_div_(&divisor)?;
        let mut gradient = noise.f_mul_(&ratio.f_mul(&slope)?.f_neg()?)?;
        if let Some(scale) = scale {
            let mut of_target = energy.shallow_clone();
            if self.parts == Parts::Projection {
                // The noise is not quite orthogonal to the target: `eps` makes the scale too small.
                of_target = of_target.f_add(&ratio.f_mul_scalar(eps)?)?;
            }
            let share = scale.f_div(&energy.f_add_scalar(eps)?)?;
            gradient = gradient.f_addcmul_(&own, &of_target.f_mul(&share)?.f_mul_(&slope)?)?;
        }
        Ok((losses.f_sum(None)?, gradient))
    }
}

/// Defines a ratio in decibels: its documentation, and what it compares with what.
macro_rules! ratio_loss {
    ($(#[$about:meta])* $name:ident of $parts:ident) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            /// Whether the mean of each wave is subtracted first.
            pub zero_mean: bool,
            /// What is added to the energies that divide, and to the ratio.
            pub eps: f64,
            /// How the waves are reduced.
            pub reduction: $crate::Reduction,
        }

        impl Default for $name {
            fn default() -> Self {
                $name { zero_mean: true, eps: 1e-8, reduction: $crate::Reduction::Mean }
            }
        }

        $crate::base::setters!($name {
            with_zero_mean(zero_mean: bool), with_eps(eps: f64), with_reduction(reduction: $crate::Reduction)
        });

        impl $name {
            fn ratio(&self) -> $crate::losses::audio::ratio::Ratio {
                let $name { zero_mean, eps, reduction } = *self;
                let parts = $crate::losses::audio::ratio::Parts::$parts;
                $crate::losses::audio::ratio::Ratio { parts, zero_mean, eps, reduction }
            }
        }

        impl $crate::Loss for $name {
            fn check_options(&self) -> $crate::Result<()> {
                self.ratio().check_options()
            }

            fn try_forward(&self, input: &tch::Tensor, target: &tch::Tensor) -> $crate::Result<tch::Tensor> {
                self.ratio().try_forward(input, target)
            }
        }
    };
}

pub(super) use ratio_loss;
