"""From a recipe to shards: verdicts for every page, the same bytes again, limits on hostile documents."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from qvl.pipeline.base.errors import RecipeError, StaleError
from qvl.pipeline.base.pool import SerialPool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.builders.build import build
from qvl.pipeline.finished.audit import audit
from qvl.synth_ocr.build.builder import OcrBuilder
from qvl.synth_ocr.build.recipe import OcrRecipe, load_recipe
from qvl.synth_ocr.build.report import write_report
from qvl.synth_ocr.build.run import run as run_recipe
from qvl.synth_ocr.page.confined import Confined, Limits, Stopped
from qvl.synth_ocr.page.gallery import picked
from qvl.synth_ocr.page.reading import READING, read_back, tesseract
from tests.synth_ocr import trap_pdf as trap
from tests.synth_ocr.scene.test_render import ENGLISH_TEXT


def run(recipe: OcrRecipe, out: Path, fresh: bool = False) -> dict[str, Any]:
    return build(OcrBuilder(recipe), out, SerialPool(), RunProgress(), shard_rows=5, seed=recipe.seed, fresh=fresh)


def recipe(folder: Path, **settings: Any) -> OcrRecipe:
    read = {"kind": "pdf", "paths": [str(folder / "*.pdf")], "long_side": 800, "rules": {"minimum_characters": 5}}
    return OcrRecipe.model_validate({"name": "pages", "sources": [{"name": "docs", "read": read}], **settings})


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    for number, draw in enumerate((None, trap.slanted, trap.cells)):
        (folder / f"{number}.pdf").write_bytes(trap.saved(trap.document(draw), no_new_id=True))
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4 but no more")
    return folder


def test_pages_become_samples_and_bad_documents_verdicts(tmp_path: Path, documents: Path) -> None:
    dataset = run(recipe(documents), tmp_path / "a")
    assert dataset["lineage"]["verdicts"] == {"docs": {"keep": 3, "unreadable:broken": 1}}
    assert audit(tmp_path / "a")["discrepancy"] is None
    assert run(recipe(documents), tmp_path / "b")["hash"] == dataset["hash"]
    assert write_report(tmp_path / "a").stat().st_size > 10_000


def test_a_sample_has_turns_and_regions_of_three_levels(tmp_path: Path, documents: Path) -> None:
    from qvl.pipeline.commit.layout import Layout

    dataset = run(recipe(documents), tmp_path)
    for shown in picked(Layout(tmp_path), dataset):
        levels = {region["level"] for region in shown.regions}
        assert levels == {"line", "word", "paragraph"}
        for region in shown.regions:
            assert all(0 <= value <= 1 for value in region["quad"])
            if region["level"] != "paragraph":
                parent = shown.regions[region["parent"]]
                assert parent["level"] == ("line" if region["level"] == "word" else "paragraph")


def test_a_changed_document_is_refused_by_name(tmp_path: Path, documents: Path) -> None:
    run(recipe(documents), tmp_path / "a")
    (documents / "0.pdf").write_bytes(trap.saved(trap.document(trap.false_bold)))
    with pytest.raises(StaleError, match="document changed"):
        run(recipe(documents), tmp_path / "a")


def test_a_recipe_that_matches_nothing_or_is_misspelt_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="nothing matches"):
        OcrBuilder(recipe(tmp_path / "none")).units()
    path = tmp_path / "r.yaml"
    path.write_text("name: x\nsources: [{name: a, read: {kind: pdf, paths: [x], lung_side: 3}}]\n")
    with pytest.raises(RecipeError, match="lung_side"):
        load_recipe(path)


def every_kind(folder: Path, documents: Path) -> Path:
    """A recipe of scenes in units of two, documents and templates."""
    (folder / "en.txt").write_text(ENGLISH_TEXT)
    font = "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"
    sources: list[dict[str, Any]] = [
        {"name": "scene", "read": {"kind": "scene", "language": "en", "count": 6, "per_unit": 2,
                                   "fonts": [{"fonts": [font]}], "corpora": [{"texts": ["en.txt"]}]}},
        {"name": "pdf", "read": {"kind": "pdf", "paths": [f"{documents}/*.pdf"], "rules": {"minimum_characters": 5}}},
        {"name": "page", "optional": True, "read": {"kind": "html", "templates": "en", "count": 4, "per_unit": 2}},
    ]  # fmt: skip
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump({"name": "pages", "shard_rows": 5, "sources": sources}))
    return path


def test_lines_are_read_back_once_and_again_where_something_changed(tmp_path: Path, documents: Path) -> None:
    if tesseract() is None:
        pytest.skip("no tesseract: sh scripts/ocr_packages.sh")
    out = tmp_path / "out"
    run(recipe(documents), out)
    first = read_back(out, 1)
    assert first["groups"]["all"]["lines"] >= 1 and first["groups"]["all"]["cer"] < 0.1
    written = (out / READING).stat().st_mtime_ns
    assert read_back(out, 1) == first
    assert (out / READING).stat().st_mtime_ns == written
    assert "single lines cut out" in write_report(out).read_text()
    assert read_back(out, 2)["of"]["pages"] == 2
    (documents / "z.pdf").write_bytes(trap.saved(trap.document(trap.light_on_dark), no_new_id=True))
    run(recipe(documents), out, fresh=True)
    assert "No line was read back in this build" in write_report(out).read_text()
    assert read_back(out, 2)["of"]["dataset"] != first["of"]["dataset"]


def test_ray_makes_the_same_bytes_of_every_kind(tmp_path: Path, documents: Path) -> None:
    path = every_kind(tmp_path, documents)
    built = run_recipe(path, tmp_path / "serial", SerialPool(), RunProgress())
    assert built.dataset["samples"] >= 10
    code = (
        "import sys; from pathlib import Path; from qvl.pipeline.base.pool import RayPool;"
        "from qvl.pipeline.base.progress import RunProgress;"
        "from qvl.synth_ocr.build.run import run;"
        "print(run(Path(sys.argv[1]), Path(sys.argv[2]), RayPool(cpus=2), RunProgress()).dataset['hash'])"
    )
    command = [sys.executable, "-c", code, str(path), str(tmp_path / "ray")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
    assert done.stdout.split()[-1] == built.dataset["hash"]


def test_a_build_that_was_cut_off_goes_on_to_the_same_bytes(tmp_path: Path, documents: Path) -> None:
    path = every_kind(tmp_path, documents)
    whole = run_recipe(path, tmp_path / "whole", SerialPool(), RunProgress()).dataset["hash"]
    cut = run_recipe(path, tmp_path / "cut", SerialPool(), RunProgress())
    assert cut.dataset["hash"] == whole
    for manifest in sorted((tmp_path / "cut/manifests").rglob("*.json"))[::2]:
        manifest.unlink()
    (tmp_path / "cut/shards/dataset.json").unlink()
    assert run_recipe(path, tmp_path / "cut", SerialPool(), RunProgress()).dataset["hash"] == whole


def endless(_: Any) -> Iterator[int]:
    yield 1
    time.sleep(60)


def greedy(_: Any) -> Iterator[int]:
    yield len(bytearray(3 << 30))


def test_the_child_is_stopped_by_time_and_by_memory_and_serves_again() -> None:
    slow = Confined(endless, Limits(1.0, 4096))
    results = slow.results(None)
    # the first start imports the test's modules
    slow.limits = Limits(30.0, 4096)
    assert next(results) == 1
    slow.limits = Limits(0.2, 4096)
    with pytest.raises(Stopped, match="unreadable:time"):
        next(results)
    hungry = Confined(greedy, Limits(30.0, 2048))
    for _ in range(2):
        with pytest.raises(Stopped, match="unreadable:memory"):
            list(hungry.results(None))
    hungry.close()
