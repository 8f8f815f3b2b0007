"""Stage score inside whole small runs: what is scored, what is not and why, what is scored again."""

import io
import subprocess
import sys
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import qvl.pipeline.images.decode
from qvl.pipeline.base.errors import DataError, StaleError
from qvl.pipeline.base.pool import SerialPool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.curate.run import run
from qvl.pipeline.curate.selection.ledger import read_ledger
from qvl.pipeline.finished.audit import audit
from qvl.pipeline.images.decode import Pixels, Scratch, decode, decode_scaled
from qvl.pipeline.images.perceptual_hash import hash_image
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.shards.manifests import DatasetManifest
from tests.pipeline.samples import encoded, jpeg, picture, write_img2dataset
from tests.shared import HANG

WORDS = ["a red house", "tiny", "a cat on a mat in the sun", "two dogs running over a green field at noon"]
PHASH: dict[str, Any] = {"score": {"phash": {}}}


def dark_png() -> bytes:
    """A PNG whose header and lengths are right and whose pixels are not."""
    data = encoded(picture(40, 30, seed=5), "png")
    start = data.index(b"IDAT")
    length = int.from_bytes(data[start - 4 : start], "big")
    broken = b"IDAT" + bytes(length)
    return data[:start] + broken + zlib.crc32(broken).to_bytes(4, "big") + data[start + 4 + length + 4 :]


def recipe(folder: Path, minimum: int = 5, **more: Any) -> Recipe:
    content = {
        "name": "small",
        "sources": [{"name": "web", "read": {"kind": "webdataset", "paths": [str(folder / "*.tar")]}}],
        "filters": {"text_length": {"minimum": minimum}},
        "tolerance": {"unreadable_rows": 0.5},
        **more,
    }
    return Recipe.model_validate(content)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two tars of twelve rows: every fourth caption is short, one picture is broken, one is missing."""
    folder = tmp_path / "data"
    for tar in range(2):
        rows: list[dict[str, Any]] = [
            {"key": f"{tar}{i:03d}", "url": "", "caption": WORDS[(i + 3) % 4], "image": jpeg(tar * 100 + i)}
            for i in range(12)
        ]
        rows[4]["image"] = dark_png()
        rows[7]["image"] = None
        write_img2dataset(folder, f"{tar:05d}", rows)
    return folder


def curate(wanted: Recipe, out: Path, fresh: bool = False) -> DatasetManifest:
    with RunProgress() as progress:
        dataset = run(wanted, out, SerialPool(), progress, fresh)
    assert audit(out).discrepancy is None
    return dataset


def ledger(out: Path) -> list[dict[str, Any]]:
    return [row for _, table in read_ledger(out) for row in table.to_pylist()]


def test_each_row_says_whether_it_was_scored(data: Path, tmp_path: Path) -> None:
    dataset = curate(recipe(data, **PHASH), tmp_path / "out")
    rows = ledger(tmp_path / "out")
    assert Counter(row["score_state"] for row in rows) == {
        "scored": 14,
        "unreadable:bad_pixels": 2,
        "not_scored:text_length": 6,
        "not_scored:unreadable": 2,
    }
    assert dataset.verdicts["web"] == {
        "download:failed_to_download": 2,
        "keep": 14,
        "text_length": 6,
        "unreadable:bad_pixels": 2,
    }
    for row in rows:
        assert (row["phash"] is not None) == (row["score_state"] == "scored")
        assert (row["verdict"] == "keep") == (row["score_state"] == "scored")


def test_stored_hashes_are_those_of_the_pictures(data: Path, tmp_path: Path) -> None:
    curate(recipe(data, **PHASH), tmp_path / "out")
    for row in ledger(tmp_path / "out"):
        if row["phash"] is not None:
            tar, number = divmod(int(row["key"]), 1000)
            phash, spread = hash_image(decode(jpeg(tar * 100 + number)))
            assert (row["phash"], row["phash_spread"]) == (phash, np.float32(spread))


def test_a_cheap_filter_speaks_before_bad_pixels(data: Path, tmp_path: Path) -> None:
    """With `always` everything is decoded, yet the verdicts stay: what is known about a row does not change its reason."""
    everything = {"score": {"phash": {}, "always": True}}
    curate(recipe(data, minimum=12, **everything), tmp_path / "always")
    curate(recipe(data, minimum=12, **PHASH), tmp_path / "frugal")
    always, frugal = ledger(tmp_path / "always"), ledger(tmp_path / "frugal")
    assert [row["verdict"] for row in always] == [row["verdict"] for row in frugal]
    assert {row["score_state"] for row in always} == {"scored", "unreadable:bad_pixels", "not_scored:unreadable"}
    assert sum(row["score_state"] == "not_scored:text_length" for row in frugal) > 0


def test_without_the_stage_every_row_says_off(data: Path, tmp_path: Path) -> None:
    curate(recipe(data), tmp_path / "out")
    rows = ledger(tmp_path / "out")
    assert {row["score_state"] for row in rows} == {"not_scored:off"}
    assert {row["phash"] for row in rows} == {None}
    assert not (tmp_path / "out" / "scores").exists()


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one with every decoded image."""
    calls: list[int] = []

    def counting(data: bytes, side: int, scratch: Scratch) -> tuple[Pixels, tuple[int, int]]:
        calls.append(len(data))
        return decode_scaled(data, side, scratch)

    monkeypatch.setattr(qvl.pipeline.images.decode, "decode_scaled", counting)
    return calls


