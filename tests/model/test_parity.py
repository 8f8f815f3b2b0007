"""The model compared with the plain reference: features, logits, loss and gradients at 224 and 448 pixels."""

from pathlib import Path

import pytest
import torch

import tests.model.plain_qwen_vl as reference
from qvl.model.weights.auto import load_model
from qvl.model.weights.layouts import released_links
from tests.model.small_checkpoints import SETTINGS, START, reference_weights

PAD = START + 2


def image_span() -> list[int]:
    return [START, *[PAD] * 256, START + 1]


def rows() -> list[list[int]]:
    """One row with two images and text around and between them, and one row with only text, padded on the right."""
    first = [5, 9, *image_span(), 11, 30, *image_span(), 7, 8, 44]
    second = [100, 101, 102, 7, 7, 9, 13]
    return [first, second]


def labels_of(ids: list[list[int]]) -> list[list[int]]:
    return [[-100] * (len(row) - 4) + row[-4:] for row in ids]


def batch(ids: list[list[int]], fill: int) -> torch.Tensor:
    longest = max(map(len, ids))
    return torch.tensor([row + [fill] * (longest - len(row)) for row in ids])


@pytest.mark.parametrize("side", [224, 448])
def test_logits_loss_and_gradients_equal_the_plain_reference(imported: Path, side: int) -> None:
    torch.manual_seed(side)
    ids, pixels = rows(), torch.randn(2, 3, side, side, dtype=torch.float64)
    w = reference_weights()
    logits = reference.forward(w, ids, list(pixels), SETTINGS)
    wanted = reference.loss(logits, labels_of(ids))
    wanted.backward()

    model = load_model(imported, dtype=torch.float64).train()
    inputs, mask = batch(ids, 0), batch([[1] * len(row) for row in ids], 0)
    with torch.no_grad():
        got = model(inputs, pixels, attention_mask=mask).logits
    for row, expected in enumerate(logits):
        torch.testing.assert_close(got[row, : len(expected)], expected, atol=1e-5, rtol=1e-5)
    loss = model(inputs, pixels, attention_mask=mask, labels=batch(labels_of(ids), -100)).loss
    torch.testing.assert_close(loss.double(), wanted, atol=1e-6, rtol=1e-6)

    loss.backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    for link in released_links(model.config):
        if link.theirs.endswith("pos_embed"):
            continue
        ours = link.join(tuple(gradients[name] for name in link.ours))
        scale = float(w[link.theirs].grad.abs().max()) + 1e-9
        error = float((ours - w[link.theirs].grad).abs().max()) / scale
        assert error < 1e-4, f"{link.theirs}: gradient off by {error:.1e} of its largest value"


def test_logits_do_not_depend_on_the_padding_side(imported: Path) -> None:
    model = load_model(imported).eval()
    ids = rows()[1]
    plain = model(torch.tensor([ids])).logits[0]
    left = torch.tensor([[0] * 5 + ids])
    mask = torch.tensor([[0] * 5 + [1] * len(ids)])
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    torch.testing.assert_close(
        model(left, attention_mask=mask, position_ids=positions).logits[0, 5:], plain, atol=1e-4, rtol=1e-4
    )
