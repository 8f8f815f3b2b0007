"""Dialogues: roles in order, images numbered and included, boxes in the text parsed into regions."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from qvl.pipeline.base.addresses import below
from qvl.pipeline.base.verdicts import KEEP
from qvl.pipeline.builders.text.messages import ImagePart, LayoutError, Message, Part, read_turns, render
from qvl.pipeline.builders.text.rows import UnreadableRow, json_rows
from qvl.pipeline.builders.text.source import Draft, TextSource
from qvl.pipeline.commit.fingerprint import content_hash
from qvl.pipeline.images.picture import Picture, read_picture
from qvl.pipeline.markup import parsing
from qvl.pipeline.markup.markers import MARKER
from qvl.pipeline.markup.parsing import TagPair, tag_pairs, unclosed
from qvl.pipeline.markup.regions import Region
from qvl.pipeline.markup.turns import Turns
from qvl.pipeline.storage.reader import Storage

PLACES = ("<ref>", "</ref>", "<box>", "</box>", "<quad>", "</quad>")
TOP = 999


class Chat(TextSource):
    """JSON lines, or a ``.json`` list; see ``qvl.pipeline.builders.text.messages`` for the layouts.

    ``image_folder``: the folder that image paths are relative to. ``places``: ``keep`` keeps well-formed ``<ref>``,
    ``<box>`` and ``<quad>``; rows with any other marker are then dropped, never escaped. ``characters``: the most characters
    of a dialogue. ``images``: the most images of a dialogue; 7 fill a sequence of 2048 tokens.
    """

    kind: Literal["chat"] = "chat"
    image_folder: str = "."
    places: Literal["keep", "drop"] = "drop"
    characters: int = Field(default=6_000, ge=1)
    images: int = Field(default=7, ge=0)

    def drafts(self, path: str, storage: Storage) -> Iterator[Draft]:
        seen: set[str] = set()
        for number, row in enumerate(json_rows(path, storage)):
            if isinstance(row, UnreadableRow):
                yield Draft(str(number), f"unreadable:{row.reason}")
                continue
            key = str(row.get("id", number))
            try:
                yield self._draft(key, read_turns(row), storage, seen)
            except LayoutError as error:
                yield Draft(key, str(error))

    def _draft(self, key: str, turns: list[Message], storage: Storage, seen: set[str]) -> Draft:
        check_order(turns)
        images = [(role, part) for role, parts in turns for part in parts if isinstance(part, ImagePart)]
        if any(role != "user" for role, _ in images):
            raise LayoutError("image_in_answer")
        if len(images) > self.images:
            raise LayoutError("too_many_images")
        rendered, regions = self._rendered(turns)
        text = "".join(turn.text for turn in rendered)
        if len(text) > self.characters:
            raise LayoutError("too_long")
        digest = content_hash("\0".join([text, *(part.path for _, part in images)]).encode("utf-8", "surrogatepass"))
        if digest in seen:
            raise LayoutError("duplicate")
        seen.add(digest)
        pictures = [self._picture(part.path, storage) for _, part in images]
        return Draft(key, KEEP, [rendered], self.speaks(_plain_text(turns)), pictures, regions)

    def _rendered(self, turns: list[Message]) -> tuple[Turns, list[Region]]:
        """Turns as they are trained on, and the regions that they name, each on the last image shown before it."""
        safe: list[Message] = []
        regions: list[Region] = []
        images = 0
        for role, parts in turns:
            shown: list[Part] = []
            for part in parts:
                if isinstance(part, ImagePart):
                    images += 1
                    shown.append(part)
                else:
                    shown.append(self._text(part))
                    regions += _regions(part, images - 1)
            safe.append((role, shown))
        return render(safe), regions

    def _text(self, text: str) -> str:
        """The text as it is safe to train on. Raises LayoutError if it is not."""
        if self.places == "drop":
            safe = self.safe(text)
            if safe is None:
                raise LayoutError("markup")
            return safe
        if unclosed(text) or any(not _well_formed(pair) for pair in tag_pairs(text)):
            raise LayoutError("malformed_place")
        if any(match.group() not in PLACES for match in MARKER.finditer(text)):
            raise LayoutError("markup")
        return text

    def _picture(self, path: str, storage: Storage) -> Picture:
        """The image that a dialogue names. URLs are not fetched: untrusted data must not decide what is requested."""
        if "://" in path:
            raise LayoutError("image_address")
        picture = read_picture(below(self.image_folder, path), storage)
        if isinstance(picture, str):
            raise LayoutError(picture)
        return picture


def check_order(turns: list[Message]) -> None:
    """Raise LayoutError unless user and assistant alternate after an optional system turn, and no turn is empty."""
    roles = [role for role, _ in turns]
    rest = roles[1:] if roles[:1] == ["system"] else roles
    if not rest or len(rest) % 2 or rest != ["user", "assistant"] * (len(rest) // 2):
        raise LayoutError("roles")
    if any(not any(isinstance(part, ImagePart) or part.strip() for part in parts) for _, parts in turns):
        raise LayoutError("empty_turn")


def _well_formed(pair: TagPair) -> bool:
    """Whether a pair of tags contains what it should: text, or complete boxes or quads with coordinates in 0..999."""
    if pair.kind == "ref":
        return bool(pair.inside.strip())
    size = 4 if pair.kind == "box" else 8
    return bool(pair.numbers) and not len(pair.numbers) % size and all(0 <= value <= TOP for value in pair.numbers)


def _regions(text: str, number: int) -> list[Region]:
    """The boxes and quads that a text names, as fractions, on the image ``number``."""
    regions: list[Region] = []
    for phrase in parsing.parse(text):
        regions += [Region(phrase.text, number, box=box) for box in phrase.boxes]
        regions += [Region(phrase.text, number, quad=quad) for quad in phrase.quads]
    if regions and number < 0:
        raise LayoutError("place_without_image")
    return regions


def _plain_text(turns: list[Message]) -> str:
    """The text of user and assistant without images and tags."""
    text = " ".join(part for role, parts in turns if role != "system" for part in parts if isinstance(part, str))
    return MARKER.sub(" ", text)
