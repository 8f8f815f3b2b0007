"""HTML as a source: saved pages, WARC files, and templates filled by Faker."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

import numpy as np
import xxhash
from pydantic import Field, JsonValue, model_validator

from qvl.pipeline.base.addresses import public_address
from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.base.recipe_model import RecipeModel
from qvl.pipeline.builders.builder import BuildUnit
from qvl.pipeline.storage.reader import Storage
from qvl.synth_ocr.page.confined_process import Limits, ProcessStopped, confined_process
from qvl.synth_ocr.page.page import Outcome
from qvl.synth_ocr.page.rules import PageRules

if TYPE_CHECKING:
    from qvl.synth_ocr.html.capture import View
    from qvl.synth_ocr.html.responses import Job

REFUSED = "Chromium can reach the network on this machine, so it renders no untrusted pages (docs/ocr.md)"
VIEWS = ((1280, 960), (1024, 1024), (800, 1200), (1366, 768), (600, 1024))


class Html(RecipeModel):
    """One of ``paths`` (saved pages, which can load only files below ``root``, and of those the ones that they name),
    ``warcs`` and ``templates`` (a language).

    ``count``: the number of pages made from templates, or the maximum number of saved pages. ``seconds`` limits one page,
    including its scripts.
    """

    kind: Literal["html"] = "html"
    paths: tuple[str, ...] = ()
    root: str | None = None
    warcs: tuple[str, ...] = ()
    templates: Literal["en", "zh"] | None = None
    count: int | None = Field(default=None, ge=1)
    per_unit: int = Field(default=25, ge=1)
    views: tuple[tuple[int, int], ...] = Field(default=VIEWS, min_length=1)
    scale: float = Field(default=1.0, gt=0, le=4)
    seconds: float = Field(default=20.0, gt=0)
    scripts: bool = True
    rules: PageRules = PageRules()

    @model_validator(mode="after")
    def _one_input(self) -> "Html":
        if sum(bool(each) for each in (self.paths, self.warcs, self.templates)) != 1:
            raise ValueError("give exactly one of paths, warcs, templates")
        if self.templates and self.count is None:
            raise ValueError("templates need a count")
        return self

    def units(self, source: str) -> list[BuildUnit]:
        """One unit per WARC file, or per ``per_unit`` templates or saved pages."""
        if self.warcs:
            files = self._files(source, self.warcs)
            return [
                BuildUnit(f"{source}-{n:05d}", source, PurePosixPath(public_address(f)).name, f)
                for n, f in enumerate(files)
            ]
        if self.templates:
            ranges = [
                (first, min(self.count or 0, first + self.per_unit))
                for first in range(0, self.count or 0, self.per_unit)
            ]
            return [BuildUnit(f"{source}-{n:05d}", source, f"pages {r[0]}", r) for n, r in enumerate(ranges)]
        files = self._files(source, self.paths)
        if self.count is not None and self.count < len(files):
            ranked = sorted(files, key=lambda f: xxhash.xxh3_64_intdigest(self._name(f).encode()))
            files = sorted(ranked[: self.count])
        chunks = [files[first : first + self.per_unit] for first in range(0, len(files), self.per_unit)]
        return [BuildUnit(f"{source}-{n:05d}", source, self._name(chunk[0]), chunk) for n, chunk in enumerate(chunks)]

    def _files(self, source: str, patterns: tuple[str, ...]) -> list[str]:
        found: set[str] = set()
        for pattern in patterns:
            files = Storage().glob(pattern)
            if not files:
                raise RecipeError(
                    f"{source}: nothing matches {pattern}; `sh scripts/ocr_packages.sh` installs the demo's files"
                )
            found.update(files)
        return sorted(found, key=public_address)

    def _name(self, path: str) -> str:
        """A saved page's path relative to the root. Raises RecipeError for a page outside it."""
        root = Path(self.root or Path(path).parent).resolve()
        resolved = Path(path).resolve()
        if not resolved.is_relative_to(root):
            raise RecipeError(f"{path}: is not below the root {root}")
        return resolved.relative_to(root).as_posix()

    def common(self) -> dict[str, JsonValue]:
        """The settings, and the versions of the browser and fonts."""
        from qvl.synth_ocr.html.versions import versions

        read = self.model_dump(mode="json", exclude={"paths", "root", "warcs", "count", "per_unit", "seconds"})
        return {"read": read, "libraries": {**versions()}}

    def parts(self, unit: BuildUnit) -> dict[str, JsonValue]:
        """The identity of the unit's input."""
        return {"input": self._identity(unit)}

    def missing(self) -> list[str]:
        """A message for each input or program that is not installed."""
        from qvl.synth_ocr.html.versions import missing_programs

        found = [f"nothing matches {pattern}" for pattern in (*self.paths, *self.warcs) if not Storage().glob(pattern)]
        return missing_programs() + found

    def _identity(self, unit: BuildUnit) -> JsonValue:
        """Hashes of the unit's files, or the range of template indices."""
        if self.warcs:
            return xxhash.xxh3_128_hexdigest(Storage().read(unit.payload))
        if self.templates:
            return list(unit.payload)
        return [f"{self._name(path)} {xxhash.xxh3_128_hexdigest(Storage().read(path))}" for path in unit.payload]

    def outcomes(self, unit: BuildUnit, seed: int) -> Iterator[Outcome]:
        """Pages in order. A page that stops its process gets a verdict, and the pages after it continue in a new process.

        Raises RecipeError for untrusted pages where nothing keeps the browser off the network.
        """
        from qvl.synth_ocr.html.render import NOT_ISOLATED, PagesTask, render_pages

        jobs = [(job, self._view(job.url, seed)) for job in self._jobs(unit, seed)]
        # without a memory limit: the browser reserves far more address space than it uses
        child = confined_process(render_pages, Limits(self.seconds * 3, 0))
        done = 0
        while done < len(jobs):
            try:
                for outcome in child.results(PagesTask(tuple(jobs[done:]), self.rules)):
                    if outcome.verdict == NOT_ISOLATED:
                        raise RecipeError(f"{unit.source}: {REFUSED}")
                    done += 1
                    yield outcome
            except ProcessStopped as reason:
                yield Outcome(jobs[done][0].key, str(reason))
                done += 1

    def _view(self, url: str, seed: int) -> "View":
        from qvl.synth_ocr.html.capture import View

        width, height = self.views[xxhash.xxh3_64_intdigest(url.encode(), seed) % len(self.views)]
        return View(width, height, self.scale, self.seconds, self.scripts)

    def _jobs(self, unit: BuildUnit, seed: int) -> list["Job"]:
        from qvl.synth_ocr.html.browser import ORIGIN
        from qvl.synth_ocr.html.responses import Job

        if self.warcs:
            from qvl.synth_ocr.html.warc import read_jobs

            return read_jobs(unit.payload)
        if self.templates:
            return [self._template_job(self.templates, unit.source, seed, index) for index in range(*unit.payload)]
        return [
            Job(f"h{n:04d}", ORIGIN + quote(self._name(path)), str(self.root or Path(path).parent))
            for n, path in enumerate(unit.payload)
        ]

    @staticmethod
    def _template_job(language: Literal["en", "zh"], source: str, seed: int, index: int) -> "Job":
        """The template page with this index, filled from its own random generator."""
        from qvl.synth_ocr.html.browser import ORIGIN
        from qvl.synth_ocr.html.responses import Job
        from qvl.synth_ocr.html.templates import fill_template

        sequence = np.random.SeedSequence((seed, xxhash.xxh3_64_intdigest(source.encode()), index))
        page = fill_template(language, np.random.Generator(np.random.Philox(sequence)))
        return Job(f"t{index:07d}", f"{ORIGIN}{source}/{index}", content=page)
