"""Splicing images into batches of every shape, the dummy image, gradient checkpointing and packing."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qvl.model.network.config import QwenVLConfig
from qvl.model.network.errors import ModelError
from qvl.model.network.qwen_vl import QwenVLForConditionalGeneration
from tests.model.small_checkpoints import START
from tests.model.small_models import PAD, row_of, toy


@pytest.fixture(scope="module")
def small() -> QwenVLForConditionalGeneration:
    return toy().eval()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shape=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 6)), min_size=1, max_size=4),
    left=st.booleans(),
    side=st.sampled_from([28, 42, 56]),
)
def test_batch_gives_every_row_the_logits_that_it_has_alone(
    small: QwenVLForConditionalGeneration, shape: list[tuple[int, int]], left: bool, side: int
) -> None:
    """With several images, one or none per row, and padding on either side, every row is computed as if it were alone."""
    rows = [row_of(images, text) for images, text in shape]
    pixels = torch.randn(sum(images for images, _ in shape), 3, side, side)
    longest = max(map(len, rows))
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for at, row in enumerate(rows):
        place = slice(longest - len(row), None) if left else slice(len(row))
        ids[at, place], mask[at, place] = torch.tensor(row), 1
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    with torch.no_grad():
        together = small(ids, pixels, attention_mask=mask, position_ids=positions).logits
        used = 0
        for at, (row, (images, _)) in enumerate(zip(rows, shape, strict=True)):
            alone = small(torch.tensor([row]), pixels[used : used + images]).logits[0]
            used += images
            torch.testing.assert_close(together[at, mask[at].bool()], alone, atol=2e-5, rtol=1e-4)


def test_image_changes_logits_only_from_its_position_on(small: QwenVLForConditionalGeneration) -> None:
    ids, pixels = torch.tensor([[7, 8, *row_of(1, 3)]]), torch.randn(1, 3, 28, 28)
    first, second = small(ids, pixels).logits[0], small(ids, pixels + 1).logits[0]
    torch.testing.assert_close(first[:4], second[:4])
    assert (first[5:] - second[5:]).abs().amax(-1).min() > 1e-6


def test_images_fill_their_slots_in_order(small: QwenVLForConditionalGeneration) -> None:
    ids = torch.tensor([row_of(2, 2), row_of(1, 8)])[:, :15]
    pixels = torch.randn(3, 3, 28, 28)
    features = small.model.encode_images(pixels)
    embeds = small.model.splice(ids, pixels)
    torch.testing.assert_close(embeds[ids == PAD], features.flatten(0, 1))
    torch.testing.assert_close(embeds[ids != PAD], small.get_input_embeddings()(ids[ids != PAD]))


@pytest.mark.parametrize(
    ("ids", "images", "message"),
    [
        ([row_of(1, 2)], 2, r"2 image\(s\) given, but the token ids have slots for 1"),
        ([row_of(2, 2)], 1, "slots for 2"),
        ([row_of(1, 2)], 0, r"0 image\(s\) given"),
        ([[7, START, PAD, PAD, PAD, START + 1, 9]], 1, "row 0 has 3"),
    ],
)
def test_model_raises_when_images_and_slots_differ_in_number(
    small: QwenVLForConditionalGeneration, ids: list[list[int]], images: int, message: str
) -> None:
    pixels = torch.zeros(images, 3, 28, 28) if images else None
    with pytest.raises(ModelError, match=message):
        small(torch.tensor(ids), pixels)


def test_model_raises_when_image_sides_are_not_multiples_of_the_patch(small: QwenVLForConditionalGeneration) -> None:
    with pytest.raises(ModelError, match="30x28 pixels"):
        small(torch.tensor([row_of(1, 2)]), torch.zeros(1, 3, 28, 30))


def test_training_on_text_alone_still_runs_the_vision_path() -> None:
    """Every parameter gets a gradient (zero in vision and adapter), and the loss equals that in evaluation mode."""
    model, ids = toy(), torch.tensor([[7, 8, 9, 10]])
    calls: list[int] = []
    model.model.vision_tower.register_forward_hook(lambda *_: calls.append(1))
    loss = model.train()(ids, labels=ids).loss
    loss.backward()
    assert calls == [1]
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        if "vision_tower" in name or "adapter" in name:
            assert not parameter.grad.any(), name
    assert torch.equal(model.eval()(ids, labels=ids).loss, loss)
    assert calls == [1]


def test_training_on_text_alone_gives_no_nan_when_vision_features_are_huge() -> None:
    """The product with zero comes before the sum: features whose sum would overflow must not become NaN."""
    model = toy().half()
    with torch.no_grad():
        model.model.adapter.ln_post.bias.fill_(3e4)
        model.model.adapter.proj.copy_(torch.eye(16))
    features = model.model.encode_images(torch.zeros(1, 3, 28, 28))
    assert bool(features.isfinite().all())
    assert not bool(features.sum().isfinite())
    ids = torch.tensor([[7, 8, 9, 10]])
    assert bool(model.train().model.splice(ids, None).isfinite().all())


def test_gradient_checkpointing_gives_equal_loss_and_gradients() -> None:
    ids, pixels = torch.tensor([row_of(1, 5)]), torch.randn(1, 3, 28, 28)
    gradients = []
    for checkpointing in (False, True):
        model = toy().train()
        runs: list[int] = []
        block = model.model.vision_tower.blocks[0]
        block.attn.qkv.register_forward_hook(lambda *_, runs=runs: runs.append(1))
        if checkpointing:
            model.checkpoint_activations()
        model(ids, pixels, labels=ids.masked_fill(ids >= START, -100)).loss.backward()
        assert len(runs) == (2 if checkpointing else 1)
        gradients.append({name: parameter.grad for name, parameter in model.named_parameters()})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, msg=name)


def test_packed_samples_do_not_see_each_other_when_positions_restart(
    small: QwenVLForConditionalGeneration,
) -> None:
    """Block-diagonal packing needs only position_ids: one row of two samples equals two rows."""
    first, second = row_of(1, 4), row_of(1, 2)
    pixels = torch.randn(2, 3, 28, 28)
    packed = torch.tensor([first + second])
    positions = torch.tensor([[*range(len(first)), *range(len(second))]])
    with torch.no_grad():
        logits = small(packed, pixels, position_ids=positions, use_cache=False).logits[0]
        alone = [small(torch.tensor([row]), pixels[at : at + 1]).logits[0] for at, row in enumerate((first, second))]
    torch.testing.assert_close(logits, torch.cat(alone), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("family", ["llama", "gpt2", "mistral"])
def test_other_language_models_are_built_from_their_config(family: str) -> None:
    from transformers import AutoConfig

    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    sizes["num_key_value_heads"] = 1
    if family == "gpt2":
        sizes = {"n_embd": 16, "n_layer": 2, "n_head": 2}
    text = AutoConfig.for_model(
        family, vocab_size=START + 3, **sizes, bos_token_id=0, eos_token_id=0, pad_token_id=None
    )
    base = toy().config
    config = QwenVLConfig(
        base.vision_config,
        base.adapter_config,
        text,
        image_start_token_id=START,
        image_end_token_id=START + 1,
        image_token_id=PAD,
    )
    model, ids = QwenVLForConditionalGeneration(config), torch.tensor([row_of(1, 5)])
    model(ids, torch.randn(1, 3, 28, 28), labels=ids.masked_fill(ids >= START, -100)).loss.backward()
    assert model.model.vision_tower.conv1.weight.grad.abs().sum() > 0
    assert (model.lm_head.weight is model.get_input_embeddings().weight) == text.tie_word_embeddings


def test_logits_to_keep_selects_the_positions_of_the_logits(small: QwenVLForConditionalGeneration) -> None:
    ids = torch.tensor([[7, 8, 9, 10]])
    with torch.no_grad():
        whole = small(ids).logits
        assert torch.equal(small(ids, logits_to_keep=0).logits, whole)
        torch.testing.assert_close(small(ids, logits_to_keep=2).logits, whole[:, -2:])
        torch.testing.assert_close(small(ids, logits_to_keep=torch.tensor([1, 3])).logits, whole[:, [1, 3]])
        assert small(ids, labels=ids).logits is None
        assert small(ids, labels=ids, logits_to_keep=1).logits.shape[1] == 1
