"""PDF documents as a source: one document is one unit, one page is one row."""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, Literal

import xxhash
from pydantic import Field

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.base.recipe_model import RecipeModel
from qvl.pipeline.builders.builder import BuildUnit
from qvl.pipeline.storage.reader import Storage
from qvl.synth_ocr.page.confined import Limits, Stopped, confined
from qvl.synth_ocr.page.page import Outcome
from qvl.synth_ocr.page.rules import PageRules
from qvl.synth_ocr.pdf.engine import Engine, engine_of, engine_version


class Pdf(RecipeModel):
    """``long_side``: pixels of the rendered page. ``pages``: at most so many of a document, chosen by the seed.

    ``seconds`` and ``megabytes`` bound one page and the process that reads it. ``engine``: MuPDF where it is installed,
    else PDFium, unless one is named; pages differ in a few pixels and lines between them.
    """

    kind: Literal["pdf"] = "pdf"
    paths: tuple[str, ...] = Field(min_length=1)
    long_side: int = Field(default=1024, ge=64, le=8192)
    pages: int | None = Field(default=None, ge=1)
    seconds: float = Field(default=60.0, gt=0)
    megabytes: int = Field(default=4096, ge=256)
    maximum_bytes: int = Field(default=200_000_000, ge=1)
    engine: Engine | None = None
    rules: PageRules = PageRules(latin_extended=True)

    def units(self, source: str) -> list[BuildUnit]:
        """One per document, in the order of their paths."""
        storage, found = Storage(), []
        for pattern in self.paths:
            files = storage.glob(pattern)
            if not files:
                raise RecipeError(
                    f"{source}: nothing matches {pattern}; `sh scripts/ocr_packages.sh` installs the demo's files"
                )
            found += files
        width = len(str(len(found)))
        return [
            BuildUnit(f"{source}-{number:0{max(4, width)}d}", source, PurePosixPath(path).name, path)
            for number, path in enumerate(sorted(set(found)))
        ]

    def common(self) -> dict[str, Any]:
        """Settings, and the engine with its version."""
        read = self.model_dump(mode="json", exclude={"paths", "seconds", "megabytes", "engine"})
        return {"read": read, "engine": engine_version(engine_of(self.engine))}

    def parts(self, unit: BuildUnit) -> dict[str, Any]:
        """The document's bytes."""
        return {"document": xxhash.xxh3_128_hexdigest(Storage().read(unit.payload))}

    def missing(self) -> list[str]:
        """What is not installed of what the pages are made of."""
        return [f"nothing matches {pattern}" for pattern in self.paths if not Storage().glob(pattern)]

    def outcomes(self, unit: BuildUnit, seed: int) -> Iterator[Outcome]:
        """Pages in order. A document that stops its process loses the pages that were left, each with that verdict."""
        from qvl.synth_ocr.pdf.document import DocumentTask, read_document

        storage = Storage()
        if storage.size(unit.payload) > self.maximum_bytes:
            yield Outcome("", "unreadable:too_large")
            return
        data = storage.read(unit.payload)
        child = confined(read_document, Limits(self.seconds, self.megabytes))
        task = DocumentTask(data, self.pages, seed, unit.id, self.long_side, self.rules, engine_of(self.engine))
        left: list[str] = [""]
        try:
            for item in child.results(task):
                if isinstance(item, list):
                    left = item
                else:
                    left = left[1:]
                    yield item
        except Stopped as reason:
            for key in left:
                yield Outcome(key, str(reason))
