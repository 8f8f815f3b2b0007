"""A run with scorers that is killed while it scores: the same command finishes to the same bytes, serial and on Ray."""

from pathlib import Path

import pytest

from tests.end_to_end.conftest import kill_and_finish, run_to_the_end
from tests.end_to_end.test_plugin_kills import computed

SLOW = """
import time

import numpy as np
import qvl


class Brightness(qvl.Scorer):
    writes = {"brightness": "float32", "state": "string"}
    batch = 5

    def prepare(self, image):
        return image.mean() / 255

    def score(self, model, images, captions):
        time.sleep(0.02)  # so that a kill finds it at work
        return {"brightness": np.round(images, 4), "state": ["dark" if value < 0.5 else "bright" for value in images]}
"""


@pytest.fixture(scope="module")
def recipe(many_units: Path) -> Path:
    """The recipe over twelve tars with a scorer of its own, one that comes with qvl, and filters over their columns."""
    (many_units.parent / "brightness.py").write_text(SLOW)
    path = many_units.with_name("scorers.yaml")
    judged = "characters: {}, columns: {brightness: {minimum: 0.1}, sharpness: {minimum: 1}}"
    text = many_units.read_text().replace("characters: {}", judged)
    path.write_text(text + "plugins: [brightness.py, qvl.scorers.sharpness]\n")
    return path


@pytest.fixture(scope="module")
def undisturbed_scorers(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("scorers") / "out"
    run_to_the_end(recipe, out)
    found = computed(out)
    assert sum(name.startswith("computed/brightness/") for name in found) == 12
    return found


@pytest.mark.parametrize("workers", ["serial", "ray"])
def test_a_run_killed_while_it_scores_is_finished_by_the_same_command_to_the_same_bytes(
    recipe: Path, undisturbed_scorers: dict[str, bytes], tmp_path: Path, workers: str
) -> None:
    out = tmp_path / "out"
    manifests = out / "manifests" / "computed" / "brightness"
    kill_and_finish(recipe, out, workers, lambda: len(list(manifests.glob("*.json"))) >= 2)
    assert computed(out) == undisturbed_scorers
