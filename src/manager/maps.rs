//! Where in the images the losses come from.

use tch::{no_grad, Tensor};

use super::{Inputs, LossManager, ManagerError};
use crate::{Loss, Result};

impl LossManager {
    /// The [map](Loss::loss_map) of a loss, `[N, 1, H, W]`: where in the image the loss comes from. It is
    /// without the weight and without a graph.
    ///
    /// # Errors
    /// A name that is not registered; inputs of another number than the loss takes; a loss that has no map; and whatever
    /// it returns.
    pub fn loss_map<'a>(&self, name: &str, inputs: impl Into<Inputs<'a>>) -> Result<Tensor> {
        let registered = self.terms.get(name).ok_or_else(|| self.unknown(name))?;
        let inputs = inputs.into();
        self.check_inputs(name, &inputs)?;
        let map = no_grad(|| registered.term.function.loss_map(&inputs))?;
        Ok(map.ok_or_else(|| ManagerError::NoLossMap { name: name.into() })?)
    }

    /// The [maps](Self::loss_map), by name, of the losses with any of `tags`. Losses without a map are left
    /// out.
    ///
    /// # Errors
    /// A tag that no loss has; an error of a loss.
    pub fn loss_maps<'a>(&self, tags: &[&str], inputs: impl Into<Inputs<'a>>) -> Result<Vec<(&str, Tensor)>> {
        self.check_tags(tags)?;
        let inputs = inputs.into();
        let mut maps = Vec::new();
        for (name, registered) in self.tagged(tags) {
            if let Some(map) = no_grad(|| registered.term.function.loss_map(&inputs))? {
                maps.push((&**name, map));
            }
        }
        Ok(maps)
    }

    /// The losses of two tensors with any of `tags`, by name.
    pub fn losses(&self, tags: &[&str]) -> Vec<(&str, &dyn Loss)> {
        let tagged = self.tagged(tags).into_iter();
        tagged.filter_map(|(name, registered)| Some((&**name, registered.term.binary()?))).collect()
    }
}
