"""From a recipe to shards, Tesseract's reading and the report: what ``qvl ocr build`` and the demo call."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.base.pool import Pool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.storage.paths import AnyPath

if TYPE_CHECKING:
    from qvl.synth_ocr.build.recipe import OcrRecipe

MODULES = ("cv2", "faker", "fontTools", "jinja2", "playwright", "pytesseract", "rapidfuzz", "uharfbuzz", "warcio")
WAY_OUT = "sh scripts/ocr_packages.sh installs what the demo needs (docs/ocr.md)"


@dataclass(frozen=True)
class Built:
    """``notes``: what was left out because it is not installed, one line each."""

    dataset: dict[str, Any]
    report: AnyPath
    notes: list[str]


def run(recipe: Path, out: AnyPath, pool: Pool, progress: RunProgress, fresh: bool = False) -> Built:
    """Make the pages of a recipe and pack them; resumes by itself. Raises RecipeError where inputs are missing."""
    absent = [name for name in MODULES if find_spec(name) is None]
    if absent:
        raise RecipeError(f"{', '.join(absent)}: not installed; pip install 'qvl[ocr]'")
    from qvl.pipeline.builders.build import build
    from qvl.synth_ocr.build.builder import OcrBuilder
    from qvl.synth_ocr.build.recipe import load_recipe
    from qvl.synth_ocr.build.report import write_report
    from qvl.synth_ocr.page.reading import read_back, tesseract

    loaded, notes = ready(load_recipe(recipe))
    dataset = build(
        OcrBuilder(loaded), out, pool, progress, shard_rows=loaded.shard_rows, seed=loaded.seed, fresh=fresh
    )
    if loaded.read_back and tesseract() is None:
        notes.append(f"no line was read back: tesseract is not installed; {WAY_OUT}")
    elif loaded.read_back:
        read_back(out, loaded.read_back)
    return Built(dataset, write_report(out), notes)


def ready(recipe: "OcrRecipe") -> tuple["OcrRecipe", list[str]]:
    """The recipe without optional sources that lack something, and a line for each lack. Raises RecipeError for others."""
    missing = {source.name: source.read.missing() for source in recipe.sources}
    needed = {source.name for source in recipe.sources if not source.optional}
    alike: dict[str, list[str]] = {}
    for name, found in missing.items():
        if found:
            more = f" and {len(found) - 1} more" if len(found) > 1 else ""
            alike.setdefault(found[0] + more, []).append(name)
    lines = [f"{', '.join(names)}: {what}" for what, names in alike.items()]
    if any(missing[name] for name in needed) or all(missing.values()):
        raise RecipeError(f"{'; '.join(lines)}; {WAY_OUT}")
    kept = tuple(source for source in recipe.sources if not missing[source.name])
    return recipe.model_copy(update={"sources": kept}), [f"left out {line}; {WAY_OUT}" for line in lines]
