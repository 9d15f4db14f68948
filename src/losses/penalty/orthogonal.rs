//! [`OrthogonalRegularization`].

use serde::{Deserialize, Serialize};
use tch::{nn, Tensor};

use crate::base::precision::accumulation_kind;
use crate::base::{check, or_panic, setters};
use crate::{Error, Result, UnaryLoss};

/// Orthogonal regularisation: how far the rows of a weight are from being orthogonal to each other.
///
/// ```text
/// W    = weight, reshaped to [out, ...]
/// loss = ‖W Wᵀ ∘ (1 - I)‖² / 2         without the diagonal: only the angles count
/// loss = ‖W Wᵀ - I‖² / 2               with it: the lengths should be 1
/// ```
///
/// The norm is Frobenius', and `∘` is the product of elements. With the half, the gradient is `2 (W Wᵀ ∘ (1 - I)) W`:
/// what BigGAN's `ortho` adds to the gradient of each weight, times its strength. The strength is the weight in a sum,
/// 1e-4 in the paper; BigGAN's code has it switched off by default.
///
/// - **Shapes**: `[out, ...]`, of two dimensions at least. The loss is a scalar.
/// - **Values**: any. f16 and bf16 are computed in f32; a result beyond 65504 is infinite in f16. The loss of nothing is
///   0 without the diagonal.
/// - **Gradients**: to `weight`, of any order.
/// - **Defaults**: `diagonal` false, the modified form of BigGAN.
/// - **Errors**: a weight of fewer than two dimensions.
///
/// Source: [`utils.py` of BigGAN-PyTorch](https://github.com/ajbrock/BigGAN-PyTorch/blob/master/utils.py); A. Brock et
/// al., *Neural photo editing with introspective adversarial networks* (2016) and *Large scale GAN training for high
/// fidelity natural image synthesis* (2018).
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{OrthogonalRegularization, UnaryLoss};
///
/// // W Wᵀ is [[1, 2], [2, 5]].
/// let weight = Tensor::from_slice2(&[[1.0, 0.0], [2.0, 1.0]]);
/// let modified = OrthogonalRegularization::default();
/// assert_eq!(modified.forward(&weight).double_value(&[]), (4.0 + 4.0) / 2.0);
/// let original = modified.with_diagonal(true);
/// assert_eq!(original.forward(&weight).double_value(&[]), (0.0 + 4.0 + 4.0 + 16.0) / 2.0);
/// ```
#[doc(alias = "ortho")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OrthogonalRegularization {
    /// Whether the lengths of the rows count as well.
    pub diagonal: bool,
}

setters!(OrthogonalRegularization { with_diagonal(diagonal: bool) });

impl OrthogonalRegularization {
    /// The sum over the trainable variables of two dimensions or more whose names `takes` accepts.
    ///
    /// BigGAN leaves out the generator's shared embedding:
    ///
    /// ```
    /// use tch::{nn, Device, Kind};
    /// use tch_losses::OrthogonalRegularization;
    ///
    /// let vs = nn::VarStore::new(Device::Cpu);
    /// let _shared = nn::embedding(vs.root() / "shared", 10, 4, Default::default());
    /// let _linear = nn::linear(vs.root() / "linear", 4, 8, Default::default());
    /// let penalty = OrthogonalRegularization::default().penalty(&vs, |name| !name.starts_with("shared."));
    /// (penalty * 1e-4).backward();
    /// assert!(!vs.variables()["shared.weight"].grad().defined());
    /// assert!(vs.variables()["linear.weight"].grad().norm().double_value(&[]) > 0.0);
    /// ```
    ///
    /// # Panics
    /// Where [`try_penalty`](Self::try_penalty) returns an error, with the error's message.
    #[track_caller]
    pub fn penalty(&self, vs: &nn::VarStore, takes: impl Fn(&str) -> bool) -> Tensor {
        or_panic(self.try_penalty(vs, takes))
    }

    /// As [`penalty`](Self::penalty), with an error instead of a panic.
    ///
    /// # Errors
    /// A store without such a variable, for instance because it is frozen.
    pub fn try_penalty(&self, vs: &nn::VarStore, takes: impl Fn(&str) -> bool) -> Result<Tensor> {
        let is_weight = |variable: &Tensor| variable.requires_grad() && variable.dim() >= 2;
        let mut weights: Vec<(String, Tensor)> = vs
            .variables()
            .into_iter()
            .filter(|(name, variable)| is_weight(variable) && takes(name))
            .collect();
        // The store has no order, and another order of the sum rounds in another way.
        weights.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut total: Option<Tensor> = None;
        for (_, weight) in &weights {
            check::floating("vs", weight)?;
            let term = self.of(weight)?;
            total = Some(match total {
                Some(total) => total.f_add(&term)?,
                None => term,
            });
        }
        total.ok_or_else(|| Error::Value {
            argument: "vs",
            given: "no trainable variable of two dimensions or more that is taken".into(),
            expected: "one at least".into(),
        })
    }

    /// In [`accumulation_kind`].
    fn of(&self, weight: &Tensor) -> Result<Tensor> {
        let kind = accumulation_kind(weight.kind());
        let rows = weight.f_to_kind(kind)?.f_flatten(1, -1)?;
        let products = rows.f_matmul(&rows.f_transpose(0, 1)?)?;
        let unit = Tensor::f_eye(products.size()[0], (kind, products.device()))?;
        let excess = match self.diagonal {
            true => products.f_sub(&unit)?,
            false => products.f_mul(&unit.f_neg()?.f_add_scalar(1.0)?)?,
        };
        Ok(excess.f_square()?.f_sum(None)?.f_mul_scalar(0.5)?)
    }
}

/// Of one weight.
impl UnaryLoss for OrthogonalRegularization {
    fn try_forward(&self, weight: &Tensor) -> Result<Tensor> {
        check::floating("weight", weight)?;
        let given = weight.size();
        if given.len() < 2 {
            let expected = "[out, ...], of two dimensions at least".into();
            return Err(Error::Shape { argument: "weight", given, expected });
        }
        Ok(self.of(weight)?.f_to_kind(weight.kind())?)
    }
}
