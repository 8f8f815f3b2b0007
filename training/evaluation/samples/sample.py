"""What is evaluated: one question with its images, what is true, and how the answer is decoded and scored."""

from dataclasses import dataclass
from typing import Literal

from qvl.pipeline.markup.coordinates import Box
from qvl.pipeline.storage.reader import Storage

Metric = Literal["cider", "vqa_score", "anls", "relaxed", "exact", "gqa", "choice", "box", "grounded", "ocr"]
METRICS: tuple[Metric, ...] = (
    "cider", "vqa_score", "anls", "relaxed", "exact", "gqa", "choice", "box", "grounded", "ocr",
)  # fmt: skip


@dataclass(frozen=True)
class ImageLocation:
    """Where an image's bytes lie: a file, or ``size`` bytes of it from ``offset``."""

    path: str
    offset: int = 0
    size: int | None = None

    def read(self) -> bytes:
        """The bytes. Raises OSError."""
        storage = Storage()
        if self.size is None:
            return storage.read(self.path)
        return storage.read_range(self.path, self.offset, self.offset + self.size)


@dataclass(frozen=True)
class Decoding:
    """Greedy, from ``min_new`` to ``max_new`` tokens."""

    max_new: int
    min_new: int = 1


@dataclass(frozen=True)
class EvalSample:
    """One question. ``images`` are in the order of the prompt's ``<img>`` places.

    ``set`` is what is scored together (a task of the shards, or a public file); ``group`` is a part of it that is also
    reported alone. ``answers``: the references, human answers, or the one text with markup. ``boxes``: the truth of metric
    ``box``, as fractions. ``options``: what the log-likelihood chooses from; the right one is ``answers[0]``.
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


@dataclass(frozen=True)
class Answer:
    """What the model said to a sample: text with markup, or the chosen option and each option's log-likelihood.

    ``fault`` says why it could not be asked (its image cannot be decoded); such an answer is wrong, never left out.
    """

    text: str
    fault: str = ""
    likelihoods: tuple[float, ...] = ()
