"""From a recipe to shards: verdicts for every page, and the same bytes on Ray and after an interruption."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from qvl.pipeline.base.errors import RecipeError, StaleError
from qvl.pipeline.base.pool import SerialPool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.finished.audit import audit
from qvl.synth_ocr.build.recipe import OcrRecipe
from qvl.synth_ocr.build.report import write_report
from qvl.synth_ocr.build.run import run as run_recipe
from qvl.synth_ocr.build.run import without_missing_sources
from tests.shared import HANG
from tests.synth_ocr import trap_pdf as trap
from tests.synth_ocr.build.documents import recipe, run
from tests.synth_ocr.scene.scenes import ENGLISH_TEXT


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


def test_source_when_inputs_are_missing_is_left_out_if_optional_and_otherwise_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(trap.saved(trap.document()))
    there = {"name": "docs", "read": {"kind": "pdf", "paths": [str(tmp_path / "*.pdf")]}}
    gone: dict[str, Any] = {"name": "gone", "read": {"kind": "pdf", "paths": [str(tmp_path / "none/*.pdf")]}}
    optional = {**gone, "optional": True}
    recipe, notes = without_missing_sources(OcrRecipe.model_validate({"name": "r", "sources": [there, optional]}))
    assert [source.name for source in recipe.sources] == ["docs"]
    (note,) = notes
    assert note.startswith("left out gone: nothing matches") and "ocr_packages.sh" in note
    for sources in ([there, gone], [optional]):
        with pytest.raises(RecipeError, match=r"gone: nothing matches .*none.*ocr_packages"):
            without_missing_sources(OcrRecipe.model_validate({"name": "r", "sources": sources}))


def test_build_turns_pages_into_samples_and_broken_documents_into_verdicts(tmp_path: Path, documents: Path) -> None:
    dataset = run(recipe(documents), tmp_path / "a")
    assert dataset.verdicts == {"docs": {"keep": 3, "unreadable:broken": 1}}
    assert audit(tmp_path / "a").discrepancy is None
    assert run(recipe(documents), tmp_path / "b").hash == dataset.hash
    assert write_report(tmp_path / "a").stat().st_size > 10_000


def test_build_when_a_document_changed_is_refused_and_names_it(tmp_path: Path, documents: Path) -> None:
    run(recipe(documents), tmp_path / "a")
    (documents / "0.pdf").write_bytes(trap.saved(trap.document(trap.false_bold)))
    with pytest.raises(StaleError, match="document changed"):
        run(recipe(documents), tmp_path / "a")


def test_build_on_ray_gives_the_same_bytes_for_every_kind(tmp_path: Path, documents: Path) -> None:
    path = every_kind(tmp_path, documents)
    built = run_recipe(path, tmp_path / "serial", SerialPool(), RunProgress())
    assert built.dataset.samples >= 10
    code = (
        "import sys; from pathlib import Path; from qvl.pipeline.base.pool import RayPool;"
        "from qvl.pipeline.base.progress import RunProgress;"
        "from qvl.synth_ocr.build.run import run;"
        "print(run(Path(sys.argv[1]), Path(sys.argv[2]), RayPool(cpus=2), RunProgress()).dataset.hash)"
    )
    command = [sys.executable, "-c", code, str(path), str(tmp_path / "ray")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG, check=True)
    assert done.stdout.split()[-1] == built.dataset.hash


def test_build_when_interrupted_continues_to_the_same_bytes(tmp_path: Path, documents: Path) -> None:
    path = every_kind(tmp_path, documents)
    whole = run_recipe(path, tmp_path / "whole", SerialPool(), RunProgress()).dataset.hash
    cut = run_recipe(path, tmp_path / "cut", SerialPool(), RunProgress())
    assert cut.dataset.hash == whole
    for manifest in sorted((tmp_path / "cut/manifests").rglob("*.json"))[::2]:
        manifest.unlink()
    (tmp_path / "cut/shards/dataset.json").unlink()
    assert run_recipe(path, tmp_path / "cut", SerialPool(), RunProgress()).dataset.hash == whole
