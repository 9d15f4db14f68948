//! What all losses on features share: pieces of a batch, gradients inside forward, cached targets, maps.

use tch::{no_grad, Kind, Tensor};

use super::comparison::{AcrossImages, Comparison};
use super::preprocessing::Preprocessing;
use super::scale::Scale;
use super::streaming::Streaming;
use super::target::{Preparation, TargetFeatures};
use crate::base::check;
use crate::base::gradient::{pieces, Wanted};
use crate::base::image::sqrt;
use crate::base::precision::channel_mean;
use crate::base::reduction::reduce;
use crate::networks::{Extractor, Place};
use crate::{DataRange, Error, InputNormalization, Reduction, Result, Tap};

/// A loss `Σ over terms of weight * comparison(features(input), features(target))`.
pub(super) struct Engine<'a> {
    pub(super) network: &'a dyn Extractor,
    pub(super) preprocessing: Preprocessing,
    pub(super) streaming: Streaming,
    pub(super) reduction: Reduction,
    /// Each place in the network once, by the name that the first term gives it.
    pub(super) taps: Vec<Tap>,
    pub(super) terms: Vec<Part<'a>>,
}

/// A comparison at a tap.
pub(super) struct Term<'a> {
    pub tap: &'a Tap,
    pub weight: f64,
    pub comparison: &'a dyn Comparison,
}

/// A term in an [`Engine`].
pub(super) struct Part<'a> {
    /// The number of its tap.
    pub tap: usize,
    pub weight: f64,
    pub comparison: &'a dyn Comparison,
}

