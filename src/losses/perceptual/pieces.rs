//! The engine without a graph: a batch in pieces, with gradients inside forward.

use tch::{no_grad, Device, Tensor};

use super::comparison::{AcrossImages, Other};
use super::engine::{Engine, Part, Sum, Target};
use super::scale::Scale;
use crate::base::check;
use crate::base::gradient::{pieces, with_gradient, with_gradients};
use crate::base::precision::accumulation_kind;
use crate::networks::{keep_freed_memory, Pass, Trace};
use crate::{Reduction, Result};

/// What the comparisons say about the pieces so far.
struct Findings {
    /// For each piece, the sum over the terms of the numbers of its images.
    of_images: Vec<Tensor>,
    /// For each term with a norm over the batch, its square.
    squares: Vec<Sum>,
}

/// A run through the network, over all pieces.
struct Run<'a> {
    engine: &'a Engine<'a>,
    pass: &'a dyn Pass,
    target: Target<'a>,
    scale: &'a Scale,
    /// For each term with a norm over the batch its square; empty where it is not known before the end.
    squares: &'a [Option<Tensor>],
    /// For each term what it asked about the target's whole batch.
    statistics: &'a [Option<Tensor>],
}

impl Engine<'_> {
    /// The loss of prepared images without a graph of it, at most so many images at a time. The gradient is taken at
    /// the same time, if there is to be one.
    pub(super) fn streamed(
        &self,
        prepared: &Tensor,
        target: Target,
        images: i64,
        gradient: bool,
    ) -> Result<Tensor> {
        let prepared = prepared.f_to_kind(accumulation_kind(prepared.kind()))?;
        let size = prepared.size();
        let gradient = match gradient {
            true => Some(Tensor::f_empty(&size, (prepared.kind(), prepared.device()))?),
            false => None,
        };
        let scale = self.scale(&size)?;
        let pass = no_grad(|| self.network.pass(&size, &self.taps))?;
        if prepared.device() == Device::Cpu {
            keep_freed_memory();
        }
        let of_images = no_grad(|| -> Result<Tensor> {
            let statistics = self.statistics(target)?;
            let (pass, statistics) = (&*pass, &statistics[..]);
            let run = Run { engine: self, pass, target, scale: &scale, squares: &[], statistics };
            // The slope of a norm depends on the whole batch, which takes a run of its own.
            let has_norms =
                self.terms.iter().any(|term| term.comparison.across_images() == AcrossImages::Norm);
            let squares = match has_norms && gradient.is_some() && size[0] > images {
                true => run.over(&prepared, images, None)?.squares,
                false => Vec::new(),
            };
            let squares: Vec<Option<Tensor>> = squares.into_iter().map(Sum::into_inner).collect();
            let found = Run { squares: &squares, ..run }.over(&prepared, images, gradient.as_ref())?;
            self.value(found)
        })?;
        match (gradient, self.reduction) {
            (None, _) => Ok(of_images),
            (Some(gradient), Reduction::None) => with_gradients(&of_images, &prepared, &gradient, scale.unit),
            (Some(gradient), _) => with_gradient(&of_images, &prepared, &gradient, scale.unit),
        }
    }

    fn statistics(&self, target: Target) -> Result<Vec<Option<Tensor>>> {
        match target {
            Target::Images(_) => Ok(self.terms.iter().map(|_| None).collect()),
            Target::Features(features) => {
                self.terms.iter().map(|term| term.comparison.statistics(&features[term.tap])).collect()
            }
        }
    }

    fn value(&self, found: Findings) -> Result<Tensor> {
        let (mut of_images, mut of_batch) = (Sum::default(), Sum::default());
        if !found.of_images.is_empty() {
            of_images.add(Tensor::f_cat(&found.of_images, 0)?)?;
        }
        for (Part { weight, .. }, square) in self.terms.iter().zip(found.squares) {
            if let Some(square) = square.into_inner() {
                of_batch.add(square.f_sqrt()?.f_mul_scalar(*weight)?)?;
            }
        }
        self.joined(of_images, of_batch)
    }
}

