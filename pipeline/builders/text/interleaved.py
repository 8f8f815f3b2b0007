"""Interleaved documents: texts with their pictures between them, in order, in one sample or in consecutive ones."""

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from pydantic import Field

from qvl.pipeline.base.verdicts import KEEP
from qvl.pipeline.builders.text.document_images import DocumentImages, image_addresses
from qvl.pipeline.builders.text.documents import Document, document, document_rows, key_of
from qvl.pipeline.builders.text.messages import LayoutError
from qvl.pipeline.builders.text.plain import pieces
from qvl.pipeline.builders.text.rows import UnreadableRow
from qvl.pipeline.builders.text.source import Draft, TextSource
from qvl.pipeline.commit.fingerprint import content_hash
from qvl.pipeline.images.picture import Picture
from qvl.pipeline.markup.markers import image_slot
from qvl.pipeline.markup.turns import Turn, Turns
from qvl.pipeline.sources.image_files import file_in, linked_file_in
from qvl.pipeline.storage.reader import Storage

Parts = list[str | Picture]


class Interleaved(TextSource):
    """Parquet or JSON lines; see ``qvl.pipeline.builders.text.documents`` for the layouts.

    ``image_folder``: the folder of the files that documents name. ``follow_links``: whether links in it may lead out of it,
    as in the cache of the Hugging Face Hub. ``image_tars``: tars of img2dataset with the pictures that
    documents name by address; ``{name}`` in the pattern is the name of the document file. ``lost_images``: whether a row
    of which a picture is missing or unreadable is dropped or keeps its other parts. ``minimum_side``,
    ``maximum_aspect``: smaller or narrower pictures are left out of their document. ``minimum_images``: the fewest pictures
    that must remain. ``characters``, ``images``: the most of one sample; a longer document becomes several.
    """

    kind: Literal["interleaved"] = "interleaved"
    image_folder: str = "."
    follow_links: bool = False
    image_tars: str | None = None
    lost_images: Literal["keep", "drop"] = "keep"
    minimum_side: int = Field(default=1, ge=1)
    maximum_aspect: float | None = Field(default=None, ge=1)
    minimum_images: int = Field(default=1, ge=0)
    characters: int = Field(default=2_000, ge=100)
    images: int = Field(default=4, ge=1)

    def drafts(self, path: str, storage: Storage) -> Iterator[Draft]:
        addresses = image_addresses(self.image_tars, path, storage)
        file_of = linked_file_in if self.follow_links else file_in
        images = DocumentImages(self.image_folder, storage, addresses, file_of)
        seen: set[str] = set()
        for number, row in enumerate(document_rows(path, storage)):
            if isinstance(row, UnreadableRow):
                yield Draft(str(number), f"unreadable:{row.reason}")
                continue
            key = key_of(row, number)
            try:
                yield self._draft(key, document(row), images, seen)
            except LayoutError as error:
                yield Draft(key, str(error))

    def _draft(self, key: str, found: Document, images: DocumentImages, seen: set[str]) -> Draft:
        parts, counts = self._usable(found, images)
        columns = {"lost_images": counts["lost"], "small_images": counts["small"], "surplus_images": 0}
        verdict = self._verdict(parts, counts)
        if verdict != KEEP:
            return Draft(key, verdict, columns=columns)
        named = (part if isinstance(part, str) else f"\0{part.sha}" for part in parts)
        digest = content_hash("\0\0".join(named).encode())
        if digest in seen:
            return Draft(key, "duplicate", columns=columns)
        seen.add(digest)
        all_samples = list(cut(parts, self.characters, self.images))
        samples = [sample for sample in all_samples if any(isinstance(part, str) for part in sample)]
        pictures = [[part for part in sample if isinstance(part, Picture)] for sample in samples]
        shown = list(itertools.chain.from_iterable(pictures))
        columns["surplus_images"] = counts["images"] - len(shown)
        language = self.speaks(" ".join(part for part in parts if isinstance(part, str)))
        turns = [_turns(sample, found.joint) for sample in samples]
        return Draft(key, KEEP, turns, language, shown, shares=tuple(map(len, pictures)), columns=columns)

    def _usable(self, found: Document, images: DocumentImages) -> tuple[Parts, Counter[str]]:
        """The texts and usable pictures in order, and how many pictures are lost or small. Raises LayoutError for markup."""
        parts: Parts = []
        counts: Counter[str] = Counter()
        for part in found.parts:
            if isinstance(part, str):
                safe = self.safe(part)
                if safe is None:
                    raise LayoutError("markup")
                parts += [safe] if safe else []
                continue
            shown = images.find(part)
            if isinstance(shown, str):
                counts["lost"] += 1
            elif self._fits(shown):
                counts["images"] += 1
                parts.append(shown)
            else:
                counts["small"] += 1
        return parts, counts

    def _fits(self, shown: Picture) -> bool:
        short, long = sorted((shown.width, shown.height))
        return short >= self.minimum_side and (self.maximum_aspect is None or long <= self.maximum_aspect * short)

    def _verdict(self, parts: Parts, counts: Counter[str]) -> str:
        if counts["lost"] and self.lost_images == "drop":
            return "image_missing"
        if counts["images"] < self.minimum_images:
            return "too_few_images"
        return KEEP if any(isinstance(part, str) for part in parts) else "no_text"


@dataclass(slots=True)
class _Open:
    """The sample that is being filled."""

    parts: Parts = field(default_factory=list)
    characters: int = 0
    images: int = 0


def cut(parts: Parts, characters: int, images: int) -> Iterator[Parts]:
    """Consecutive samples of at most so many characters and images. Pictures stay with the text that follows them.

    Pictures at the end of a document follow its last text. Where more pictures than ``images`` have no text between them,
    some of them are a sample without a text.
    """
    sample = _Open()
    for part in _small_parts(parts, characters):
        text = len(part) if isinstance(part, str) else 0
        full = sample.characters + text > characters or sample.images + (not isinstance(part, str)) > images
        if full and sample.characters:
            moved = _trailing_pictures(sample.parts) if isinstance(part, str) else []
            yield sample.parts[: len(sample.parts) - len(moved)]
            sample = _Open(moved, 0, len(moved))
        elif full and not isinstance(part, str):  # more pictures than a sample may have, and no text
            yield sample.parts
            sample = _Open()
        sample.parts.append(part)
        sample.characters += text
        sample.images += not isinstance(part, str)
    if sample.parts:
        yield sample.parts


def _small_parts(parts: Parts, characters: int) -> Iterator[str | Picture]:
    for part in parts:
        if isinstance(part, str):
            yield from pieces(part, characters)
        else:
            yield part


def _trailing_pictures(parts: Parts) -> Parts:
    texts = [number for number, part in enumerate(parts) if isinstance(part, str)]
    return parts[texts[-1] + 1 :] if texts else []


def _turns(parts: Parts, joint: str) -> Turns:
    """Pictures as turns without a loss, texts as running text. Neighbours of one kind are one turn."""
    turns: list[Turn] = []
    number = 0
    for part in parts:
        before = turns.pop() if turns and turns[-1].role == _role(part) else None
        if isinstance(part, str):
            turns.append(Turn("text", before.text + joint + part if before else part))
            continue
        lead = before.text if before else "\n" if turns else ""
        turns.append(Turn("user", f"{lead}{image_slot(number)}\n"))
        number += 1
    return tuple(turns)


def _role(part: str | Picture) -> str:
    return "text" if isinstance(part, str) else "user"
