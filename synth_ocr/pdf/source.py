"""PDF documents as a source: a document is a unit, a page is a row."""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Literal

import xxhash
from pydantic import Field, JsonValue

from qvl.pipeline.base.addresses import public_address
from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.base.recipe_model import RecipeModel
from qvl.pipeline.builders.builder import BuildUnit
from qvl.pipeline.storage.reader import Storage
from qvl.synth_ocr.page.confined_process import Limits, ProcessStopped, confined_process
from qvl.synth_ocr.page.page import Outcome
from qvl.synth_ocr.page.rules import PageRules
from qvl.synth_ocr.pdf.engine import Engine, engine_of, engine_version


class Pdf(RecipeModel):
    """``long_side``: of a rendered page, in pixels. ``pages``: at most how many pages of a document, chosen by the seed.

    ``seconds`` limits one page, ``megabytes`` the process that reads it. ``engine``: by default MuPDF if it is installed,
    else PDFium; their pages differ in a few pixels and lines.
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
        """One unit per document, ordered by path."""
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
            BuildUnit(f"{source}-{number:0{max(4, width)}d}", source, PurePosixPath(public_address(path)).name, path)
            for number, path in enumerate(sorted(set(found), key=public_address))
        ]

    def common(self) -> dict[str, JsonValue]:
        """The settings, and the engine with its version."""
        read = self.model_dump(mode="json", exclude={"paths", "seconds", "megabytes", "engine"})
        return {"read": read, "engine": [*engine_version(engine_of(self.engine))]}

    def parts(self, unit: BuildUnit) -> dict[str, JsonValue]:
        """A hash of the document's bytes."""
        return {"document": xxhash.xxh3_128_hexdigest(Storage().read(unit.payload))}

    def missing(self) -> list[str]:
        """A message for each input that is not installed."""
        return [f"nothing matches {pattern}" for pattern in self.paths if not Storage().glob(pattern)]

    def outcomes(self, unit: BuildUnit, seed: int) -> Iterator[Outcome]:
        """Pages in order. If a document stops its process, all its remaining pages get that verdict."""
        from qvl.synth_ocr.pdf.document import DocumentTask, read_document

        storage = Storage()
        if storage.size(unit.payload) > self.maximum_bytes:
            yield Outcome("", "unreadable:too_large")
            return
        data = storage.read(unit.payload)
        child = confined_process(read_document, Limits(self.seconds, self.megabytes))
        task = DocumentTask(data, self.pages, seed, unit.id, self.long_side, self.rules, engine_of(self.engine))
        remaining: list[str] = [""]
        try:
            for item in child.results(task):
                if isinstance(item, list):
                    remaining = item
                else:
                    remaining = remaining[1:]
                    yield item
        except ProcessStopped as reason:
            for key in remaining:
                yield Outcome(key, str(reason))
