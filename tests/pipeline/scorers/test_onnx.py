"""The scorer for ONNX files, on a file whose outputs are known: the mean of each channel."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from qvl.pipeline.base.errors import RecipeError, StaleError
from qvl.pipeline.finished.audit import audit
from qvl.pipeline.plugins.bases import Workspace
from qvl.pipeline.scorers.onnx import Onnx, activated, square
from tests.pipeline.curate.measuring.test_added_columns import ledger_of, write_table
from tests.pipeline.curate.measuring.test_scorers import curate
from tests.pipeline.scorers.onnx_files import write_mean_model

pytest.importorskip("onnxruntime")
ZERO, ONE = (0, 0, 0), (1, 1, 1)
COLOUR = np.full((40, 60, 3), (10, 20, 30), np.uint8)


def scored(path: Path, images: list[Any], **parameters: Any) -> dict[str, list[float]]:
    columns: list[str | None] = ["red", None, "blue"]
    scorer = Onnx(**{"weights": str(path), "columns": columns, "mean": ZERO, "std": ONE, "size": 16, **parameters})
    model = scorer.open(Workspace(path.parent, 1))
    found = scorer.score(model, [scorer.prepare(image) for image in images], [""] * len(images))
    return {name: values.tolist() for name, values in found.items()}


def test_scores_when_a_model_gives_the_means_are_the_means(tmp_path: Path) -> None:
    path = write_mean_model(tmp_path / "m.onnx")
    assert scored(path, [COLOUR, COLOUR * 2]) == {"red": [10, 20], "blue": [30, 60]}
    assert scored(path, [COLOUR], order="bgr") == {"red": [30], "blue": [10]}
    assert scored(path, [COLOUR], mean=(10, 0, 20), std=(1, 1, 4)) == {"red": [0], "blue": [2.5]}
    assert scored(path, [COLOUR], mean=(10, 0, 2), std=(1, 1, 4), order="bgr") == {"red": [20], "blue": [2]}


def test_scores_when_the_layout_or_the_batch_of_a_model_is_another_are_the_same(tmp_path: Path) -> None:
    last = write_mean_model(tmp_path / "last.onnx", axes=(1, 2))
    single = write_mean_model(tmp_path / "single.onnx", batch=1)
    assert scored(last, [COLOUR, COLOUR * 2], layout="nhwc") == {"red": [10, 20], "blue": [30, 60]}
    assert scored(single, [COLOUR, COLOUR * 2]) == {"red": [10, 20], "blue": [30, 60]}
    with pytest.raises(RecipeError, match="takes 3 images at a time"):
        scored(write_mean_model(tmp_path / "three.onnx", batch=3), [COLOUR, COLOUR])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [({"columns": ["a"]}, "gives 3 numbers, `columns` names 1"), ({"weights": __file__}, r"test_onnx\.py: ")],
)
def test_a_file_that_does_not_fit_is_refused_in_one_line(
    tmp_path: Path, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(RecipeError, match=message) as refused:
        scored(write_mean_model(tmp_path / "m.onnx"), [COLOUR], **parameters)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "parameters",
    [{"mean": [1]}, {"std": [0, 1, 1]}, {"order": "grb"}, {"activation": "relu"}, {"size": 0}, {"resize": 9}],
)
def test_parameters_that_mean_nothing_are_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"three numbers|is one of|no more than"):
        Onnx(weights="m.onnx", columns=["a"], **parameters)


def test_square_when_it_cuts_takes_the_middle_and_when_it_squashes_the_whole() -> None:
    halves = np.zeros((10, 40, 3), np.uint8)
    halves[:, 20:] = 200
    assert square(halves, 10, 10, "shorter").mean(axis=(0, 2)).tolist() == [0] * 5 + [200] * 5
    squashed = square(halves, 20, 20, "squash").mean(axis=(0, 2))
    assert (squashed[0], squashed[-1], squashed.mean()) == (0, 200, 100)
    tall = np.asarray(Image.new("RGB", (3, 900)))
    assert square(tall, 16, 16, "shorter").shape == (16, 16, 3)


def test_activations_are_those_of_their_names() -> None:
    values = np.array([[0.0, np.log(3)]])
    assert activated(values, "softmax").round(6).tolist() == [[0.25, 0.75]]
    assert activated(values, "sigmoid").round(6).tolist() == [[0.5, 0.75]]


def test_run_when_a_recipe_names_a_model_twice_has_both_and_a_changed_file_is_stale(tmp_path: Path) -> None:
    write_table(tmp_path / "d" / "a.parquet", {})
    path = write_mean_model(tmp_path / "m.onnx")
    common = {"weights": str(path), "size": 32}

    def plugins(**more: Any) -> list[Any]:
        two = {name: {**common, "columns": [f"{name}_red", None, None], **more} for name in ("one", "two")}
        named = [{"module": "qvl.scorers.onnx", "name": name, "parameters": {name: two[name]}} for name in two]
        return [*named, "qvl.scorers.sharpness"]

    out = curate(tmp_path, plugins=plugins())
    ledger = ledger_of(out)
    assert ledger["one_red"].to_pylist() == ledger["two_red"].to_pylist()
    assert ledger["one_red"].null_count + ledger["sharpness"].null_count == 0
    assert audit(out).discrepancy is None
    path.write_bytes(path.read_bytes() + b"")
    curate(tmp_path, plugins=plugins())
    write_mean_model(path, batch=1)
    with pytest.raises(StaleError, match=r"plugins.one.parameters.weights"):
        curate(tmp_path, plugins=plugins())


def test_run_when_there_is_no_such_scorer_names_those_that_there_are(tmp_path: Path) -> None:
    write_table(tmp_path / "d" / "a.parquet", {})
    with pytest.raises(
        RecipeError, match=r"no qvl\.scorers\.sharp; there are qvl\.scorers\.onnx, qvl\.scorers\.sharpness"
    ):
        curate(tmp_path, plugins=["qvl.scorers.sharp"])
