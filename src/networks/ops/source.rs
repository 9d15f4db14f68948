//! What a convolution reads.

use tch::Tensor;

use crate::Result;

/// The maps that go into a convolution.
pub(super) struct Source {
    /// `[N, C, H, W]`
    pub maps: Tensor,
    /// If the maps are gradients with respect to what a ReLU returned: that.
    pub relu: Option<Tensor>,
}

impl Source {
    pub(super) fn shared(&self) -> Source {
        Source { maps: self.maps.shallow_clone(), relu: self.relu.as_ref().map(Tensor::shallow_clone) }
    }

    /// A part of the maps, which `cut` takes out.
    pub(super) fn part(&self, cut: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
        let maps = cut(&self.maps)?;
        match &self.relu {
            Some(relu) => Ok(cut(relu)?.f_threshold_backward(&maps, 0.0)?),
            None => Ok(maps),
        }
    }

    /// Writes a part of the maps, which `cut` takes out.
    pub(super) fn write_part(&self, mut to: Tensor, cut: impl Fn(&Tensor) -> Result<Tensor>) -> Result<()> {
        let maps = cut(&self.maps)?;
        match &self.relu {
            Some(relu) => {
                let _ = cut(relu)?.f_threshold_backward_grad_input(&to, &maps, 0.0)?;
            }
            None => to.f_copy_(&maps)?,
        }
        Ok(())
    }
}
