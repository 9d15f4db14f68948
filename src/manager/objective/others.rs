//! Losses that a file cannot hold, and how they are used.

/// Why `name`, in this crate's or PyTorch's spelling, is not for files, if it is a loss.
pub(super) fn usage(name: &str) -> Option<String> {
    let text = match name {
        "TripletMarginLoss" | "TripletMarginWithDistanceLoss" => of_three(name, "anchor, positive, negative"),
        "MarginRankingLoss" | "CosineEmbeddingLoss" => of_three(name, "input1, input2, target"),
        "GaussianNllLoss" | "GaussianNLLLoss" => of_three("GaussianNllLoss", "input, target, var"),
        "CtcLoss" | "CTCLoss" => {
            "`CtcLoss` takes log_probs, targets and their lengths, and a file holds losses of two tensors: register \
             it in the program as `Term::with()`, and compute it with `compute_loss_with`"
                .into()
        }
        "LinearCrossEntropyLoss" | "AdaptiveLogSoftmaxWithLoss" => format!(
            "`{name}` has weights that are trained, and a file holds losses without: register it in the program as \
             `Term::with()`, and compute it with `compute_loss_with`"
        ),
        _ => return None,
    };
    Some(text)
}

/// Spellings for which [`usage`] has an answer.
pub(super) const NAMES: [&str; 8] = [
    "TripletMarginLoss",
    "TripletMarginWithDistanceLoss",
    "MarginRankingLoss",
    "CosineEmbeddingLoss",
    "GaussianNllLoss",
    "CtcLoss",
    "LinearCrossEntropyLoss",
    "AdaptiveLogSoftmaxWithLoss",
];

fn of_three(name: &str, tensors: &str) -> String {
    format!(
        "`{name}` takes three tensors ({tensors}), and a file holds losses of two: register it in the program as \
         `Term::xyz(move |{tensors}| loss.try_forward({tensors}))`, and compute it with `compute_loss_xyz`"
    )
}
