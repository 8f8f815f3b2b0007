"""Answers of a model: any batch gives the same, left padding changes nothing, faults are answers, options are ranked."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from qvl.model.commands.chat import plain_answer
from qvl.model.network.processor import expand_images
from qvl.model.weights.auto import load_model, load_processor
from qvl.pipeline.base.errors import DataError
from qvl.training.evaluation.answering.predict import evaluating, predict
from qvl.training.evaluation.samples.sample import Decoding, EvalSample, ImageLocation
from qvl.training.evaluation.samples.shards import TASKS, find_shards, read_shards
from tests.training.evaluation.conftest import picture


@pytest.fixture(scope="module")
def loaded(tiny: Path) -> tuple[Any, Any]:
    return load_model(tiny, dtype=torch.float32).eval(), load_processor(tiny)


@pytest.fixture(scope="module")
def samples(made_shards: Path) -> list[EvalSample]:
    found = list(read_shards(find_shards(made_shards), TASKS))
    return [replace(sample, decoding=Decoding(12 if sample.set == "ocr" else 9)) for sample in found]


def parts(processor: Any, sample: EvalSample) -> tuple[list[int], torch.Tensor]:
    """Token ids of the prompt, and pixels."""
    text, _ = expand_images(sample.prompt, processor.image_seq_length)
    ids = processor.tokenizer(text, add_special_tokens=False)["input_ids"]
    pictures = [Image.open(io.BytesIO(at.read())) for at in sample.images]
    return ids, torch.stack([torch.from_numpy(processor.image_processor.pixels(each)) for each in pictures])


def alone(model: Any, processor: Any, sample: EvalSample) -> str:
    """Greedy decoding written out: the whole sequence again for every token, no cache, no padding."""
    start, pixels = parts(processor, sample)
    ids = list(start)
    stops = [processor.tokenizer.convert_tokens_to_ids(token) for token in ("<|endoftext|>", "<|im_end|>")]
    for step in range(sample.decoding.max_new):
        with torch.no_grad():
            logits = model(torch.tensor([ids]), pixels).logits[0, -1]
        if step < sample.decoding.min_new:
            logits[stops] = -torch.inf
        ids.append(int(logits.argmax()))
        if ids[-1] in stops:
            break
    return plain_answer(processor.tokenizer.decode(ids[len(start) :]))


def test_predict_in_any_batch_gives_what_a_plain_loop_gives(
    loaded: tuple[Any, Any], samples: list[EvalSample], tmp_path: Path
) -> None:
    model, processor = loaded
    answers = predict(model, processor, samples, batch_size=5)
    assert len(answers) == len(samples)
    assert answers == predict(model, processor, samples, batch_size=1)
    assert answers == predict(model, processor, samples[::-1], batch_size=3)[::-1]
    assert len({answer.text for answer in answers}) > 1
    for sample, answer in list(zip(samples, answers, strict=True))[-6:]:
        assert answer.text == alone(model, processor, sample)


def test_predict_keeps_the_shortest_and_longest_lengths(loaded: tuple[Any, Any], samples: list[EvalSample]) -> None:
    model, processor = loaded
    heard: list[int] = []
    long = [replace(sample, decoding=Decoding(20, 20)) for sample in samples[:3]]
    for answer in predict(model, processor, long, 2, heard.append):
        assert len(processor.tokenizer(answer.text)["input_ids"]) <= 20
    assert heard == [2, 1]


def test_predict_when_an_image_is_damaged_gives_an_answer_with_a_fault(
    loaded: tuple[Any, Any], samples: list[EvalSample], tmp_path: Path
) -> None:
    (tmp_path / "cut.png").write_bytes(picture("red")[:60])
    (tmp_path / "page.jpg").write_bytes(b"<html>404</html>")
    broken = [
        replace(samples[0], id=name, images=(ImageLocation(str(tmp_path / name)),)) for name in ("cut.png", "page.jpg")
    ]
    answers = predict(*loaded, [broken[0], *samples[:3], broken[1]], 2)
    assert [bool(answer.fault) for answer in answers] == [True, False, False, False, True]
    assert answers[1:4] == predict(*loaded, samples[:3], 2)
    lost = replace(samples[0], images=(ImageLocation(str(tmp_path / "none.png")),))
    with pytest.raises(DataError, match=r"none\.png.*--images"):
        predict(*loaded, [lost])


def test_predict_when_a_prompt_exceeds_the_context_is_refused(
    loaded: tuple[Any, Any], samples: list[EvalSample]
) -> None:
    long = replace(samples[0], prompt=samples[0].prompt + "x" * 2100)
    with pytest.raises(DataError, match="--shots"):
        predict(*loaded, [samples[1], long])


def test_predict_when_a_question_has_options_ranks_them_by_their_likelihood(
    loaded: tuple[Any, Any], samples: list[EvalSample]
) -> None:
    model, processor = loaded
    options = ("A", "a long one", "a", "B")
    asked = [replace(samples[n], options=options, prompt=samples[n].prompt + "?" * n) for n in range(3)]
    for sample, answer in zip(asked, predict(model, processor, asked, 3), strict=True):
        wanted = []
        start, pixels = parts(processor, sample)
        for option in options:
            tail = processor.tokenizer(f" {option}", add_special_tokens=False)["input_ids"]
            with torch.no_grad():
                likely = model(torch.tensor([start + tail]), pixels).logits[0].log_softmax(-1)
            wanted.append(sum(float(likely[len(start) - 1 + at, token]) for at, token in enumerate(tail)) / len(tail))
        assert answer.likelihoods == pytest.approx(wanted, abs=1e-4)
        assert answer.text == options[wanted.index(max(wanted))]


def test_predict_leaves_the_mode_of_the_model_unchanged(loaded: tuple[Any, Any]) -> None:
    model, _ = loaded
    model.train()
    model.model.vision_tower.eval()
    before = [module.training for module in model.modules()]
    with evaluating(model):
        assert not any(module.training for module in model.modules())
        assert not torch.is_grad_enabled()
    assert [module.training for module in model.modules()] == before
    assert torch.is_grad_enabled()
    model.eval()
