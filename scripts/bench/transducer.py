"""The loss of a transducer as one writes it in PyTorch: a step for each diagonal of the lattice. Imports torch."""

import torch


def rnnt_loss(logits, targets, logit_lengths, target_lengths):
    """The mean over sequences that are all as long as the tensors, with the last class as the blank."""
    batch, frames, places, classes = logits.shape
    logs = logits.log_softmax(-1)
    blank = logs[..., -1]
    labels = targets.long()[:, None, :, None].expand(batch, frames, places - 1, 1)
    label = logs[:, :, :-1].gather(-1, labels).squeeze(-1)
    # Diagonals as columns: [N, U + 1, T + U]; what is beside the lattice has no probability.
    beside = logs.new_full((batch, places, frames + places - 1), -1e30)
    u = torch.arange(places, device=logs.device)
    t = torch.arange(frames, device=logs.device)
    across = (u[:, None] + t).expand(batch, places, frames)
    blank = beside.scatter(2, across, blank.transpose(1, 2))
    label = beside[:, :-1].scatter(2, across[:, :-1], label.transpose(1, 2))
    alpha = torch.cat([logs.new_zeros(batch, 1), logs.new_full((batch, places - 1), -1e30)], 1)
    outside = logs.new_full((batch, 1), -1e30)
    for diagonal in range(frames + places - 2):
        below = torch.cat([outside, alpha[:, :-1] + label[:, :, diagonal]], 1)
        alpha = torch.logaddexp(alpha + blank[:, :, diagonal], below)
    return -(alpha[:, -1] + blank[:, -1, -1]).mean()
