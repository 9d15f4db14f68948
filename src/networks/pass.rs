//! The network without a graph: forward, and back from what that left behind.

use tch::{Kind, Tensor};

use super::winograd::{self, Filter, Scratch};
use super::{Convolution, Vgg19, VggLayer, CONVOLUTION, POOLING, UNDILATED, UNPADDED};
use crate::Result;

/// The network as it is run without a graph, on the pieces of a batch.
pub(crate) struct Pass<'a> {
    vgg: &'a Vgg19,
    deepest: VggLayer,
    /// The steps down to `deepest`. Kept no longer than for a batch, as the parameters may change.
    steps: Vec<Step>,
    scratch: Scratch,
}

/// How a convolution with bias and ReLU is computed.
enum Step {
    /// By libtorch, its weight in the order that suits it.
    Direct(Convolution),
    /// By Winograd's algorithm, where that is faster; with the bias.
    Winograd(Filter, Tensor),
}

impl Pass<'_> {
    /// For checked images of a size `[N, 3, H, W]`, down to `deepest`.
    pub(crate) fn new<'a>(vgg: &'a Vgg19, size: &[i64], deepest: VggLayer) -> Result<Pass<'a>> {
        let mut elements = 0;
        let layers = VggLayer::ALL.into_iter().take_while(|layer| *layer <= deepest);
        let steps = layers.zip(&vgg.convolutions).map(|(layer, convolution)| {
            let Convolution { weight, bias } = convolution;
            let (height, width) = (size[2] / layer.stride(), size[3] / layer.stride());
            if !winograd::pays(weight, size[0], height, width) {
                return convolution.in_order().map(Step::Direct);
            }
            elements = elements.max(winograd::elements(weight, width));
            Ok(Step::Winograd(Filter::new(weight)?, bias.shallow_clone()))
        });
        let steps = steps.collect::<Result<Vec<_>>>()?;
        let scratch = Scratch::new(elements)?;
        Ok(Pass { vgg, deepest, steps, scratch })
    }

    /// What [`Vgg19::features`] returns.
    pub(crate) fn features(&self, images: &Tensor, layers: &[VggLayer]) -> Result<Vec<Tensor>> {
        self.vgg.collect(images, layers, |layer, x| self.convolve(layer, x))
    }

    /// Runs the network and shows `visit` the activations after each ReLU.
    pub(crate) fn run(
        &self,
        images: &Tensor,
        visit: impl FnMut(VggLayer, &Tensor) -> Result<()>,
    ) -> Result<()> {
        self.vgg.run(images, self.deepest, |layer, x| self.convolve(layer, x), visit)?;
        Ok(())
    }

    /// The same to go [back](Trace::back) later.
    pub(crate) fn trace(
        &self,
        images: &Tensor,
        mut visit: impl FnMut(VggLayer, &Tensor) -> Result<()>,
    ) -> Result<Trace<'_>> {
        let mut activations = Vec::new();
        let keep = |layer, activation: &Tensor| {
            activations.push(activation.shallow_clone());
            visit(layer, activation)
        };
        let maxima = self.vgg.run(images, self.deepest, |layer, x| self.convolve(layer, x), keep)?;
        Ok(Trace { pass: self, activations, maxima })
    }

    fn convolve(&self, layer: VggLayer, x: &Tensor) -> Result<Tensor> {
        match &self.steps[layer.ordinal()] {
            Step::Direct(convolution) => convolution.apply(x),
            Step::Winograd(filter, bias) => filter.forward(x, bias, &self.scratch),
        }
    }

    /// The gradient with respect to a layer's input, from that with respect to its `activation`.
    fn convolve_back(&self, layer: VggLayer, activation: Tensor, gradient: Tensor) -> Result<Tensor> {
        match &self.steps[layer.ordinal()] {
            Step::Direct(Convolution { weight, .. }) => {
                let gradient = activation.f_threshold_backward_grad_input(&gradient, &gradient, 0.0)?;
                drop(activation);
                let (same, none) = (CONVOLUTION, UNPADDED);
                Ok(gradient.f_conv_transpose2d(weight, None::<Tensor>, same, same, none, 1, same)?)
            }
            Step::Winograd(filter, _) => filter.back(&gradient, &activation, &self.scratch),
        }
    }
}

/// What a forward pass left behind, to go back through the network.
///
/// PyTorch's autograd would do the same, but keep everything that it may need until the end. Here the
/// parameters need no gradient, so that activations suffice, and are freed on the way.
pub(crate) struct Trace<'a> {
    pass: &'a Pass<'a>,
    /// After each ReLU.
    activations: Vec<Tensor>,
    /// For each pooling layer where in its input the maxima were.
    maxima: Vec<Tensor>,
}

impl Trace<'_> {
    /// The kind that the network computed in: its own, or autocast's.
    pub(crate) fn kind(&self) -> Kind {
        self.activations[0].kind()
    }

    /// The gradient with respect to the images of a function of the activations, whose gradients with respect
    /// to those are given.
    pub(crate) fn back(mut self, mut gradients: Vec<(VggLayer, Tensor)>) -> Result<Tensor> {
        gradients.sort_by_key(|(layer, _)| *layer);
        let mut total: Option<Tensor> = None;
        while let Some(activation) = self.activations.pop() {
            let layer = VggLayer::ALL[self.activations.len()];
            while gradients.last().is_some_and(|(tap, _)| *tap == layer) {
                let (_, own) = gradients.pop().expect("there is a last one");
                total = Some(match total {
                    Some(mut total) => total.f_add_(&own)?,
                    None => own,
                });
            }
            let Some(gradient) = total else { continue };
            let mut gradient = self.pass.convolve_back(layer, activation, gradient)?;
            if layer.starts_block() {
                if let (Some(input), Some(maxima)) = (self.activations.last(), self.maxima.pop()) {
                    gradient = input.f_max_pool2d_with_indices_backward(
                        &gradient, POOLING, POOLING, UNPADDED, UNDILATED, false, &maxima,
                    )?;
                }
            }
            total = Some(gradient);
        }
        Ok(total.expect("there are gradients"))
    }
}
