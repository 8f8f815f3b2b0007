"""The fast encoders give the vectors of open_clip; an encoder with a different structure is refused."""

import copy
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg

from qvl.pipeline.images import clip as clip_model
from qvl.pipeline.images import clip_blocks
from qvl.pipeline.images.clip_blocks import ImageEncoder, Linear, TextEncoder

CAPTIONS = [
    "a red house by the river",
    "一只猫坐在垫子上",
    "word " * 200,
    "x",
    "y",
    "two words",
    "a red house by a lake",
]
VISION: dict[str, Any] = {"image_size": 64, "layers": 3, "width": 64, "head_width": 32, "patch_size": 16}
TEXT: dict[str, Any] = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 3}
PLAIN = {
    "plain": ({}, {}),
    "quick gelu": ({}, {"quick_gelu": True}),
    "layer scale": ({"ls_init_value": 0.3}, {}),
    "patches that do not divide the side": ({"image_size": 70}, {}),
    "norm behind the pool, none before": ({"final_ln_after_pool": True, "no_ln_pre": True}, {}),
}
UNSUPPORTED = {
    "mean of all tokens": {"pool_type": "avg"},
    "attention pool": {"attentional_pool": True},
    "normed queries": {"qk_norm": True},
    "ResNet": {"layers": [1, 1, 1, 1], "width": 16, "image_size": 64, "head_width": 32},
}

TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-5, torch.bfloat16: 0.06}  # for differences by rounding
PROCESSORS = ["this processor", "no bfloat16 instructions", "oneDNN switched off"]


