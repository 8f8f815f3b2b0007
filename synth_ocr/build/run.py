"""From a recipe to shards, a read-back by Tesseract and the report: what ``qvl ocr build`` and the demo run."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.base.pool import Pool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.shards.manifests import DatasetManifest
from qvl.pipeline.storage.paths import AnyPath

if TYPE_CHECKING:
    from qvl.synth_ocr.build.recipe import OcrRecipe

MODULES = ("cv2", "faker", "fontTools", "jinja2", "playwright", "pytesseract", "rapidfuzz", "uharfbuzz", "warcio")
INSTALL_HINT = "sh scripts/ocr_packages.sh installs what the demo needs (docs/ocr.md)"


@dataclass(frozen=True)
class OcrBuild:
    """``dataset``: the content of dataset.json. ``notes``: what was left out because it is not installed, a line each."""

    dataset: DatasetManifest
    report: AnyPath
    notes: list[str]


def run(recipe: Path, out: AnyPath, pool: Pool, progress: RunProgress, fresh: bool = False) -> OcrBuild:
    """Make the pages of a recipe and pack them, continuing an interrupted build. Raises RecipeError for missing inputs."""
    absent = [name for name in MODULES if find_spec(name) is None]
    if absent:
        raise RecipeError(f"{', '.join(absent)}: not installed; pip install 'qvl[ocr]'")
    from qvl.pipeline.builders.build import build
    from qvl.synth_ocr.build.builder import OcrBuilder
    from qvl.synth_ocr.build.read_back import read_back
    from qvl.synth_ocr.build.recipe import load_recipe
    from qvl.synth_ocr.build.report import write_report
    from qvl.synth_ocr.page.tesseract import tesseract_version

    loaded, notes = without_missing_sources(load_recipe(recipe))
    dataset = build(
        OcrBuilder(loaded), out, pool, progress, shard_rows=loaded.shard_rows, seed=loaded.seed, fresh=fresh
    )
    if loaded.read_back and tesseract_version() is None:
        notes.append(f"no line was read back: tesseract is not installed; {INSTALL_HINT}")
    elif loaded.read_back:
        read_back(out, loaded.read_back)
    return OcrBuild(dataset, write_report(out), notes)


def without_missing_sources(recipe: "OcrRecipe") -> tuple["OcrRecipe", list[str]]:
    """The recipe without optional sources whose inputs are missing, and a line for each of them.

    Raises RecipeError if a required source misses something, or if no source is left.
    """
    missing = {source.name: source.read.missing() for source in recipe.sources}
    required = {source.name for source in recipe.sources if not source.optional}
    names_by_message: dict[str, list[str]] = {}
    for name, messages in missing.items():
        if messages:
            more = f" and {len(messages) - 1} more" if len(messages) > 1 else ""
            names_by_message.setdefault(messages[0] + more, []).append(name)
    lines = [f"{', '.join(names)}: {message}" for message, names in names_by_message.items()]
    if any(missing[name] for name in required) or all(missing.values()):
        raise RecipeError(f"{'; '.join(lines)}; {INSTALL_HINT}")
    kept = tuple(source for source in recipe.sources if not missing[source.name])
    return recipe.model_copy(update={"sources": kept}), [f"left out {line}; {INSTALL_HINT}" for line in lines]
