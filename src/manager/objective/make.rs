//! How losses are made that need more than their options.

use tch::{nn, Device};

use super::networks::Networks;
use crate::manager::function::Function;
use crate::{
    AdaptiveLogSoftmaxConfig, AdaptiveLogSoftmaxWithLoss, ArcFaceConfig, ArcFaceLoss, ClipConfig, ClipLoss,
    CosFaceConfig, CosFaceLoss, DinoConfig, DinoLoss, LeCamConfig, LeCamLoss, LinearCrossEntropyConfig,
    LinearCrossEntropyLoss, PathLengthConfig, PathLengthPenalty, Result, SigLipConfig, SigLipLoss,
};

/// What the losses of an objective are made with.
pub(in crate::manager) struct Site<'a> {
    pub device: Device,
    /// Each network is made once.
    pub networks: Networks,
    /// Where parameters go, if there is a variable store for them.
    pub parameters: Option<nn::Path<'a>>,
}

/// Options of a loss that needs more than them.
pub(super) trait Make {
    /// Whether they make sense, as far as can be told without the tensors.
    fn check(&self) -> Result<()>;

    /// Whether the loss has parameters, or a state.
    fn has_parameters(&self) -> bool {
        false
    }

    /// The options that need not be told.
    fn defaults(&self) -> Self
    where
        Self: Default,
    {
        Self::default()
    }

    /// The loss itself.
    fn make(&self, site: &mut Site) -> Result<Function>;
}

/// For losses with parameters or a state, whose constructor takes the variable store and the options.
macro_rules! with_parameters {
    ($($function:ident $options:ident: $loss:ident),*) => {$(
        impl Make for $options {
            fn check(&self) -> Result<()> {
                $options::check(self)
            }

            fn has_parameters(&self) -> bool {
                true
            }

            fn make(&self, site: &mut Site) -> Result<Function> {
                let parameters = site.parameters.as_ref().expect("`Objective::manager` refuses to be without");
                Ok(Function::$function(Box::new($loss::new(parameters, self.clone())?)))
            }
        }
    )*};
}

with_parameters! {
    Binary LinearCrossEntropyConfig: LinearCrossEntropyLoss,
    Binary AdaptiveLogSoftmaxConfig: AdaptiveLogSoftmaxWithLoss,
    Binary LeCamConfig: LeCamLoss,
    Binary ArcFaceConfig: ArcFaceLoss,
    Binary CosFaceConfig: CosFaceLoss,
    Binary DinoConfig: DinoLoss,
    Binary ClipConfig: ClipLoss,
    Binary SigLipConfig: SigLipLoss,
    Unary PathLengthConfig: PathLengthPenalty
}
