//! Convolutions, each with the ReLU after it where nothing lies between.

use tch::{Device, Kind, Tensor};

use super::winograd::{self, Filter, Scratch};
use super::{relu_back, BatchNorm, Window};
use crate::base::precision::accumulation_kind;
use crate::Result;

const UNDILATED: &[i64] = &[1, 1];

/// A convolution with a bias.
pub(in crate::networks) struct Convolution {
    /// `[out, in, kernel, kernel]`
    pub weight: Tensor,
    pub bias: Tensor,
    pub window: Window,
}

impl Convolution {
    /// The convolution of `x`, then ReLU if asked for. In the graph where there is one. The weight is
    /// [in order](Self::in_order).
    pub(in crate::networks) fn forward(&self, x: &Tensor, relu: bool) -> Result<Tensor> {
        let Window { stride, padding, .. } = self.window;
        let mut result =
            x.f_conv2d(&self.weight, Some(&self.bias), [stride; 2], [padding; 2], UNDILATED, 1)?;
        // In place: nothing else holds the result.
        Ok(if relu { result.f_relu_()? } else { result })
    }

    /// The gradient with respect to an input of a height and width, from that with respect to the output.
    /// Where ReLU was asked for, `output` is what [`forward`](Self::forward) returned.
    fn back(&self, gradient: Tensor, output: Option<Tensor>, size: [i64; 2]) -> Result<Tensor> {
        let gradient = match &output {
            Some(output) => relu_back(&gradient, output)?,
            None => gradient,
        };
        drop(output);
        let Window { stride, padding, .. } = self.window;
        // What is left over at the lower and right border, where the stride does not divide.
        let left = size.map(|side| side - self.window.input_for(self.window.output(side)));
        let (stride, padding) = ([stride; 2], [padding; 2]);
        Ok(gradient.f_conv_transpose2d(&self.weight, None::<Tensor>, stride, padding, left, 1, UNDILATED)?)
    }

    /// The same with its weight as convolutions are fastest. It is shared where it is so already. A weight in
    /// a caller's variable store is not: `VarStore::save` takes contiguous tensors only.
    pub(in crate::networks) fn in_order(&self) -> Result<Convolution> {
        let weight = in_order(&self.weight, self.weight.device(), self.weight.kind())?;
        Ok(Convolution { weight, bias: self.bias.shallow_clone(), window: self.window })
    }

    /// The convolution, and the batch norm after it if there is one, as one convolution.
    pub(in crate::networks) fn with_norm(&self, norm: Option<&BatchNorm>) -> Result<Convolution> {
        let Some(norm) = norm else { return self.map(|tensor| Ok(tensor.shallow_clone())) };
        let kind = self.weight.kind();
        let wide = |tensor: &Tensor| tensor.f_to_kind(accumulation_kind(kind));
        let (factor, shift) = norm.factor_and_shift()?;
        let bias = wide(&self.bias)?.f_mul(&factor)?.f_add(&shift)?.f_to_kind(kind)?;
        let factor = factor.f_view([-1i64, 1, 1, 1].as_slice())?;
        let weight = wide(&self.weight)?.f_mul(&factor)?.f_to_kind(kind)?;
        Ok(Convolution { weight, bias, window: self.window })
    }

    /// The same with other parameters, made of these.
    pub(super) fn map(&self, change: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Convolution> {
        Ok(Convolution { weight: change(&self.weight)?, bias: change(&self.bias)?, window: self.window })
    }
}

/// A convolution ready to run without a graph on maps of one size, by the algorithm that is faster there.
pub(in crate::networks) enum Prepared {
    /// By libtorch.
    Direct(Convolution, [i64; 2]),
    /// By Winograd's algorithm; with the bias.
    Winograd(Filter, Tensor),
}

impl Prepared {
    /// For `count` maps of a height and width. Its need of scratch memory is added to `elements`.
    pub(in crate::networks) fn new(
        convolution: &Convolution,
        count: i64,
        [height, width]: [i64; 2],
        elements: &mut i64,
    ) -> Result<Prepared> {
        let Convolution { weight, bias, window } = convolution;
        if !winograd::pays(weight, *window, count, height, width) {
            return Ok(Prepared::Direct(convolution.in_order()?, [height, width]));
        }
        *elements = winograd::elements(weight, width).max(*elements);
        Ok(Prepared::Winograd(Filter::new(weight)?, bias.shallow_clone()))
    }