/// What the input is compared with.
#[derive(Clone, Copy)]
pub(super) enum Target<'a> {
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
    /// For terms whose options have been checked: the reduction of the losses of images is the mean.
    pub(super) fn new<'a>(
        network: &'a dyn Extractor,
        terms: impl IntoIterator<Item = Term<'a>>,
        preprocessing: Preprocessing,
        streaming: Streaming,
    ) -> Result<Engine<'a>> {
        preprocessing.check()?;
        streaming.check()?;
        let (mut taps, mut places, mut parts) = (Vec::new(), Vec::<Place>::new(), Vec::new());
        for Term { tap, weight, comparison } in terms {
            let place = network.place(tap)?;
            let known = places.iter().position(|known| known.index == place.index);
            let tap = known.unwrap_or_else(|| {
                taps.push(tap.clone());
                places.push(place);
                places.len() - 1
            });
            parts.push(Part { tap, weight, comparison });
        }
        let reduction = Reduction::Mean;
        Ok(Engine { network, preprocessing, streaming, reduction, taps, terms: parts })
    }

    /// With another reduction of the images' losses.
    pub(super) fn reduced(self, reduction: Reduction) -> Self {
        Engine { reduction, ..self }
    }

    /// The loss of two batches of one size.
    pub(super) fn compare_images(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let wanted = Wanted::of(input, Some(target))?;
        // Where a comparison looks at the target's whole batch, its features are there before the input's.
        let is_streamed = wanted != Wanted::Graph && self.at_a_time(input).is_some();
        if is_streamed && self.terms.iter().any(|term| term.comparison.needs_whole_target()) {
            self.check_images("input", input)?;
            return self.compare_features(input, &self.target_features(target)?);
        }
        self.loss(input, wanted, Target::Images(target))
    }

    /// The loss of a batch against features.
    pub(super) fn compare_features(&self, input: &Tensor, target: &TargetFeatures) -> Result<Tensor> {
        let features = target.features(&self.preparation(input))?;
        self.loss(input, Wanted::of(input, None)?, Target::Features(features))
    }

    /// The features of a target, as constants.
    pub(super) fn target_features(&self, target: &Tensor) -> Result<TargetFeatures> {
        self.check_images("target", target)?;
        let prepared = self.preprocessing.apply(&target.f_detach()?)?;
        let features = no_grad(|| match self.at_a_time(target) {
            Some(images) => self.features_in_pieces(&prepared, images),
            None => self.network.features(&prepared, &self.taps),
        })?;
        Ok(TargetFeatures::new(self.preparation(target), features))
    }

    /// The features of prepared images without a graph, at most so many images at a time.
    fn features_in_pieces(&self, prepared: &Tensor, images: i64) -> Result<Vec<Tensor>> {
        let pass = self.network.pass(&prepared.size(), &self.taps)?;
        let mut of_taps: Vec<Vec<Tensor>> = self.taps.iter().map(|_| Vec::new()).collect();
        for (start, length) in pieces(prepared.size()[0], images) {
            let features = pass.features(&prepared.f_narrow(0, start, length)?)?;
            of_taps.iter_mut().zip(features).for_each(|(of_tap, features)| of_tap.push(features));
        }
        let joined = |of_tap: Vec<Tensor>| Ok(Tensor::f_cat(&of_tap, 0)?);
        of_taps.into_iter().map(joined).collect()
    }

    /// Where in the images the loss comes from: `[N, 1, H, W]`; `None` if some term has no map. For two batches of one
    /// size.
    pub(super) fn map(&self, input: &Tensor, target: &Tensor) -> Result<Option<Tensor>> {
        self.check_images("input", input)?;
        let (features, others) = (self.features(input)?, self.features(target)?);
        let mut total = Sum::default();
        for Part { tap, weight, comparison } in &self.terms {
            let Some(map) = comparison.map(&features[*tap], &others[*tap])? else { return Ok(None) };
            total.add(comparison.enlarged(&map, &input.size()[2..])?.f_mul_scalar(*weight)?)?;
        }
        Ok(Some(total.total().f_to_kind(input.kind())?))
    }

    /// The mean activation over the channels of each tap, weighted and summed: `[N, 1, H, W]`.
    pub(super) fn response(&self, image: &Tensor) -> Result<Tensor> {
        self.check_images("image", image)?;
        let features = self.features(image)?;
        let mut total = Sum::default();
        for Part { tap, weight, .. } in &self.terms {
            let map = channel_mean(&features[*tap])?;
            total.add(map.f_upsample_nearest2d(&image.size()[2..], None, None)?.f_mul_scalar(*weight)?)?;
        }
        Ok(total.total().f_to_kind(image.kind())?)
    }

    /// How many images to stream at a time; `None` for all of them in a graph.
    fn at_a_time(&self, images: &Tensor) -> Option<i64> {
        let first = self.network.place(&Tap::new("features.0"));
        self.streaming.images(images, first.map_or(1, |place| place.stride))
    }

    pub(super) fn check_images(&self, argument: &'static str, images: &Tensor) -> Result<()> {
        Preprocessing::check_images(self.network, argument, images, &self.taps)
    }

    fn preparation(&self, images: &Tensor) -> Preparation {
        let (taps, mut preprocessing) = (self.taps.clone(), self.preprocessing);
        if preprocessing.normalization == InputNormalization::None {
            // It does not matter then.
            preprocessing.data_range = DataRange::default();
        }
        let pooling = self.network.pooling();
        Preparation { taps, pooling, preprocessing, image_size: images.size() }
    }

    /// The features at the taps, in libtorch's graph.
    fn features(&self, images: &Tensor) -> Result<Vec<Tensor>> {
        self.network.features(&self.preprocessing.apply(images)?, &self.taps)
    }

    fn loss(&self, input: &Tensor, wanted: Wanted, target: Target) -> Result<Tensor> {
        self.check_images("input", input)?;
        let loss = match self.at_a_time(input) {
            Some(images) if wanted != Wanted::Graph => {
                // Prepared in the graph, which so accounts for it in the gradient.
                let prepared = self.preprocessing.apply(input)?;
                self.streamed(&prepared, target, images, wanted == Wanted::InputGradient)?
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
        let (mut of_images, mut of_batch) = (Sum::default(), Sum::default());
        for Part { tap, weight, comparison } in &self.terms {
            let (own, other) = (&features[*tap], &others[*tap]);
            check::partners(("input features", own), ("target features", other))?;
            let sums = comparison.sums(own, other)?;
            match comparison.across_images() {
                AcrossImages::Reduced => {
                    let count = comparison.count(&own.size());
                    of_images.add(sums.f_mul_scalar(*weight / count)?)?;
                }
                AcrossImages::Norm => {
                    of_batch.add(sqrt(&sums.f_sum(None)?)?.f_mul_scalar(*weight)?)?;
                }
            }
        }
        self.joined(of_images, of_batch)
    }

    /// The loss from the numbers `[N]` of the images and the numbers of the whole batch.
    pub(super) fn joined(&self, of_images: Sum, of_batch: Sum) -> Result<Tensor> {
        let of_images = of_images.0.map(|values| reduce(&values, self.reduction, values.kind()));
        match (of_images.transpose()?, of_batch.0) {
            (Some(images), Some(batch)) => Ok(images.f_add(&batch)?),
            (Some(value), None) | (None, Some(value)) => Ok(value),
            (None, None) => unreachable!("there are taps"),
        }
    }

    /// The scale of the terms' gradients for prepared images of a size.
    pub(super) fn scale(&self, image_size: &[i64]) -> Result<Scale> {
        let images = match self.reduction {
            Reduction::Mean => image_size[0] as f64,
            _ => 1.0,
        };
        let counts = self.terms.iter().map(|term| {
            let size = self.network.feature_size(&self.taps[term.tap], image_size)?;
            let count = match term.comparison.across_images() {
                AcrossImages::Reduced => term.comparison.count(&size) * images,
                AcrossImages::Norm => 1.0,
            };
            Ok((term.weight, count))
        });
        Ok(Scale::new(counts.collect::<Result<Vec<_>>>()?))
    }

    /// Whether gradients in f16 need a scale that follows their values.
    pub(super) fn is_unbounded_in(&self, kind: Kind) -> bool {
        kind == Kind::Half && self.terms.iter().any(|term| term.comparison.is_unbounded())
    }
}

/// A sum of terms.
#[derive(Default)]
pub(super) struct Sum(Option<Tensor>);

impl Sum {
    pub(super) fn add(&mut self, term: Tensor) -> Result<()> {
        self.0 = Some(match self.0.take() {
            Some(total) => total.f_add(&term)?,
            None => term,
        });
        Ok(())
    }

    /// The sum, if there is a term.
    pub(super) fn into_inner(self) -> Option<Tensor> {
        self.0
    }

    fn total(self) -> Tensor {
        self.0.expect("there are taps")
    }
}
