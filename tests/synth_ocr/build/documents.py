"""Small recipes over trap documents, and a build of them."""

from pathlib import Path
from typing import Any

from qvl.pipeline.base.pool import SerialPool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.builders.build import build
from qvl.pipeline.shards.manifests import DatasetManifest
from qvl.synth_ocr.build.builder import OcrBuilder
from qvl.synth_ocr.build.recipe import OcrRecipe


def run(recipe: OcrRecipe, out: Path, fresh: bool = False) -> DatasetManifest:
    return build(OcrBuilder(recipe), out, SerialPool(), RunProgress(), shard_rows=5, seed=recipe.seed, fresh=fresh)


def recipe(folder: Path, **settings: Any) -> OcrRecipe:
    read = {"kind": "pdf", "paths": [str(folder / "*.pdf")], "long_side": 800, "rules": {"minimum_characters": 5}}
    return OcrRecipe.model_validate({"name": "pages", "sources": [{"name": "docs", "read": read}], **settings})
