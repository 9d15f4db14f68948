//! The declaration of the losses on overlaps: Dice, Jaccard, Tversky.

/// Defines a loss on overlaps: its documentation, the options that it has beside the common ones, with their setters
/// and defaults, and what false positives, false negatives and exponents are.
macro_rules! overlap_loss {
    (
        $(#[$about:meta])*
        $name:ident { $($(#[$own_about:meta])* $own:ident, $with:ident = $default:expr;)* }
        |$loss:ident| ($alpha:expr, $beta:expr, $focus:expr, $gamma:expr)
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            /// How the classes relate, and what the arguments look like.
            pub mode: $crate::SegmentationMode,
            /// Whether `input` holds logits. Otherwise it holds probabilities in `[0, 1]`.
            pub from_logits: bool,
            $($(#[$own_about])* pub $own: f64,)*
            /// What is common to prediction and target.
            pub intersection: $crate::Intersection,
            /// What has a score of its own.
            pub score: $crate::OverlapScore,
            /// What becomes of classes that no place has.
            pub absent: $crate::AbsentClasses,
            /// Whether class 0 counts, if it is not the only one. It says nothing beside `classes`.
            pub include_background: bool,
            /// The classes that count, all unless given.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub classes: Option<Vec<i64>>,
            /// The weight of each class, `[C]`, of those that do not count as well.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub weight: Option<$crate::WeightTensor>,
            /// Whether the mean is divided by the sum of the weights, not by their number.
            pub normalize_weight: bool,
            /// The class of the places that do not count. With the modes binary and multilabel, the label.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub ignore_index: Option<i64>,
            /// Whether the loss is the negative logarithm of the score, not one minus the score.
            pub log_loss: bool,
            /// What is added to the true positives in the numerator.
            pub smooth_nr: f64,
            /// What is added to the denominator.
            pub smooth_dr: f64,
            /// What the denominator is at least, and the score in a logarithm.
            pub eps: f64,
            /// How the scores' losses are reduced.
            pub reduction: $crate::Reduction,
        }

        impl Default for $name {
            fn default() -> Self {
                $name {
                    mode: Default::default(),
                    from_logits: true,
                    $($own: $default,)*
                    intersection: Default::default(),
                    score: Default::default(),
                    absent: Default::default(),
                    include_background: true,
                    classes: None,
                    weight: None,
                    normalize_weight: true,
                    ignore_index: None,
                    log_loss: false,
                    smooth_nr: 0.0,
                    smooth_dr: 0.0,
                    eps: 1e-7,
                    reduction: Default::default(),
                }
            }
        }

        $crate::base::setters!($name {
            with_mode(mode: $crate::SegmentationMode), with_from_logits(from_logits: bool),
            $($with($own: f64),)*
            with_intersection(intersection: $crate::Intersection), with_score(score: $crate::OverlapScore),
            with_absent(absent: $crate::AbsentClasses), with_include_background(include_background: bool),
            with_normalize_weight(normalize_weight: bool), with_log_loss(log_loss: bool),
            with_smooth_nr(smooth_nr: f64), with_smooth_dr(smooth_dr: f64), with_eps(eps: f64),
            with_reduction(reduction: $crate::Reduction);
            with_classes(classes: Vec<i64>), with_weight(weight: $crate::WeightTensor),
            with_ignore_index(ignore_index: i64)
        });

        impl $name {
            fn overlap(&self) -> $crate::losses::segmentation::overlap::Overlap<'_> {
                let $loss = self;
                $crate::losses::segmentation::overlap::Overlap {
                    reading: $crate::losses::segmentation::sums::Reading {
                        mode: self.mode,
                        from_logits: self.from_logits,
                        intersection: self.intersection,
                        ignore_index: self.ignore_index,
                    },
                    score: self.score,
                    absent: self.absent,
                    include_background: self.include_background,
                    classes: self.classes.as_deref(),
                    weight: self.weight.as_ref(),
                    normalize_weight: self.normalize_weight,
                    log_loss: self.log_loss,
                    smooth_nr: self.smooth_nr,
                    smooth_dr: self.smooth_dr,
                    eps: self.eps,
                    reduction: self.reduction,
                    alpha: $alpha,
                    beta: $beta,
                    focus: $focus,
                    gamma: $gamma,
                }
            }
        }

        impl $crate::Loss for $name {
            fn check_options(&self) -> $crate::Result<()> {
                self.overlap().check_options()?;
                $($crate::losses::segmentation::overlap::check_own(stringify!($own), self.$own)?;)*
                Ok(())
            }

            fn try_forward(&self, input: &tch::Tensor, target: &tch::Tensor) -> $crate::Result<tch::Tensor> {
                $crate::Loss::check_options(self)?;
                self.overlap().forward(input, target)
            }
        }
    };
}

pub(super) use overlap_loss;
