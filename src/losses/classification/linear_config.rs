//! [`LinearCrossEntropyConfig`].

use serde::{Deserialize, Serialize};

use super::Chunking;
use crate::base::weight::check_weight;
use crate::base::{check, setters};
use crate::{Error, Reduction, Result, WeightTensor};

/// The options of a [`LinearCrossEntropyLoss`](crate::LinearCrossEntropyLoss). The defaults are PyTorch's.
///
/// Start from [`new`](Self::new): the numbers of features and classes have no default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinearCrossEntropyConfig {
    /// The number of features of the input.
    pub in_features: i64,
    /// The number of classes.
    pub num_classes: i64,
    /// The sizes `d1, ..., dK` of a layer that scores the classes at several places at once.
    pub out_features: Vec<i64>,
    /// Whether the layer has a bias.
    pub bias: bool,
    /// The weight of each class, `[C]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<WeightTensor>,
    /// The class of the places that do not count. `None` is -100, and the only choice for probabilities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignore_index: Option<i64>,
    /// The share of the target that is spread evenly over all classes, in `[0, 1]`.
    pub label_smoothing: f64,
    /// How the places are reduced.
    pub reduction: Reduction,
    /// How many logits are computed at once.
    pub chunking: Chunking,
}

impl Default for LinearCrossEntropyConfig {
    fn default() -> Self {
        LinearCrossEntropyConfig {
            in_features: 0,
            num_classes: 0,
            out_features: Vec::new(),
            bias: false,
            weight: None,
            ignore_index: None,
            label_smoothing: 0.0,
            reduction: Reduction::Mean,
            chunking: Chunking::Off,
        }
    }
}

impl LinearCrossEntropyConfig {
    /// The options of a layer with these numbers of features and classes. The others keep their defaults.
    pub fn new(in_features: i64, num_classes: i64) -> LinearCrossEntropyConfig {
        LinearCrossEntropyConfig { in_features, num_classes, ..Default::default() }
    }

    /// Checks whether each option is in its range.
    ///
    /// # Errors
    /// [`Error::Option`] for the first option that is out of its range.
    pub fn check(&self) -> Result<()> {
        check::at_least_1("in_features", self.in_features)?;
        check::at_least_1("num_classes", self.num_classes)?;
        for size in &self.out_features {
            check::at_least_1("out_features", *size)?;
        }
        self.reduction.check_without_batch_mean()?;
        check::fraction("label_smoothing", self.label_smoothing)?;
        check_weight("weight", self.weight.as_ref())?;
        if let Some(weight) = &self.weight {
            let shape = weight.size();
            if shape != [self.num_classes] {
                let expected = format!("[{}], a weight for each class", self.num_classes);
                return Err(Error::Shape { argument: "weight", given: shape, expected });
            }
        }
        self.outputs()?;
        self.chunking.check()
    }

    /// The number of outputs of the layer.
    pub(super) fn outputs(&self) -> Result<i64> {
        let outputs =
            self.out_features.iter().try_fold(self.num_classes, |product, size| product.checked_mul(*size));
        // More weights than any memory holds.
        outputs.filter(|outputs| outputs.checked_mul(self.in_features).is_some()).ok_or_else(|| {
            Error::Option {
                option: "out_features",
                given: format!("{:?}", self.out_features),
                expected: "fewer outputs".into(),
            }
        })
    }
}

setters!(LinearCrossEntropyConfig {
    with_out_features(out_features: Vec<i64>), with_bias(bias: bool), with_label_smoothing(label_smoothing: f64),
    with_reduction(reduction: Reduction), with_chunking(chunking: Chunking);
    with_weight(weight: WeightTensor), with_ignore_index(ignore_index: i64)
});
