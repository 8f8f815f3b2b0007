"""Next-token loss that computes logits only at positions that have a label.

With 151,936 tokens a row of logits takes 608 KB in float32, so a full [2048, vocabulary] matrix would take 1.24 GB per
sequence.
"""

# mypy: disable-error-code="no-untyped-call"

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint

from .config import IGNORE

CHUNK = 1024
"""Number of labels whose logits exist at the same time; the backward pass recomputes them."""


def label_loss(
    hidden_BLD: Tensor,
    labels_BL: Tensor,
    head: Callable[[Tensor], Tensor],
    total: Tensor | int | None = None,
) -> Tensor:
    """Cross-entropy of the token that follows each position, as a float32 scalar.

    The sum over labels (other than IGNORE) is divided by `total`, or by the number of labels in this call if `total` is
    None; pass the number over all micro-batches and ranks for an exact mean. If there is no label, the loss and its
    gradients are zero, so that every rank still takes part in the backward pass.
    """
    losses_N = token_losses(hidden_BLD, labels_BL, head)
    if not len(losses_N):
        return (head(hidden_BLD[:, :1]).float() * 0).sum()
    return losses_N.sum() / (len(losses_N) if total is None else total)


def token_losses(hidden_BLD: Tensor, labels_BL: Tensor, head: Callable[[Tensor], Tensor]) -> Tensor:
    """Cross-entropy of every label, float32 [N], row by row; skips IGNORE and the first label of each row."""
    targets_BL = labels_BL[:, 1:].to(hidden_BLD.device)
    keep_BL = targets_BL != IGNORE
    hidden_ND, targets_N = hidden_BLD[:, :-1][keep_BL], targets_BL[keep_BL]
    losses = []
    for hidden_CD, targets_C in zip(hidden_ND.split(CHUNK), targets_N.split(CHUNK), strict=True):
        if torch.is_grad_enabled() and len(targets_N) > CHUNK:
            losses.append(checkpoint(_losses, hidden_CD, targets_C, head, use_reentrant=False))
        else:
            losses.append(_losses(hidden_CD, targets_C, head))
    return torch.cat(losses)


def _losses(hidden_CD: Tensor, targets_C: Tensor, head: Callable[[Tensor], Tensor]) -> Tensor:
    logits_CV = head(hidden_CD)
    return cross_entropy(logits_CV.float(), targets_C, reduction="none")
