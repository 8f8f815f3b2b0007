"""A user's scorer over the images of a unit: batches, rows that make it fail, and the model that a process opens once."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from qvl.pipeline.base.errors import DataError, QvlError, RecipeError
from qvl.pipeline.base.pool import available_threads
from qvl.pipeline.commit.fingerprint import file_hash
from qvl.pipeline.images.decode import Pixels
from qvl.pipeline.plugins.apply import columns_of
from qvl.pipeline.plugins.attempts import FAULT, SYSTEMATIC_ROWS, Attempts
from qvl.pipeline.plugins.bases import Workspace
from qvl.pipeline.plugins.code import explain
from qvl.pipeline.plugins.operators import ScorerPlugin
from qvl.pipeline.storage.paths import AnyPath


@dataclass(frozen=True, slots=True)
class Pictures:
    """Rows with what a scorer prepared of their images, or the exception that it raised, and their captions."""

    images: Sequence[Any]
    captions: Sequence[str]

    def __len__(self) -> int:
        return len(self.images)

    def slice(self, offset: int, length: int | None = None) -> "Pictures":
        stop = None if length is None else offset + length
        return Pictures(self.images[offset:stop], self.captions[offset:stop])


@dataclass(frozen=True, slots=True)
class Failure:
    """An exception of ``prepare``, kept until its row is scored."""

    error: Exception


@dataclass(slots=True)
class UnitScorer:
    """One scorer over the rows of one unit. ``captions`` are those of all rows of the unit."""

    plugin: ScorerPlugin
    rows: frozenset[int]
    captions: Sequence[str | None]
    folder: AnyPath
    waiting: list[tuple[int, Any]] = field(default_factory=list)
    done: list[int] = field(default_factory=list)
    results: list[pa.RecordBatch] = field(default_factory=list)
    last_error: Exception | None = None

    @property
    def name(self) -> str:
        return self.plugin.name

    @property
    def side(self) -> int:
        return self.plugin.open().side

    def prepare(self, image: Pixels) -> Any:
        try:
            return self.plugin.open().prepare(image)
        except Exception as error:  # noqa: BLE001 - whatever a user's code raises becomes the fault of its row
            return Failure(error)

    def add(self, row: int, prepared: Any) -> None:
        self.waiting.append((row, prepared))
        if len(self.waiting) >= self.plugin.open().batch:
            self._score()

    def finish(self) -> None:
        """Score what is left. Raises DataError if every row of the unit has failed."""
        if self.waiting:
            self._score()
        faults = self.computed()["fault"]
        if len(faults) >= SYSTEMATIC_ROWS and faults.null_count == 0 and self.last_error is not None:
            raise self._attempts().systematic(self.last_error)

    def computed(self) -> pa.Table:
        """The columns and faults of the rows in ``done``, in that order."""
        return pa.Table.from_batches(self.results, pa.schema([*self.plugin.schema, FAULT]))

    def _score(self) -> None:
        rows, images = zip(*self.waiting, strict=True)
        self.waiting = []
        pictures = Pictures(images, [self.captions[row] or "" for row in rows])
        self.results.append(self._attempts().rows(pictures))
        self.done.extend(rows)

    def _attempts(self) -> Attempts[Pictures]:
        return Attempts(self.plugin, self.plugin.schema, self._columns)

    def _columns(self, pictures: Pictures) -> list[pa.Array]:
        try:
            failure = next((image for image in pictures.images if isinstance(image, Failure)), None)
            if failure is not None:
                raise failure.error
            model = _model(self.plugin, self.folder)
            result = self.plugin.open().score(model, pictures.images, pictures.captions)
            return columns_of(self.plugin.name, self.plugin.schema, result, len(pictures), "score")
        except Exception as error:
            self.last_error = error
            raise


@lru_cache(maxsize=32)
def _model(plugin: ScorerPlugin, folder: AnyPath) -> Any:
    """What ``open`` returned, once in a process. Raises RecipeError where it raises, and DataError for another file."""
    parameters = plugin.parameters_by_name()
    for key, digest in plugin.files:
        path = Path(str(parameters[key]))
        if not path.is_file() or file_hash(path) != digest:
            raise DataError(
                f"plug-in {plugin.name}: {path} is missing on a worker or differs from the file of the driver"
            )
    try:
        return plugin.open().open(Workspace(folder, available_threads()))
    except QvlError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a user's code raises
        raise RecipeError(f"plug-in {plugin.name}: open: {explain(error, plugin.code.name)}") from None
