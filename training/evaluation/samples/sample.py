"""What is evaluated: a question with its images, the true answers, and how the answer is decoded and scored."""

from dataclasses import dataclass
from typing import Literal

from qvl.pipeline.markup.coordinates import Box
from qvl.pipeline.storage.reader import Storage

Metric = Literal["cider", "vqa_score", "anls", "relaxed", "exact", "gqa", "choice", "box", "grounded", "ocr"]
METRICS: tuple[Metric, ...] = (
    "cider", "vqa_score", "anls", "relaxed", "exact", "gqa", "choice", "box", "grounded", "ocr",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ImageLocation:
    """Where the bytes of an image are: a whole file, or ``size`` bytes of it from ``offset``."""

    path: str
    offset: int = 0
    size: int | None = None

    def read(self) -> bytes:
        """The bytes of the image. Raises OSError."""
        storage = Storage()
        if self.size is None:
            return storage.read(self.path)
        return storage.read_range(self.path, self.offset, self.offset + self.size)


@dataclass(frozen=True, slots=True)
class Decoding:
    """Greedy decoding of ``min_new`` to ``max_new`` tokens."""

    max_new: int
    min_new: int = 1


@dataclass(frozen=True, slots=True)
class EvalSample:
    """One question. ``images`` are in the order of the ``<img>`` slots of the prompt.

    ``set``: samples that are scored together (a task of the shards, or a public file). ``group``: a part of the set whose
    score is also reported alone. ``answers``: references, human answers, or the one text with markup. ``boxes``: the true
    boxes of metric ``box`` as fractions. ``options``: the options that the log-likelihood chooses from; the right one is
    ``answers[0]``.

    The names and the order of the fields are part of the fingerprint of an evaluation (``samples_hash``).
    """

    id: str
    set: str
    group: str
    metric: Metric
    prompt: str
    images: tuple[ImageLocation, ...]
    answers: tuple[str, ...]
    decoding: Decoding
    boxes: tuple[Box, ...] = ()
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """A model's answer to a sample: text with markup, or the chosen option and each option's mean log-likelihood.

    ``fault`` says why the sample could not be asked, for example because its image cannot be decoded. Such an answer counts
    as wrong; it is never left out.
    """

    text: str
    fault: str = ""
    likelihoods: tuple[float, ...] = ()
