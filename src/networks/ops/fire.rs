//! The module of SqueezeNet.

use tch::Tensor;

use super::{relu_back, Convolution, Prepared, Scratch};
use crate::Result;

/// A convolution to few channels, and two from there side by side: torchvision's `Fire`. A ReLU follows each.
pub(in crate::networks) struct Fire {
    pub squeeze: Convolution,
    pub expand1x1: Convolution,
    pub expand3x3: Convolution,
}

impl Fire {
    /// Of `x`, in the graph where there is one.
    pub(in crate::networks) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let squeezed = self.squeeze.forward(x, true)?;
        let expanded = [&self.expand1x1, &self.expand3x3].map(|expand| expand.forward(&squeezed, true));
        side_by_side(expanded)
    }

    /// The same with [weights in order](Convolution::in_order).
    pub(in crate::networks) fn in_order(&self) -> Result<Fire> {
        self.map(Convolution::in_order)
    }

    /// The same with other convolutions, made of these.
    pub(super) fn map(&self, change: impl Fn(&Convolution) -> Result<Convolution>) -> Result<Fire> {
        Ok(Fire {
            squeeze: change(&self.squeeze)?,
            expand1x1: change(&self.expand1x1)?,
            expand3x3: change(&self.expand3x3)?,
        })
    }
}

/// A [`Fire`] ready to run without a graph on maps of one size.
pub(in crate::networks) struct PreparedFire {
    squeeze: Prepared,
    expand1x1: Prepared,
    expand3x3: Prepared,
    /// The channels of each of the two.
    channels: i64,
}

/// What the way back needs: the outputs.
pub(in crate::networks) struct FireRecord {
    squeezed: Tensor,
    expanded: Tensor,
}

impl PreparedFire {
    /// As [`Prepared::new`].
    pub(in crate::networks) fn new(
        fire: &Fire,
        count: i64,
        sides: [i64; 2],
        elements: &mut i64,
    ) -> Result<PreparedFire> {
        let mut prepared = |convolution| Prepared::new(convolution, count, sides, elements);
        Ok(PreparedFire {
            squeeze: prepared(&fire.squeeze)?,
            expand1x1: prepared(&fire.expand1x1)?,
            expand3x3: prepared(&fire.expand3x3)?,
            channels: fire.expand1x1.bias.size()[0],
        })
    }

    /// As [`Fire::forward`].
    pub(in crate::networks) fn forward(&self, x: &Tensor, scratch: &Scratch) -> Result<(Tensor, FireRecord)> {
        let squeezed = self.squeeze.forward(x, true, scratch)?;
        let expand = |expand: &Prepared| expand.forward(&squeezed, true, scratch);
        let expanded = side_by_side([&self.expand1x1, &self.expand3x3].map(expand))?;
        let output = expanded.shallow_clone();
        Ok((output, FireRecord { squeezed, expanded }))
    }

    /// The gradient with respect to the input, from that with respect to the output.
    pub(in crate::networks) fn back(
        &self,
        gradient: &Tensor,
        FireRecord { squeezed, expanded }: FireRecord,
        scratch: &Scratch,
    ) -> Result<Tensor> {
        // Of both convolutions at once: in one go through the memory.
        let gradient = relu_back(gradient, &expanded)?;
        drop(expanded);
        let part = |expand: &Prepared, start| {
            expand.back(gradient.f_narrow(1, start, self.channels)?, None, scratch)
        };
        let sum = part(&self.expand1x1, 0)?.f_add_(&part(&self.expand3x3, self.channels)?)?;
        drop(gradient);
        self.squeeze.back(sum, Some(squeezed), scratch)
    }
}

fn side_by_side(maps: [Result<Tensor>; 2]) -> Result<Tensor> {
    let [first, second] = maps;
    Ok(Tensor::f_cat(&[first?, second?], 1)?)
}
