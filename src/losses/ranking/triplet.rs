//! Losses on triplets of an anchor, something like it and something unlike it.

use std::fmt;

use tch::{Reduction, Tensor};

use super::{broadcast, same_dimensions, Named};
use crate::base::check;
use crate::base::or_panic;
use crate::base::reduction::reduce;
use crate::{Error, Result};

/// Wants an anchor nearer to the positive example than to the negative one, by a margin.
///
/// ```text
/// d(u, v) = (Σ |u - v + eps|^p)^(1/p)                           over the last axis
/// l       = max(0, d(a, pos) - n + margin)                      n = d(a, neg)
/// loss    = reduce(l)                                           with swap: min(d(a, neg), d(pos, neg))
/// ```
///
/// It learns from comparisons alone: no distance of its own is too far or too near, as it is for
/// [`HingeEmbeddingLoss`](crate::HingeEmbeddingLoss). For distances other than p-norms:
/// [`TripletMarginWithDistanceLoss`].
///
/// - **Shapes**: `[N, D]`, `[D]`, or any others with the features last; all three with one number of
///   dimensions, broadcast, as in PyTorch. The loss is a scalar, or of the common shape without the features
///   with [`Reduction::None`].
/// - **Values**: any. `eps` is added to the differences, sign and all, so that those of equal vectors have a
///   direction: `d` is not quite symmetric. The mean of nothing is NaN, as in PyTorch.
/// - **Gradients**: to all three.
/// - **Defaults**: `margin` 1, `p` 2, `eps` 1e-6, no swap, `reduction` mean.
/// - **Errors**: arguments that differ in dimensions, kind or device, or do not broadcast; a `margin` that is
///   not above 0, or not finite; a `p` that is NaN; an `eps` that is negative or not finite.
///
/// Source:
/// [`torch.nn.TripletMarginLoss`](https://pytorch.org/docs/stable/generated/torch.nn.TripletMarginLoss.html);
/// V. Balntas et al., *Learning local feature descriptors with triplets and shallow convolutional neural
/// networks* (2016), also for the swap.
///
/// ```
/// use tch::Tensor;
/// use tch_losses::TripletMarginLoss;
///
/// let anchor = Tensor::from_slice2(&[[0.0, 0.0]]);
/// let positive = Tensor::from_slice2(&[[3.0, 4.0]]);
/// let negative = Tensor::from_slice2(&[[0.0, 5.5]]);
/// // 5 - 5.5 + 1: the negative is farther off, but not far enough.
/// let loss = TripletMarginLoss::default().forward(&anchor, &positive, &negative);
/// assert!((loss.double_value(&[]) - 0.5).abs() < 1e-5);
/// // And it is nearer to the positive, √11.25 from it, than to the anchor.
/// let swap = TripletMarginLoss { swap: true, ..Default::default() };
/// let loss = swap.forward(&anchor, &positive, &negative);
/// assert!((loss.double_value(&[]) - (6.0 - 11.25f64.sqrt())).abs() < 1e-5);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TripletMarginLoss {
    /// By how much the negative shall be farther away.
    pub margin: f64,
    /// The degree of the norm, `f64::INFINITY` for the largest difference.
    pub p: f64,
    /// What is added to each difference.
    pub eps: f64,
    /// Whether the negative's distance is that to the nearer of anchor and positive.
    pub swap: bool,
    /// How the triplets are reduced.
    pub reduction: Reduction,
}

impl Default for TripletMarginLoss {
    fn default() -> Self {
        TripletMarginLoss { margin: 1.0, p: 2.0, eps: 1e-6, swap: false, reduction: Reduction::Mean }
    }
}

