"""Pictures of a page: which are read, and those that are gone or changed."""

from typing import Any

import orjson
import pytest

from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.report import gallery as module
from qvl.pipeline.report.gallery import Gallery
from qvl.pipeline.report.page import write_report
from qvl.pipeline.sources.base import Unit
from qvl.pipeline.storage.reader import Storage
from tests.pipeline.report.conftest import Run


def written(run: Run, recipe: Recipe | None) -> tuple[str, dict[str, Any]]:
    with RunProgress() as progress:
        page = write_report(run.out, progress, recipe)
    assert page == run.out / "report.html"
    return page.read_text("utf-8"), orjson.loads((run.out / "report.json").read_bytes())


def test_pictures_that_are_gone_or_changed_say_so(finished: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    read = Storage.read

    def damaged(storage: Storage, path: str) -> bytes:
        if path.endswith("40.jpg"):
            return read(storage, path) + b"more"
        raise FileNotFoundError(path)

    monkeypatch.setattr(Storage, "read", damaged)
    page, _ = written(finished, finished.recipe)
    assert "the picture has changed since the scan" in page
    assert "the picture has been deleted since the scan" in page


def test_remote_units_are_few_and_seeded(finished: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMOTE_UNITS", 2)
    here = Unit("two", "x.tar", "/local/x.tar")
    all_units = [*(Unit("one", f"{i}.tar", f"s3://bucket/{i}.tar") for i in range(9)), here]
    units = {unit.id: unit for unit in all_units}
    chosen = Gallery(finished.out, finished.recipe, units).candidates()
    assert chosen is not None and here.id in chosen and len(chosen) == 3
    assert chosen == Gallery(finished.out, finished.recipe, dict(reversed(units.items()))).candidates()
