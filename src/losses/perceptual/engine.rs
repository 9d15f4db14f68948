//! What all losses on features share: pieces of a batch, gradients inside forward, cached targets, maps.

use tch::{no_grad, Device, Kind, Tensor};

use super::comparison::{Comparison, Other};
use super::scale::Scale;
use super::streaming::Streaming;
use super::target::{Preparation, TargetFeatures};
use crate::base::check;
use crate::base::gradient::{pieces, with_gradient, Wanted};
use crate::base::precision::{accumulation_kind, channel_mean};
use crate::networks::{Extractor, KeepFreedMemory, Pass, Trace};
use crate::{Error, InputNormalization, Result, Tap};

/// A loss `Σ over taps of weight * comparison(features(input), features(target))`.
pub(super) struct Engine<'a> {
    network: &'a dyn Extractor,
    comparison: &'a dyn Comparison,
    normalization: InputNormalization,
    streaming: Streaming,
    taps: Vec<Tap>,
    weights: Vec<f64>,
}

/// What the input is compared with.
#[derive(Clone, Copy)]
enum Target<'a> {
    Images(&'a Tensor),
    Features(&'a [Tensor]),
}

/// Checks the weights of taps, and that there are any.
pub(super) fn check_weights(taps: &[(Tap, f64)]) -> Result<()> {
    if taps.is_empty() {
        return Err(Error::Option {
            option: "taps",
            given: "empty".into(),
            expected: "at least one tap".into(),
        });
    }
    taps.iter().try_for_each(|(_, weight)| check::non_negative("taps", *weight))
}

impl Engine<'_> {
    /// Checks the options. The names of the taps are checked with the images.
    pub(super) fn new<'a>(
        network: &'a dyn Extractor,
        comparison: &'a dyn Comparison,
        taps: &[(Tap, f64)],
        normalization: InputNormalization,
        streaming: Streaming,
    ) -> Result<Engine<'a>> {
        check_weights(taps)?;
        streaming.check()?;
        let (taps, weights) = taps.iter().cloned().unzip();
        Ok(Engine { network, comparison, normalization, streaming, taps, weights })
    }

    /// The loss of two batches of one size.
    pub(super) fn compare_images(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.loss(input, Wanted::of(input, Some(target))?, Target::Images(target))
    }

    /// The loss of a batch against features.
    pub(super) fn compare_features(&self, input: &Tensor, target: &TargetFeatures) -> Result<Tensor> {
        let features = target.features(&self.preparation(input))?;
        self.loss(input, Wanted::of(input, None)?, Target::Features(features))
    }

    /// The features of a target, as constants.
    pub(super) fn target_features(&self, target: &Tensor) -> Result<TargetFeatures> {
        self.network.check_images("target", target, &self.taps)?;
        let prepared = self.normalization.apply(target)?;
        let features = no_grad(|| match self.streaming.images(target) {
            Some(_) => self.network.pass(&target.size(), &self.taps)?.features(&prepared),
            None => self.network.features(&prepared, &self.taps),
        })?;
        Ok(TargetFeatures::new(self.preparation(target), features))
    }

    /// Where in the images the loss comes from: `[N, 1, H, W]`. For two batches of one size.
    pub(super) fn map(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.network.check_images("input", input, &self.taps)?;
        let (features, others) = (self.features(input)?, self.features(target)?);
        let maps = features.iter().zip(&others).map(|(own, other)| self.comparison.map(own, other));
        self.sum_of_maps(input, maps)
    }

    /// The mean activation over the channels of each tap, weighted and summed: `[N, 1, H, W]`.
    pub(super) fn response(&self, image: &Tensor) -> Result<Tensor> {
        self.network.check_images("image", image, &self.taps)?;
        self.sum_of_maps(image, self.features(image)?.iter().map(channel_mean))
    }

    fn preparation(&self, images: &Tensor) -> Preparation {
        Preparation { taps: self.taps.clone(), normalization: self.normalization, image_size: images.size() }
    }

    /// The features of the normalised images at the taps.
    fn features(&self, images: &Tensor) -> Result<Vec<Tensor>> {
        self.network.features(&self.normalization.apply(images)?, &self.taps)
    }

    fn loss(&self, input: &Tensor, wanted: Wanted, target: Target) -> Result<Tensor> {
        self.network.check_images("input", input, &self.taps)?;
        let loss = match self.streaming.images(input) {
            Some(images) if wanted != Wanted::Graph => {
                self.streamed(input, target, images, wanted == Wanted::InputGradient)?
            }
            _ => {
                let features = self.features(input)?;
                match target {
                    Target::Images(images) => self.in_graph(&features, &self.features(images)?)?,
                    Target::Features(others) => self.in_graph(&features, others)?,
                }
            }
        };
        Ok(loss.f_to_kind(input.kind())?)
    }

    /// The loss in libtorch's graph.
    fn in_graph(&self, features: &[Tensor], others: &[Tensor]) -> Result<Tensor> {
        let mut total = Sum::default();
        for (weight, (own, other)) in self.weights.iter().zip(features.iter().zip(others)) {
            total.add(self.comparison.value(own, other)?.f_mul_scalar(*weight)?)?;
        }
        Ok(total.total())
    }

    /// The loss without a graph of it, at most so many images at a time. The gradient is taken at the same
    /// time, if there is to be one.
    fn streamed(&self, input: &Tensor, target: Target, images: i64, gradient: bool) -> Result<Tensor> {
        // Normalised in the graph, which so accounts for it in the gradient.
        let prepared = self.normalization.apply(input)?.f_to_kind(accumulation_kind(input.kind()))?;
        let size = prepared.size();
        let gradient = match gradient {
            true => Some(Tensor::f_empty(&size, (prepared.kind(), prepared.device()))?),
            false => None,
        };
        let scale = self.scale(&size)?;
        let places =
            self.taps.iter().map(|tap| Ok(self.network.place(tap)?.index)).collect::<Result<Vec<_>>>()?;
        let pass = no_grad(|| self.network.pass(&size, &self.taps))?;
        let _kept = (prepared.device() == Device::Cpu).then(KeepFreedMemory::new);
        let value = no_grad(|| -> Result<Tensor> {
            let mut value = Sum::default();
            for (start, length) in pieces(size[0], images) {
                let piece = prepared.f_narrow(0, start, length)?;
                let mut others: Vec<_> =
                    self.others(&*pass, target, start, length)?.into_iter().map(Some).collect();
                let mut slopes: Vec<Option<Tensor>> = self.taps.iter().map(|_| None).collect();
                // At once, so that a target's features are there no longer than needed.
                let mut compare = |tap: usize, own: &Tensor| -> Result<()> {
                    let other = others[tap].take().expect("a tap is visited once");
                    check::partners(("input features", own), ("target features", &other))?;
                    let is_free =
                        matches!(target, Target::Images(_)) && !places[tap + 1..].contains(&places[tap]);
                    let share = scale.shares[tap];
                    let other = Other { features: other, is_free };
                    let (part, slope) =
                        self.comparison.piece(own, other, gradient.is_some().then_some(share))?;
                    value.add(part.f_mul_scalar(share * scale.unit)?)?;
                    slopes[tap] = slope;
                    Ok(())
                };
                match &gradient {
                    Some(gradient) => {
                        let trace = pass.trace(&piece, &mut compare)?;
                        gradient.f_narrow(0, start, length)?.f_copy_(&self.back(trace, slopes)?)?;
                    }
                    None => pass.run(&piece, &mut compare)?,
                }
            }
            Ok(value.total())
        })?;
        match gradient {
            Some(gradient) => with_gradient(&value, &prepared, &gradient, scale.unit),
            None => Ok(value),
        }
    }

    fn scale(&self, image_size: &[i64]) -> Result<Scale> {
        let counts = self.taps.iter().zip(&self.weights).map(|(tap, weight)| {
            Ok((*weight, self.comparison.count(&self.network.feature_size(tap, image_size)?)))
        });
        Ok(Scale::new(counts.collect::<Result<Vec<_>>>()?))
    }

    /// The target's features of a piece, at each tap.
    fn others(&self, pass: &dyn Pass, target: Target, start: i64, length: i64) -> Result<Vec<Tensor>> {
        match target {
            Target::Images(images) => {
                pass.features(&self.normalization.apply(&images.f_narrow(0, start, length)?)?)
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
        let peak = match kind == Kind::Half && self.comparison.is_unbounded() {
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

    /// The weighted sum over the taps of `[N, 1, h, w]` maps, each brought to the images' size.
    fn sum_of_maps(&self, images: &Tensor, maps: impl Iterator<Item = Result<Tensor>>) -> Result<Tensor> {
        let size = &images.size()[2..];
        let mut total = Sum::default();
        for (weight, map) in self.weights.iter().zip(maps) {
            total.add(map?.f_upsample_nearest2d(size, None, None)?.f_mul_scalar(*weight)?)?;
        }
        Ok(total.total().f_to_kind(images.kind())?)
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

/// A sum of at least one term.
#[derive(Default)]
struct Sum(Option<Tensor>);

impl Sum {
    fn add(&mut self, term: Tensor) -> Result<()> {
        self.0 = Some(match self.0.take() {
            Some(total) => total.f_add(&term)?,
            None => term,
        });
        Ok(())
    }

    fn total(self) -> Tensor {
        self.0.expect("there are taps, and there are images")
    }
}
