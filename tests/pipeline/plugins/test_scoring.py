"""A user's scorer over the images of a unit."""

from pathlib import Path

import numpy as np
import pytest

from qvl.pipeline.base.errors import DataError, RecipeError
from qvl.pipeline.plugins.scoring import Pictures, UnitScorer
from tests.pipeline.plugins.modules import loaded, write

BRIGHTNESS = """
import numpy as np
import qvl


class Brightness(qvl.Scorer):
    writes = {"brightness": "float32", "words": "int32"}
    batch = 4

    def open(self, workspace):
        return 255

    def prepare(self, image):
        if image.shape[0] == 1:
            raise ValueError("one row")
        return image.mean()

    def score(self, model, images, captions):
        assert len(images) <= 4
        return {"brightness": np.array(images) / model, "words": [len(text.split()) for text in captions]}
"""


def scorer(folder: Path, text: str, rows: int) -> UnitScorer:
    (plugin,) = loaded(write(folder / "a.py", text)).scorers
    captions = [None if row == 2 else "a b c"[: 2 * row + 1] for row in range(rows)]
    return UnitScorer(plugin, frozenset(range(rows)), captions, folder / "scorer")


def fill(found: UnitScorer, *tall: int) -> None:
    for row, height in enumerate(tall):
        found.add(row, found.prepare(np.full((height, 2, 3), 51, np.uint8)))
    found.finish()


def test_unit_scorer_when_rows_fill_batches_gives_each_its_values(tmp_path: Path) -> None:
    found = scorer(tmp_path, BRIGHTNESS, 6)
    fill(found, 2, 3, 2, 1, 2, 2)
    table = found.computed()
    assert found.done == [0, 1, 2, 3, 4, 5]
    assert table["brightness"].to_pylist() == pytest.approx([0.2, 0.2, 0.2, None, 0.2, 0.2])
    assert table["words"].to_pylist() == [1, 2, 0, None, 3, 3]
    assert table["fault"].to_pylist() == [None, None, None, "unreadable:plugin:brightness:ValueError", None, None]


def test_unit_scorer_when_every_row_fails_is_the_error_of_the_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="brightness fails on every row: ValueError: one row"):
        fill(scorer(tmp_path, BRIGHTNESS, 9), *[1] * 9)


def test_unit_scorer_when_open_fails_names_the_plug_in(tmp_path: Path) -> None:
    broken = scorer(tmp_path, BRIGHTNESS.replace("return 255", "raise OSError('no weights')"), 1)
    with pytest.raises(RecipeError, match="plug-in brightness: open: OSError: no weights"):
        fill(broken, 2)


def test_pictures_when_sliced_keep_images_and_captions_together() -> None:
    part = Pictures([1, 2, 3], ["a", "b", "c"]).slice(1, 1)
    assert (list(part.images), list(part.captions), len(part)) == ([2], ["b"], 1)
