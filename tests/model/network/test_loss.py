"""The loss computed only at labels equals the loss over all logits, also in chunks and with any total."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import qvl.model.network.loss as loss_module
from qvl.model.network.config import IGNORE
from qvl.model.network.loss import label_loss


def loss_over_all_logits(hidden: torch.Tensor, labels: torch.Tensor, head: torch.nn.Linear) -> torch.Tensor:
    logits = head(hidden)[:, :-1].flatten(0, 1)
    return torch.nn.functional.cross_entropy(logits, labels[:, 1:].flatten(), ignore_index=IGNORE)


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(1, 3), length=st.integers(2, 9), share=st.floats(0.1, 1), seed=st.integers(0, 99))
def test_label_loss_equals_the_loss_over_all_logits(rows: int, length: int, share: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    head = torch.nn.Linear(6, 11, bias=False)
    hidden = torch.randn(rows, length, 6, generator=generator)
    labels = torch.randint(11, (rows, length), generator=generator)
    labels[torch.rand(rows, length, generator=generator) > share] = IGNORE
    labels[0, -1] = 3
    torch.testing.assert_close(label_loss(hidden, labels, head), loss_over_all_logits(hidden, labels, head))


def test_label_loss_in_chunks_gives_equal_gradients_without_computing_all_logits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    head, labels = torch.nn.Linear(6, 11, bias=False), torch.randint(11, (2, 40))
    hidden, rows = torch.randn(2, 40, 6, requires_grad=True), []
    head.register_forward_hook(lambda _module, inputs, _output: rows.append(len(inputs[0])))
    whole = torch.autograd.grad(label_loss(hidden, labels, head), [hidden, head.weight])
    monkeypatch.setattr(loss_module, "CHUNK", 16)
    rows.clear()
    parts = torch.autograd.grad(label_loss(hidden, labels, head), [hidden, head.weight])
    assert max(rows) == 16
    for one, other in zip(parts, whole, strict=True):
        torch.testing.assert_close(one, other)


def test_label_loss_applies_the_head_only_at_labelled_positions() -> None:
    head, labels = torch.nn.Linear(6, 11, bias=False), torch.full((3, 50), IGNORE)
    labels[1, 20:23] = 4
    labels[2, 0] = 4  # nothing predicts the first token
    rows: list[int] = []
    head.register_forward_hook(lambda _module, inputs, _output: rows.append(len(inputs[0])))
    label_loss(torch.randn(3, 50, 6), labels, head)
    assert rows == [3]


def test_label_loss_is_zero_with_zero_gradients_when_there_is_no_label() -> None:
    head, hidden = torch.nn.Linear(6, 11, bias=False), torch.randn(2, 5, 6, requires_grad=True)
    loss = label_loss(hidden, torch.full((2, 5), IGNORE), head)
    loss.backward()
    assert float(loss.detach()) == 0
    assert head.weight.grad is not None
    assert not head.weight.grad.any()
    assert hidden.grad is not None


def test_label_loss_of_micro_batches_adds_up_when_the_total_is_passed() -> None:
    head, hidden, labels = torch.nn.Linear(6, 11, bias=False), torch.randn(4, 9, 6), torch.randint(11, (4, 9))
    labels[0, 2:] = IGNORE
    total = int((labels[:, 1:] != IGNORE).sum())
    parts = [label_loss(hidden[at : at + 1], labels[at : at + 1], head, total) for at in range(4)]
    torch.testing.assert_close(sum(parts), label_loss(hidden, labels, head))