    /// As [`Convolution::forward`].
    pub(in crate::networks) fn forward(&self, x: &Tensor, relu: bool, scratch: &Scratch) -> Result<Tensor> {
        match self {
            Prepared::Direct(convolution, _) => convolution.forward(x, relu),
            Prepared::Winograd(filter, bias) => filter.forward(x, bias, relu, scratch),
        }
    }

    /// As [`Convolution::back`].
    pub(in crate::networks) fn back(
        &self,
        gradient: Tensor,
        output: Option<Tensor>,
        scratch: &Scratch,
    ) -> Result<Tensor> {
        match self {
            Prepared::Direct(convolution, size) => convolution.back(gradient, output, *size),
            Prepared::Winograd(filter, _) => filter.back(&gradient, output.as_ref(), scratch),
        }
    }
}

/// `[N, C, H, W]` images or convolution weights in the order in memory that convolutions are fastest in.
pub(in crate::networks) fn in_order(tensor: &Tensor, device: Device, kind: Kind) -> Result<Tensor> {
    let channels_last = match device {
        Device::Cpu => kind != Kind::Double,
        _ => matches!(kind, Kind::Half | Kind::BFloat16),
    };
    if !channels_last {
        return Ok(tensor.shallow_clone());
    }
    // PyTorch's `contiguous(memory_format=torch.channels_last)`.
    let last = tensor.f_permute([0i64, 2, 3, 1].as_slice())?.f_contiguous()?;
    Ok(last.f_permute([0i64, 3, 1, 2].as_slice())?)
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::{Convolution, Prepared, Scratch, Window};

    const DOUBLE: (Kind, Device) = (Kind::Double, Device::Cpu);

    /// The windows of VGG, AlexNet and SqueezeNet, and maps whose sides the strides divide or not.
    const WINDOWS: [Window; 5] = [
        Window::new(3, 1, 1),
        Window::new(11, 4, 2),
        Window::new(5, 1, 2),
        Window::new(3, 2, 0),
        Window::new(1, 1, 0),
    ];
    const SIZES: [[i64; 2]; 4] = [[12, 12], [13, 17], [14, 15], [16, 11]];

    fn largest(tensor: &Tensor) -> f64 {
        tensor.abs().max().double_value(&[])
    }

    #[test]
    fn back_is_the_gradient() {
        tch::manual_seed(0);
        for window in WINDOWS {
            for size in SIZES {
                for relu in [false, true] {
                    let weight = Tensor::randn([5, 3, window.kernel, window.kernel], DOUBLE);
                    let convolution = Convolution { weight, bias: Tensor::randn([5], DOUBLE), window };
                    let input = Tensor::randn([2, 3, size[0], size[1]], DOUBLE).set_requires_grad(true);
                    let output = convolution.forward(&input, relu).unwrap();
                    assert_eq!(output.size()[2..], size.map(|side| window.output(side)));
                    let gradient = output.randn_like();
                    let sum = (&output * &gradient).sum(Kind::Double);
                    let expected = Tensor::run_backward(&[sum], &[&input], false, false).remove(0);
                    let mut elements = 0;
                    let prepared = Prepared::new(&convolution, 2, size, &mut elements).unwrap();
                    let scratch = Scratch::new(elements).unwrap();
                    let found = prepared.back(gradient, relu.then(|| output.detach()), &scratch).unwrap();
                    // Sums of a few hundred products of numbers below 10, in f64.
                    assert!(largest(&(found - expected)) < 1e-11, "{window:?} {size:?} {relu}");
                }
            }
        }
    }
}