impl TripletMarginLoss {
    /// The loss of `anchor` with something like it and something unlike it.
    ///
    /// # Errors
    /// An argument that the loss does not accept gives the [`Error`] that names it.
    pub fn try_forward(&self, anchor: &Tensor, positive: &Tensor, negative: &Tensor) -> Result<Tensor> {
        check::reduction(self.reduction)?;
        check::positive("margin", self.margin)?;
        check::non_negative("eps", self.eps)?;
        if self.p.is_nan() {
            let expected = "the degree of a norm".into();
            return Err(Error::Option { option: "p", given: self.p.to_string(), expected });
        }
        check_vectors(anchor, positive, negative)?;
        Ok(Tensor::f_triplet_margin_loss(
            anchor,
            positive,
            negative,
            self.margin,
            self.p,
            self.eps,
            self.swap,
            self.reduction,
        )?)
    }

    /// The loss of `anchor` with something like it and something unlike it.
    ///
    /// # Panics
    /// Where [`try_forward`](Self::try_forward) returns an error, with the error's message.
    #[track_caller]
    pub fn forward(&self, anchor: &Tensor, positive: &Tensor, negative: &Tensor) -> Tensor {
        or_panic(self.try_forward(anchor, positive, negative))
    }
}

/// A distance for [`TripletMarginWithDistanceLoss`]: of two batches, one number for each pair.
///
/// In it, `?` works on tch's fallible operations as well as on this crate's losses.
pub type DistanceFunction = dyn Fn(&Tensor, &Tensor) -> Result<Tensor> + Send;

/// [`TripletMarginLoss`] with a distance of your own.
///
/// ```text
/// l    = max(0, d(a, pos) - n + margin)      n = d(a, neg); with swap min(d(a, neg), d(pos, neg))
/// loss = reduce(l)
/// ```
///
/// `d` is [`distance_function`](Self::distance_function); without one it is the pairwise distance of
/// [`TripletMarginLoss`], with its defaults for `p` and `eps`.
///
/// - **Shapes**: what the distance takes, all three with one number of dimensions (and broadcast, where the
///   distance does so). The loss is a scalar, or of the shape of the distances with [`Reduction::None`].
/// - **Values**: any, of any kind that the distance takes. The mean of nothing is NaN, as in PyTorch.
/// - **Gradients**: to all three, as far as the distance has them; of two equal distances with `swap`, to
///   both by halves.
/// - **Defaults**: the pairwise distance, `margin` 1, no swap, `reduction` mean.
/// - **Errors**: arguments that differ in dimensions; without a distance of your own also in kind or device,
///   or that do not broadcast; distances that are not floating, differ in kind or device, or do not
///   broadcast; an error of the distance, as it is; a `margin` that is not above 0, or not finite.
///
/// Source:
/// [`torch.nn.TripletMarginWithDistanceLoss`](https://pytorch.org/docs/stable/generated/torch.nn.TripletMarginWithDistanceLoss.html).
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::TripletMarginWithDistanceLoss;
///
/// let loss = TripletMarginWithDistanceLoss {
///     distance_function: Some(Box::new(|a, b| Ok(1.0 - Tensor::f_cosine_similarity(a, b, -1, 1e-8)?))),
///     margin: 0.5,
///     ..Default::default()
/// };
/// let embeddings = || Tensor::randn([8, 16], (Kind::Float, Device::Cpu)).set_requires_grad(true);
/// let (anchor, positive, negative) = (embeddings(), embeddings(), embeddings());
/// let value = loss.try_forward(&anchor, &positive, &negative)?;
/// value.backward();
/// assert_eq!(anchor.grad().size(), [8, 16]);
/// # Ok::<(), tch_losses::Error>(())
/// ```
pub struct TripletMarginWithDistanceLoss {
    /// The distance, differentiable where gradients are wanted; `None` for the pairwise distance.
    pub distance_function: Option<Box<DistanceFunction>>,
    /// By how much the negative shall be farther away.
    pub margin: f64,
    /// Whether the negative's distance is that to the nearer of anchor and positive.
    pub swap: bool,
    /// How the triplets are reduced.
    pub reduction: Reduction,
}

