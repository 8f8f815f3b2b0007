"""The base classes of plug-ins. Users import them from ``qvl``.

An operator is a pure function of a batch: the values of a row may depend on nothing but the columns of that row that the
operator reads, and on its parameters. ``qvl plugin check`` tests that.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from qvl.pipeline.base.pool import Resources
from qvl.pipeline.storage.paths import AnyPath

Values = Any
"""The values of one column: an Arrow or a NumPy array, or a list; as many as the batch has rows."""


class Operator(ABC):  # noqa: B024 - its subclasses say what they must define
    """What every plug-in has: a declared ``version``, to be raised when something outside of its source changes.

    The parameters of a recipe are the arguments of the class, so a plain dataclass declares them. ``files`` names those
    that are files, such as weights or a list of words: a relative path counts from the folder of the recipe, and what
    identifies the operator is the content of the file, not its path.
    """

    version: ClassVar[str] = "1"
    files: ClassVar[Sequence[str]] = ()


class Column(Operator):
    """Computes columns of the ledger from others, before any image is decoded.

    ``reads`` names columns that scan measures (``caption``, ``url``, ``width``, ...) or that the recipe carries along.
    ``writes`` maps the names of the new columns to Arrow types, such as ``pa.float32()`` or ``"float32"``.
    """

    reads: ClassVar[Sequence[str]]
    writes: ClassVar[Mapping[str, pa.DataType | str]]

    @abstractmethod
    def apply(self, batch: pa.RecordBatch) -> Mapping[str, Values] | Values:
        """The new columns by name, or just the values where there is one. ``batch`` holds the columns in ``reads``.

        Rows that cannot be used (``fault`` in the ledger) are not in the batch; their values are null. An exception that
        only some rows cause makes these rows unreadable; one that every row causes ends the run.
        """


class Filter(Operator):
    """Decides which rows stay, by code. Its name (the class in snake_case) is the reason of the rows that it drops.

    ``reads`` is that of ``Column``. The decisions are stored as a column of this name, which the recipe may judge otherwise:
    ``filters: {columns: {my_filter: null}}`` below a source switches the filter off there.
    """

    reads: ClassVar[Sequence[str]]

    @abstractmethod
    def keep(self, batch: pa.RecordBatch) -> Values:
        """True where a row stays, one value per row. Null counts as missing, which fails unless the recipe says otherwise.

        Exceptions are handled as those of ``Column.apply``.
        """


@dataclass(frozen=True, slots=True)
class Workspace:
    """What a scorer may use while it is open.

    ``folder`` is a folder of the output that belongs to the scorer: what it stores there outlives a kill and ``--fresh``,
    and is shared with its other workers. It need not exist yet. ``threads`` is the number of processors that it has.
    """

    folder: AnyPath
    threads: int


class Scorer(Operator):
    """Computes columns of the ledger from images and captions, in the one pass of stage score that decodes the images.

    ``writes`` is that of ``Column``. ``resources`` is what a worker needs while it scores: a share of a GPU, processors,
    memory in bytes. ``batch`` images are scored at a time. ``side`` is the number of pixels that the shorter side of an
    image has at least, unless its file has fewer. Each of them may be a property, which depends on the parameters.
    """

    writes: Mapping[str, pa.DataType | str]
    resources: Resources = Resources()
    batch: int = 32
    side: int = 448

    def open(self, workspace: Workspace) -> Any:
        """The model, or whatever else ``score`` needs. Called once in a worker."""
        return None

    def prepare(self, image: npt.NDArray[np.uint8]) -> Any:
        """What ``score`` gets of an image (RGB, [height, width, 3]); by default the image itself.

        Called in several threads, while the model scores the images before. Resizing belongs here.
        """
        return image

    @abstractmethod
    def score(self, model: Any, images: Sequence[Any], captions: Sequence[str]) -> Mapping[str, Values] | Values:
        """The new columns by name, or just the values where there is one; a value for each image.

        An exception that only some rows cause makes these rows unreadable; one that every row causes ends the run, and so
        does a QvlError.
        """