impl Run<'_> {
    /// Goes through the network with all pieces of a batch, and back to its `gradient`.
    fn over(&self, prepared: &Tensor, images: i64, gradient: Option<&Tensor>) -> Result<Findings> {
        let squares = self.engine.terms.iter().map(|_| Sum::default()).collect();
        let mut found = Findings { of_images: Vec::new(), squares };
        for (start, length) in pieces(prepared.size()[0], images) {
            let piece = prepared.f_narrow(0, start, length)?;
            let mut others: Vec<_> = self.others(start, length)?.into_iter().map(Some).collect();
            let mut slopes: Vec<Option<Tensor>> = self.engine.taps.iter().map(|_| None).collect();
            let mut of_images = Sum::default();
            // At once, so that a target's features are there no longer than needed.
            let mut compare = |tap: usize, own: &Tensor| -> Result<()> {
                let other = others[tap].take().expect("a tap is visited once");
                slopes[tap] = self.at_tap(tap, own, other, gradient.is_some(), &mut of_images, &mut found)?;
                Ok(())
            };
            match gradient {
                Some(gradient) => {
                    let trace = self.pass.trace(&piece, &mut compare)?;
                    gradient.f_narrow(0, start, length)?.f_copy_(&self.back(trace, slopes)?)?;
                }
                None => self.pass.run(&piece, &mut compare)?,
            }
            found.of_images.extend(of_images.into_inner());
        }
        Ok(found)
    }

    /// All comparisons at a tap. Returns the slope, if there is to be one.
    fn at_tap(
        &self,
        tap: usize,
        own: &Tensor,
        other: Tensor,
        with_slope: bool,
        of_images: &mut Sum,
        found: &mut Findings,
    ) -> Result<Option<Tensor>> {
        check::partners(("input features", own), ("target features", &other))?;
        let mut slope = Sum::default();
        let mut terms = self.engine.terms.iter().enumerate().filter(|(_, term)| term.tap == tap).peekable();
        while let Some((index, Part { weight, comparison, .. })) = terms.next() {
            let is_free = matches!(self.target, Target::Images(_)) && terms.peek().is_none();
            let share = self.scale.shares[index];
            let statistics = self.statistics[index].as_ref();
            let other = Other { features: other.shallow_clone(), is_free, statistics };
            let (sums, mut own_slope) = comparison.piece(own, other, with_slope.then_some(share))?;
            match comparison.across_images() {
                AcrossImages::Reduced => {
                    of_images.add(sums.f_mul_scalar(*weight / comparison.count(&own.size()))?)?;
                }
                AcrossImages::Norm => {
                    let square = sums.f_sum(None)?;
                    let whole = self.squares.get(index).and_then(Option::as_ref).unwrap_or(&square);
                    // At 0, the slope is 0 times a finite number.
                    let smallest = f64::from(f32::MIN_POSITIVE);
                    let factor = whole.f_clamp_min(smallest)?.f_rsqrt()?.f_mul_scalar(0.5)?;
                    own_slope = own_slope.map(|mut slope| slope.f_mul_(&factor)).transpose()?;
                    found.squares[index].add(square)?;
                }
            }
            if let Some(own_slope) = own_slope {
                slope.add(own_slope)?;
            }
        }
        Ok(slope.into_inner())
    }

    /// The target's features of a piece, at each tap.
    fn others(&self, start: i64, length: i64) -> Result<Vec<Tensor>> {
        match self.target {
            Target::Images(images) => {
                let piece = images.f_narrow(0, start, length)?;
                self.pass.features(&self.engine.preprocessing.apply(&piece)?)
            }
            Target::Features(features) => {
                features.iter().map(|features| Ok(features.f_narrow(0, start, length)?)).collect()
            }
        }
    }

    /// The gradient with respect to the images of a piece, from the `slopes` with respect to its features.
    fn back(&self, trace: Box<dyn Trace + '_>, mut slopes: Vec<Option<Tensor>>) -> Result<Tensor> {
        let kind = trace.kind();
        // In f16, slopes go through the network scaled to at most 1/16, so that they neither overflow nor
        // underflow.
        let peak = match self.engine.is_unbounded_in(kind) {
            true => Some(scale_to_sixteenth(&mut slopes)?),
            false => None,
        };
        let slopes =
            slopes.into_iter().map(|slope| Ok(slope.map(|slope| slope.f_to_kind(kind)).transpose()?));
        let gradient = trace.back(slopes.collect::<Result<_>>()?)?;
        Ok(match peak {
            Some(peak) => gradient.f_to_kind(peak.kind())?.f_mul_(&peak)?,
            None => gradient,
        })
    }
}

/// Divides the slopes by 16 times the largest of them, and returns that number.
fn scale_to_sixteenth(slopes: &mut [Option<Tensor>]) -> Result<Tensor> {
    let largest = slopes.iter().flatten().map(|slope| slope.f_abs()?.f_max());
    let largest = largest.collect::<std::result::Result<Vec<_>, _>>()?;
    // Slopes of nothing stay nothing.
    let unit = Tensor::f_stack(&largest, 0)?.f_max()?.f_mul_scalar(16.0)?.f_clamp_min(1e-30)?;
    for slope in slopes.iter_mut().flatten() {
        let _ = slope.f_div_(&unit)?;
    }
    Ok(unit)
}
