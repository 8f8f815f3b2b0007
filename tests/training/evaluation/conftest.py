"""A small model, real grounding shards of the demo, and shards of captions, questions and pages made here."""

import io
import os
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from qvl.grounding_builder.command import app as grounding
from qvl.pipeline.commit.fingerprint import content_hash
from qvl.pipeline.markup.coordinates import Quad
from qvl.pipeline.markup.turns import Turn, Turns, caption_turns, ocr_turns, vqa_turns
from qvl.pipeline.shards.dataset import commit_shard, finish
from qvl.pipeline.shards.order import ShardPlan
from qvl.pipeline.shards.sample import Origin, Sample, SampleImage, SampleRecord
from tests.training.evaluation.tiny import write_tiny

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
ROOT = Path(__file__).parents[3]
COLOURS = ("red", "green", "blue", "white", "black", "orange", "purple", "grey")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="session")
def grounding_shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shards of examples/grounding_demo.yaml, as the command builds them."""
    out = tmp_path_factory.mktemp("grounding")
    done = CliRunner().invoke(grounding, ["build", str(ROOT / "examples/grounding_demo.yaml"), "-o", str(out)])
    assert done.exit_code == 0, done.output
    return out


def picture(colour: str, text: str = "", size: tuple[int, int] = (60, 40)) -> bytes:
    image = Image.new("RGB", size, colour)
    ImageDraw.Draw(image).text((3, 3), text, fill="yellow")
    target = io.BytesIO()
    image.save(target, "PNG")
    return target.getvalue()


def content(key: str, task: str, turns: Turns, images: list[bytes], language: str = "en") -> Sample:
    sha = content_hash(images[0]) if len(images) == 1 else ""
    record = SampleRecord(key, "made", task, language, turns, Origin("made", 0, key, sha=sha))
    return Sample(record, tuple(SampleImage("png", data, 60, 40) for data in images))


@pytest.fixture(scope="session")
def made_shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Captions, a question and pages: one picture per colour, several samples of the same picture; two tars."""
    out = tmp_path_factory.mktemp("made")
    line: Quad = (0.05, 0.05, 0.6, 0.05, 0.6, 0.4, 0.05, 0.4)
    groups: list[list[Sample]] = [[], []]
    for number, colour in enumerate(COLOURS):
        image = picture(colour, colour)
        groups[number % 2] += [
            content(f"caption-{colour}", "caption", caption_turns(f"a {colour} field", "en"), [image]),
            content(f"vqa-{colour}", "vqa", vqa_turns("Which colour?", colour), [image]),
            content(f"ocr-{colour}", "ocr", ocr_turns([(colour, line)], "en"), [image]),
        ]
    both = [picture("red", "red"), picture("gold")]
    turns = (
        Turn("user", "Picture 2: <img>1</img> Picture 1: <img>0</img> Which is red? Answer:"),
        Turn("assistant", " the first"),
    )
    groups[1].append(content("vqa-two-images", "vqa", turns, both))
    first, second = map(len, groups)
    plans = [ShardPlan("made-000000", 0, first, ()), ShardPlan("made-000001", first, first + second, ())]
    for plan, samples in zip(plans, groups, strict=True):
        commit_shard(out, plan.name, samples, "made")
    finish("made", out, plans, first + second, {"made": "made"})
    return out / "shards"
