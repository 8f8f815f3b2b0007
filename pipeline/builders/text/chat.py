"""Dialogues: roles in order, pictures numbered and brought along, boxes in the text read into regions."""

import posixpath
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from qvl.pipeline.base.verdicts import KEEP
from qvl.pipeline.builders.text.messages import ImagePart, LayoutError, Turn, read_turns
from qvl.pipeline.builders.text.rows import Broken, json_rows
from qvl.pipeline.builders.text.source import Draft, TextSource
from qvl.pipeline.commit.fingerprint import content_hash
from qvl.pipeline.images.picture import Picture, read_picture
from qvl.pipeline.markup import parsing
from qvl.pipeline.markup.markers import MARKER, named_image_slot
from qvl.pipeline.markup.parsing import TagPair, tag_pairs, unclosed
from qvl.pipeline.markup.turns import Turns
from qvl.pipeline.storage.reader import Storage

PLACES = ("<ref>", "</ref>", "<box>", "</box>", "<quad>", "</quad>")
TOP = 999


class Chat(TextSource):
    """JSON lines, or a ``.json`` list; see ``qvl.pipeline.builders.text.messages`` for the layouts.

    ``image_folder``: where image paths start. ``places``: ``keep`` lets ``<ref>``, ``<box>`` and ``<quad>`` stand where they
    are well-formed; rows with any other marker are dropped then, never escaped. ``characters``: of a dialogue, at most.
    ``images``: at most; 7 fill a sequence of 2048 tokens.
    """

    kind: Literal["chat"] = "chat"
    image_folder: str = "."
    places: Literal["keep", "drop"] = "drop"
    characters: int = Field(default=6_000, ge=1)
    images: int = Field(default=7, ge=0)

    def drafts(self, path: str, storage: Storage) -> Iterator[Draft]:
        seen: set[str] = set()
        for number, row in enumerate(json_rows(path, storage)):
            if isinstance(row, Broken):
                yield Draft(str(number), f"unreadable:{row.why}")
                continue
            key = str(row.get("id", number))
            try:
                yield self._draft(key, read_turns(row), storage, seen)
            except LayoutError as error:
                yield Draft(key, str(error))

    def _draft(self, key: str, turns: list[Turn], storage: Storage, seen: set[str]) -> Draft:
        check_order(turns)
        found = [(role, part) for role, parts in turns for part in parts if isinstance(part, ImagePart)]
        if any(role != "user" for role, _ in found):
            raise LayoutError("image_in_answer")
        if len(found) > self.images:
            raise LayoutError("too_many_images")
        written, regions = self._written(turns)
        text = "".join(turn["text"] for turn in written)
        if len(text) > self.characters:
            raise LayoutError("too_long")
        digest = content_hash("\0".join([text, *(part.path for _, part in found)]).encode("utf-8", "surrogatepass"))
        if digest in seen:
            raise LayoutError("duplicate")
        seen.add(digest)
        pictures = [self._picture(part.path, storage) for _, part in found]
        return Draft(key, KEEP, [written], self.speaks(_words(turns)), pictures, regions)

    def _written(self, turns: list[Turn]) -> tuple[Turns, list[dict[str, Any]]]:
        """Turns as they are trained on, and the regions that they name: on the last picture shown before."""
        written: Turns = []
        regions: list[dict[str, Any]] = []
        number = 0
        for role, parts in turns:
            text = ""
            for part in parts:
                if isinstance(part, ImagePart):
                    text += ("\n" if text and not text.endswith("\n") else "") + named_image_slot(number)
                    number += 1
                    continue
                text += self._text(part)
                regions += _regions(part, number - 1)
            written.append({"role": role, "text": text.strip()})
        return written, regions

    def _text(self, text: str) -> str:
        """A piece of text that is safe to train on. Raises LayoutError for one that is not."""
        if self.places == "drop":
            safe = self.safe(text)
            if safe is None:
                raise LayoutError("markup")
            return safe
        if unclosed(text) or any(not _inside(mark) for mark in tag_pairs(text)):
            raise LayoutError("malformed_place")
        if any(match.group() not in PLACES for match in MARKER.finditer(text)):
            raise LayoutError("markup")
        return text

    def _picture(self, path: str, storage: Storage) -> Picture:
        """The file that a dialogue names. Addresses are not fetched: strangers would choose what this machine calls."""
        if "://" in path:
            raise LayoutError("image_address")
        found = read_picture(posixpath.join(self.image_folder, path), storage)
        if isinstance(found, str):
            raise LayoutError(found)
        return found


def check_order(turns: list[Turn]) -> None:
    """An optional system turn, then user and assistant in turn, the assistant last; nobody is silent."""
    roles = [role for role, _ in turns]
    rest = roles[1:] if roles[:1] == ["system"] else roles
    if not rest or len(rest) % 2 or rest != ["user", "assistant"] * (len(rest) // 2):
        raise LayoutError("roles")
    if any(not any(isinstance(part, ImagePart) or part.strip() for part in parts) for _, parts in turns):
        raise LayoutError("empty_turn")


def _inside(mark: TagPair) -> bool:
    """Whether a tag holds what it should: words, or whole boxes or quads of 0..999."""
    if mark.kind == "ref":
        return bool(mark.inside.strip())
    size = 4 if mark.kind == "box" else 8
    return bool(mark.numbers) and not len(mark.numbers) % size and all(0 <= value <= TOP for value in mark.numbers)


def _regions(text: str, number: int) -> list[dict[str, Any]]:
    """Places that a text names, as fractions."""
    regions: list[dict[str, Any]] = []
    for phrase in parsing.parse(text):
        regions += [{"phrase": phrase.text, "image": number, "box": list(box)} for box in phrase.boxes]
        regions += [{"phrase": phrase.text, "image": number, "quad": list(quad)} for quad in phrase.quads]
    if regions and number < 0:
        raise LayoutError("place_without_image")
    return regions


def _words(turns: list[Turn]) -> str:
    """What is said by user and assistant, without pictures and tags."""
    said = " ".join(part for role, parts in turns if role != "system" for part in parts if isinstance(part, str))
    return MARKER.sub(" ", said)