impl Default for TripletMarginWithDistanceLoss {
    fn default() -> Self {
        TripletMarginWithDistanceLoss {
            distance_function: None,
            margin: 1.0,
            swap: false,
            reduction: Reduction::Mean,
        }
    }
}

impl fmt::Debug for TripletMarginWithDistanceLoss {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let distance = if self.distance_function.is_some() { "custom" } else { "pairwise" };
        f.debug_struct("TripletMarginWithDistanceLoss")
            .field("distance_function", &format_args!("{distance}"))
            .field("margin", &self.margin)
            .field("swap", &self.swap)
            .field("reduction", &self.reduction)
            .finish()
    }
}

impl TripletMarginWithDistanceLoss {
    fn distance(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        match &self.distance_function {
            Some(distance) => distance(a, b),
            None => {
                let TripletMarginLoss { p, eps, .. } = TripletMarginLoss::default();
                Ok(Tensor::f_pairwise_distance(a, b, p, eps, false)?)
            }
        }
    }

    /// The loss of `anchor` with something like it and something unlike it.
    ///
    /// # Errors
    /// An argument that the loss does not accept, or a distance that it cannot use, gives the [`Error`] that
    /// names it; an error of the distance function is returned as it is.
    pub fn try_forward(&self, anchor: &Tensor, positive: &Tensor, negative: &Tensor) -> Result<Tensor> {
        check::reduction(self.reduction)?;
        check::positive("margin", self.margin)?;
        match self.distance_function {
            // Of what it is given, only the distance knows what it takes.
            Some(_) => {
                let arguments = named(anchor, positive, negative);
                for (argument, tensor) in arguments {
                    check::dense(argument, tensor)?;
                }
                same_dimensions(&arguments)?;
            }
            None => check_vectors(anchor, positive, negative)?,
        }
        let to_positive = self.distance(anchor, positive)?;
        let named_positive = ("distance(anchor, positive)", &to_positive);
        check::floating(named_positive.0, &to_positive)?;
        let mut to_negative = self.distance(anchor, negative)?;
        let named_negative = ("distance(anchor, negative)", &to_negative);
        check::partners(named_positive, named_negative)?;
        broadcast(&[named_positive, named_negative])?;
        if self.swap {
            let swapped = self.distance(positive, negative)?;
            let named_swapped = ("distance(positive, negative)", &swapped);
            check::partners(named_positive, named_swapped)?;
            broadcast(&[named_positive, named_negative, named_swapped])?;
            to_negative = to_negative.f_minimum(&swapped)?;
        }
        let loss = to_positive.f_add_scalar(self.margin)?.f_sub(&to_negative)?.f_clamp_min(0.0)?;
        reduce(&loss, self.reduction, to_positive.kind())
    }

    /// The loss of `anchor` with something like it and something unlike it.
    ///
    /// # Panics
    /// Where [`try_forward`](Self::try_forward) returns an error, with the error's message.
    #[track_caller]
    pub fn forward(&self, anchor: &Tensor, positive: &Tensor, negative: &Tensor) -> Tensor {
        or_panic(self.try_forward(anchor, positive, negative))
    }
}

fn named<'a>(anchor: &'a Tensor, positive: &'a Tensor, negative: &'a Tensor) -> [Named<'a>; 3] {
    [("anchor", anchor), ("positive", positive), ("negative", negative)]
}

/// Three floating tensors of one kind, number of dimensions and device, that broadcast.
fn check_vectors(anchor: &Tensor, positive: &Tensor, negative: &Tensor) -> Result<()> {
    let arguments = named(anchor, positive, negative);
    check::floating("anchor", anchor)?;
    check::partners(arguments[0], arguments[1])?;
    check::partners(arguments[0], arguments[2])?;
    same_dimensions(&arguments)?;
    broadcast(&arguments)?;
    Ok(())
}
