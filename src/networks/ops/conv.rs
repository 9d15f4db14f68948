//! Convolutions, each with the ReLU after it where nothing lies between.

use tch::{Device, Kind, Tensor};

use super::bands::{self, Direction};
use super::source::Source;
use super::winograd::{self, Filter, Scratch};
use super::{relu_back, BatchNorm, Window};
use crate::base::integer::div_ceil;
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

/// The way back of a convolution with a stride, from the images' gradient in phases.
///
/// A pixel gets its gradient from every `stride`-th element of the kernel. The pixels with the same remainder, a phase,
/// get it from the same elements. So all phases together are one convolution of the output's gradient, without a stride
/// and with a smaller kernel. libtorch's own way back takes up to four times as long where the input has few channels.
pub(in crate::networks) struct Phases {
    /// `[in * stride * stride, out, kernel / stride, kernel / stride]`, the last two rounded up.
    weight: Tensor,
    window: Window,
}

impl Phases {
    /// Of a convolution, if that is faster.
    fn new(Convolution { weight, window, .. }: &Convolution) -> Result<Option<Phases>> {
        let size = weight.size();
        let Window { kernel, stride, .. } = *window;
        if stride == 1 || size[1] >= 16 || weight.device() != Device::Cpu {
            return Ok(None);
        }
        let taps = div_ceil(kernel, stride);
        let margin = taps * stride - kernel;
        let weight = weight
            .f_constant_pad_nd([0, margin, 0, margin].as_slice())?
            .f_view([size[0], size[1], taps, stride, taps, stride].as_slice())?
            .f_permute([1i64, 3, 5, 0, 2, 4].as_slice())?
            .f_flip([4i64, 5].as_slice())?
            .f_reshape([size[1] * stride * stride, size[0], taps, taps].as_slice())?;
        let weight = in_order(&weight, weight.device(), weight.kind())?;
        Ok(Some(Phases { weight, window: *window }))
    }

    /// The gradient with respect to an input of a height and width.
    fn back(&self, gradient: &Tensor, size: [i64; 2]) -> Result<Tensor> {
        let Window { stride, padding, .. } = self.window;
        let margin = self.weight.size()[2] - 1;
        let phases = gradient.f_conv2d(&self.weight, None::<Tensor>, [1i64; 2], [margin; 2], UNDILATED, 1)?;
        let whole = phases.f_pixel_shuffle(stride)?;
        // Pixels that no window reaches.
        let [below, right] =
            [(2, 0), (3, 1)].map(|(dim, side)| (padding + size[side] - whole.size()[dim]).max(0));
        let whole = whole.f_constant_pad_nd([0, right, 0, below].as_slice())?;
        Ok(whole.f_narrow(2, padding, size[0])?.f_narrow(3, padding, size[1])?)
    }
}

/// A convolution ready to run without a graph on maps of one size, by the algorithm that is faster there.
pub(in crate::networks) enum Prepared {
    /// By libtorch.
    Direct(Convolution, [i64; 2]),
    /// By libtorch, and back in phases.
    Strided(Convolution, [i64; 2], Phases),
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
            let (size, phases) = ([height, width], Phases::new(convolution)?);
            let convolution = convolution.in_order()?;
            return Ok(match phases {
                Some(phases) => Prepared::Strided(convolution, size, phases),
                None => Prepared::Direct(convolution, size),
            });
        }
        *elements = winograd::elements(weight, width).max(*elements);
        Ok(Prepared::Winograd(Filter::new(weight)?, bias.shallow_clone()))
    }

    /// As [`Convolution::forward`].
    pub(in crate::networks) fn forward(&self, x: &Tensor, relu: bool, scratch: &Scratch) -> Result<Tensor> {
        match self {
            Prepared::Direct(convolution, _) if bands::pay(convolution, x) => {
                let source = Source { maps: x.shallow_clone(), relu: None };
                bands::convolve(source, convolution, Direction::Forward { relu })
            }
            Prepared::Direct(convolution, _) | Prepared::Strided(convolution, ..) => {
                convolution.forward(x, relu)
            }
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
            Prepared::Direct(convolution, _) if bands::pay(convolution, &gradient) => {
                let source = Source { maps: gradient, relu: output };
                bands::convolve(source, convolution, Direction::Back)
            }
            Prepared::Direct(convolution, size) => convolution.back(gradient, output, *size),
            Prepared::Strided(_, size, phases) => match &output {
                Some(output) => phases.back(&relu_back(&gradient, output)?, *size),
                None => phases.back(&gradient, *size),
            },
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
    const WINDOWS: [Window; 6] = [
        Window::new(3, 1, 1),
        Window::new(11, 4, 2),
        Window::new(5, 1, 2),
        Window::new(3, 2, 0),
        // Pixels between the windows, and none of them in the last row.
        Window::new(2, 5, 0),
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
