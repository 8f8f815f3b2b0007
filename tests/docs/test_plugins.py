"""The plug-ins of the page and of examples/plugins run, as a recipe names them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from qvl.pipeline.base.pool import SerialPool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.curate.run import run
from qvl.pipeline.curate.selection.ledger import read_ledger
from qvl.pipeline.recipe.recipe import load_recipe
from tests.docs.pages import ROOT, blocks, page
from tests.pipeline.samples import encoded, jpeg

EXAMPLES = ROOT / "examples" / "plugins"
RUN = ("caption_shape.py", "colorfulness.py", "domain.py", "no_advertisement.py")
CAPTIONS = ["A red dog in the snow.", "LOUD CAPTION OF A DOG", "一只红色的狗。", "12345 67890"]


def ledger(folder: Path, *plugins: Any, **more: Any) -> list[dict[str, Any]]:
    """The rows of a run over four captions with these plug-ins."""
    for number in range(len(CAPTIONS)):
        if not (folder / f"{number}.jpg").exists():
            (folder / f"{number}.jpg").write_bytes(jpeg(number, width=64, height=48))
    lines = [
        {"text": text, "file": f"{number}.jpg", "url": f"https://a.b{number}.example.org/x" if number else ""}
        for number, text in enumerate(CAPTIONS)
    ]
    (folder / "t.jsonl").write_text("\n".join(map(json.dumps, lines)))
    columns = {"caption": "text", "path": "file", "url": "url"}
    read = {"kind": "table", "paths": ["t.jsonl"], "image_folder": ".", "columns": columns}
    recipe = {"name": "r", "sources": [{"name": "t", "read": read}], "plugins": list(plugins), **more}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    with RunProgress() as progress:
        run(load_recipe(folder / "recipe.yaml"), folder / "out", SerialPool(), progress)
    return [row for _, table in read_ledger(folder / "out") for row in table.to_pylist()]


def test_plugin_of_the_page_when_it_is_a_file_beside_the_recipe_judges_by_its_column(tmp_path: Path) -> None:
    (tmp_path / "my_ops.py").write_text(blocks(page("docs/plugins.md"), "python")[0])
    written = yaml.safe_load(blocks(page("docs/plugins.md"), "")[0])
    rows = ledger(tmp_path, *written["plugins"], filters=written["filters"])
    assert [row["verdict"] for row in rows] == ["keep", "capitals", "keep", "keep"]


def test_examples_when_listed_are_all_run() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(RUN)


def test_caption_shape_when_run_measures_capitals_and_sentences(tmp_path: Path) -> None:
    rows = ledger(tmp_path, str(EXAMPLES / "caption_shape.py"))
    assert [row["is_sentence"] for row in rows] == [True, False, True, False]
    assert [row["capitals"] for row in rows] == [pytest.approx(1 / 16), 1.0, 0.0, None]


def test_no_advertisement_when_run_drops_by_its_words_in_two_languages(tmp_path: Path) -> None:
    words = {"no_advertisement": {"words": ["LOUD", "狗"]}}
    rows = ledger(tmp_path, {"module": str(EXAMPLES / "no_advertisement.py"), "parameters": words})
    assert [row["verdict"] for row in rows] == ["keep", "no_advertisement", "no_advertisement", "keep"]


def test_filter_of_the_page_when_it_is_a_file_beside_the_recipe_drops_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "my_ops.py").write_text(blocks(page("docs/plugins.md"), "python")[1])
    rows = ledger(tmp_path, "my_ops.py")
    assert [row["verdict"] for row in rows] == ["keep", "keep", "keep", "enough_letters"]


def test_domain_when_run_takes_its_parameter(tmp_path: Path) -> None:
    module = {"module": str(EXAMPLES / "domain.py"), "parameters": {"domain": {"labels": 3}}}
    rows = ledger(tmp_path, module)
    assert [row["domain"] for row in rows] == [None, *(f"b{number}.example.org" for number in (1, 2, 3))]


def paint(folder: Path, *colours: tuple[int, int, int]) -> None:
    """The first pictures of the table in one colour each, stored without loss."""
    for number, colour in enumerate(colours):
        (folder / f"{number}.jpg").write_bytes(encoded(Image.new("RGB", (64, 48), colour), "png"))


def test_scorer_of_the_page_when_it_is_a_file_beside_the_recipe_scores_without_a_clip_model(tmp_path: Path) -> None:
    (tmp_path / "my_ops.py").write_text(blocks(page("docs/plugins.md"), "python")[2])
    paint(tmp_path, (0, 0, 0), (255, 255, 255), (51, 51, 51))
    rows = ledger(tmp_path, "my_ops.py", filters={"columns": {"brightness": {"minimum": 0.1}}})
    assert [row["brightness"] for row in rows[:3]] == [0, 1, pytest.approx(0.2)]
    assert [row["verdict"] for row in rows] == ["brightness", "keep", "keep", "keep"]


def test_colorfulness_when_run_is_zero_for_grey_and_that_of_the_paper_for_a_colour(tmp_path: Path) -> None:
    paint(tmp_path, (90, 90, 90), (255, 0, 0), (0, 0, 255))
    judged = {"columns": {"colorfulness": {"minimum": 10}}}
    rows = ledger(tmp_path, str(EXAMPLES / "colorfulness.py"), filters=judged)
    red, blue = 0.3 * np.hypot(255, 127.5), 0.3 * 255
    assert [row["colorfulness"] for row in rows[:3]] == [0, pytest.approx(red, abs=0.01), pytest.approx(blue, abs=0.01)]
    assert [row["verdict"] for row in rows] == ["colorfulness", "keep", "keep", "keep"]