def test_a_loosened_filter_scores_only_the_new_rows(data: Path, tmp_path: Path, decoded: list[int]) -> None:
    out = tmp_path / "out"
    curate(recipe(data, **PHASH), out)
    assert len(decoded) == 16
    with pytest.raises(StaleError, match="text_length"):
        curate(recipe(data, minimum=1, **PHASH), out)
    loose = curate(recipe(data, minimum=1, **PHASH), out, fresh=True)
    assert len(decoded) == 16 + 6
    back = curate(recipe(data, **PHASH), out, fresh=True)
    assert len(decoded) == 22, "known scores are not made again"
    assert loose.hash == curate(recipe(data, minimum=1, **PHASH), tmp_path / "loose").hash
    assert back.hash == curate(recipe(data, **PHASH), tmp_path / "tight").hash


def test_a_second_run_decodes_nothing(data: Path, tmp_path: Path, decoded: list[int]) -> None:
    first = curate(recipe(data, **PHASH), tmp_path / "out")
    del decoded[:]
    assert curate(recipe(data, **PHASH), tmp_path / "out") == first
    assert decoded == []


def test_a_lost_manifest_is_made_again_alike(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    curate(recipe(data, **PHASH), out)
    paths = sorted((out / "manifests" / "score").iterdir())
    before = [path.read_bytes() for path in paths]
    for path in paths:
        path.unlink()
    curate(recipe(data, **PHASH), out)
    assert [path.read_bytes() for path in paths] == before


def test_scores_of_other_versions_are_refused_and_made_again(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decoded: list[int]
) -> None:
    out = tmp_path / "out"
    curate(recipe(data, **PHASH), out)
    monkeypatch.setattr("qvl.pipeline.curate.measuring.score.SCORE_VERSION", 99)
    with pytest.raises(StaleError, match="different version"):
        curate(recipe(data, **PHASH), out)
    curate(recipe(data, **PHASH), out, fresh=True)
    assert len(decoded) == 32


def test_too_many_bad_pixels_stop_the_run(data: Path, tmp_path: Path) -> None:
    strict = recipe(data, **PHASH, tolerance={"unreadable_rows": 0.05})
    with pytest.raises(DataError, match="unreadable:bad_pixels 2"):
        curate(strict, tmp_path / "out")


def test_a_file_that_crashes_the_decoder_costs_its_own_row(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crashing(data: bytes, side: int, scratch: Scratch) -> tuple[Pixels, tuple[int, int]]:
        if bytes(data[:4]) == b"\x89PNG":
            raise ZeroDivisionError
        return decode_scaled(data, side, scratch)

    monkeypatch.setattr(qvl.pipeline.images.decode, "decode_scaled", crashing)
    curate(recipe(data, **PHASH), tmp_path / "out")
    states = Counter(row["score_state"] for row in ledger(tmp_path / "out"))
    assert (states["unreadable:error:ZeroDivisionError"], states["scored"]) == (2, 14)


def test_an_error_that_every_image_meets_is_raised(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(data: bytes, side: int, scratch: Scratch) -> Pixels:
        raise ImportError

    monkeypatch.setattr(qvl.pipeline.images.decode, "decode_scaled", broken)
    with pytest.raises(RuntimeError, match="ImportError"):
        curate(recipe(data, **PHASH), tmp_path / "out")


def test_score_files_hold_every_row(data: Path, tmp_path: Path) -> None:
    curate(recipe(data, **PHASH), tmp_path / "out")
    for path in (tmp_path / "out" / "scores").iterdir():
        columns = pq.read_table(Layout(tmp_path / "out").columns(path.stem))
        assert len(pq.read_table(path)) == len(columns)


def test_the_base_loads_no_torch() -> None:
    code = (
        "import sys, qvl.pipeline.curate.run, qvl.pipeline.commands.curate; assert 'torch' not in sys.modules, 'torch'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=HANG)


def test_broken_pixels_are_what_pillow_refuses() -> None:
    with pytest.raises(OSError, match="broken"):
        Image.open(io.BytesIO(dark_png())).load()