def unit(vectors: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(vectors, dim=-1)


def built(vision: dict[str, Any], **options: Any) -> Any:
    """A random model in evaluation mode, with weights so large that attention is not uniform."""
    torch.manual_seed(3)
    model = CLIP(32, CLIPVisionCfg(**{**VISION, **vision}), CLIPTextCfg(**TEXT), **options).eval()
    look = {"size": 64, "mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4)}
    open_clip.model.set_model_preprocess_cfg(model, look)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("in_proj_weight"):
                weight.mul_(4)
    return model


def pictures(model: Any, number: int = 5) -> torch.Tensor:
    return torch.randn(number, 3, *model.visual.image_size if isinstance(model.visual.image_size, tuple) else (64, 64))


@pytest.fixture(params=PROCESSORS)
def processor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The features of this machine, and those of machines that have fewer."""
    if request.param == "no bfloat16 instructions":
        monkeypatch.setattr(clip_blocks, "has_bfloat16", lambda: False)
    elif request.param == "oneDNN switched off":
        monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)
    return request.param


@pytest.fixture(scope="module")
def tokens() -> torch.Tensor:
    found: torch.Tensor = open_clip.get_tokenizer("ViT-B-32")(CAPTIONS)
    return found


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_image_vectors_equal_those_of_open_clip(name: str, dtype: torch.dtype, processor: str) -> None:
    """With double precision there is almost no rounding. oneDNN does not support it, so it runs the code for a GPU."""
    vision, options = PLAIN[name]
    model = built(vision, **options).to(dtype)
    encoder = ImageEncoder.of(model)
    assert encoder is not None
    with_onednn = dtype != torch.float64 and processor != "oneDNN switched off"
    assert (encoder.patches.onednn_type is not None) == with_onednn
    images = pictures(model).to(dtype)
    with torch.inference_mode():
        expected = unit(model.encode_image(images))
        torch.testing.assert_close(unit(encoder(images)), expected, atol=TOLERANCE[dtype], rtol=0)
        assert (expected[0] - expected[1]).abs().max() > 1e-2


@pytest.mark.parametrize("step", [1, 16, 100])
@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_text_vectors_equal_those_of_open_clip_at_any_padding(
    step: int, quick: bool, dtype: torch.dtype, tokens: torch.Tensor, processor: str
) -> None:
    model = built({}, quick_gelu=quick).to(dtype)
    encoder = TextEncoder.of(model, step)
    assert encoder is not None
    with torch.inference_mode():
        expected = unit(model.encode_text(tokens))
        torch.testing.assert_close(unit(encoder(tokens)), expected, atol=TOLERANCE[dtype], rtol=0)
        torch.testing.assert_close(unit(encoder(tokens[1:2])), expected[1:2], atol=TOLERANCE[dtype], rtol=0)


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_image_vectors_when_the_encoder_has_another_structure_are_computed_by_open_clip(
    name: str, tokens: torch.Tensor
) -> None:
    model = built(UNSUPPORTED[name])
    assert ImageEncoder.of(model) is None
    scorer = clip_model.ClipScorer(model, "ViT-B-32")
    side = scorer.preprocessing.size
    squares = list(np.random.default_rng(0).integers(0, 256, (20, 3, side, side), np.uint8))
    with torch.inference_mode():
        batch = (torch.from_numpy(np.stack(squares)) - scorer.mean) / scorer.std
        expected, told = unit(model.encode_image(batch)), unit(model.encode_text(tokens))
    torch.testing.assert_close(scorer.images(squares), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(scorer.texts(list(tokens)), told, atol=1e-5, rtol=0)


def test_text_vectors_when_the_encoder_has_another_structure_are_computed_by_open_clip(tokens: torch.Tensor) -> None:
    model = built({})
    both_ways = copy.deepcopy(model)
    both_ways.attn_mask = None
    last = copy.deepcopy(model)
    last.text_pool_type = "last"
    for other in (both_ways, last):
        assert TextEncoder.of(other) is None
        scorer = clip_model.ClipScorer(other, "ViT-B-32")
        with torch.inference_mode():
            expected = unit(other.encode_text(tokens))
        torch.testing.assert_close(scorer.texts(list(tokens)), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("gelu", [False, True])
@pytest.mark.parametrize("bias", [None, torch.linspace(-1, 1, 48)])
def test_linear_in_bf16_when_the_processor_lacks_bf16_gives_the_same_numbers(
    gelu: bool, bias: torch.Tensor | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Products of bfloat16 numbers are exact in float32 and are rounded once at the end: one unit in the last place."""
    generator = torch.Generator().manual_seed(5)
    x, weight = (torch.randn(size, generator=generator).bfloat16() for size in [(30, 64), (48, 64)])
    half = None if bias is None else bias.bfloat16()
    exact = torch.nn.functional.linear(x.double(), weight.double(), None if half is None else half.double())
    exact = torch.nn.functional.gelu(exact) if gelu else exact
    monkeypatch.setattr(clip_blocks, "has_bfloat16", lambda: False)
    layer = Linear(weight, half, gelu)
    assert layer.onednn_type is torch.float32
    found = layer(x)
    assert found.dtype is torch.bfloat16
    torch.testing.assert_close(found.double(), exact, rtol=2**-8, atol=1e-5)


@pytest.fixture(params=[1, 2, 5])
def threads(request: pytest.FixtureRequest) -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(request.param, initializer=clip_model.single_threaded) as pool:
        yield pool


def test_scores_and_vectors_when_the_number_of_threads_differs_are_bit_for_bit_equal(
    threads: ThreadPoolExecutor, tokens: torch.Tensor
) -> None:
    scorer = clip_model.ClipScorer(built({}), "ViT-B-32")
    random = np.random.default_rng(1)
    squares = list(random.integers(0, 256, (50, 3, 64, 64), np.uint8))
    told = [tokens[i] for i in random.integers(0, len(tokens), 50)]
    before = torch.get_num_threads()
    with ThreadPoolExecutor(1, initializer=clip_model.single_threaded) as one:
        expected, vectors = scorer.scores(squares, told, one.map)
    found, same = scorer.scores(squares, told, threads.map)
    assert found.tolist() == expected.tolist() and torch.equal(same, vectors)
    assert torch.get_num_threads() == before
