"""Running text, cut into samples at paragraphs or sentences, without prompts and images; all tokens are supervised."""

import re
from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from qvl.pipeline.base.addresses import public_address
from qvl.pipeline.base.verdicts import KEEP
from qvl.pipeline.builders.text.rows import UnreadableRow, json_rows
from qvl.pipeline.builders.text.source import Draft, TextSource
from qvl.pipeline.captions.counts import count
from qvl.pipeline.captions.language import LanguageModel
from qvl.pipeline.commit.fingerprint import content_hash
from qvl.pipeline.markup.turns import Turn, Turns
from qvl.pipeline.storage.reader import Storage

PARAGRAPH = re.compile(r"\n[^\S\n]*\n\s*")
WRAP = re.compile(r"[^\S\n]*\n[^\S\n]*")
SENTENCE_END = re.compile(r"[.!?…]['\"”’)]*\s|[。！？；][”’」』）]*|\n")
# a line break between Chinese characters does not stand for a blank
WIDE = re.compile(r"(?<=[\u2e80-\uffef])\s*\n\s*(?=[\u2e80-\uffef])")


class PlainText(TextSource):
    """``.txt`` (UTF-8; a row is as many paragraphs as fit) or ``.jsonl``/``.json`` (a row is an object with its text under
    ``column``, which is cut into as many samples as necessary).

    ``characters``: the most characters of a sample. ``minimum``: the fewest characters of a row. ``lines``: ``join`` removes
    line breaks inside a paragraph, ``keep`` keeps them, for verse. ``languages``: if ``language`` is ``auto``, rows in other
    languages are dropped; an empty list accepts all.
    """

    kind: Literal["text"] = "text"
    column: str = "text"
    characters: int = Field(default=2_000, ge=100)
    minimum: int = Field(default=20, ge=1)
    lines: Literal["join", "keep"] = "join"
    languages: tuple[str, ...] = ("en", "zh")

    def drafts(self, path: str, storage: Storage) -> Iterator[Draft]:
        detector = LanguageModel() if self.languages and self.language == "auto" else None
        seen: set[str] = set()
        for key, text in self._rows(path, storage):
            yield self._draft(key, text, detector, seen)

    def _draft(self, key: str, text: str | UnreadableRow, detector: LanguageModel | None, seen: set[str]) -> Draft:
        """The samples of a row, or the reason for its drop."""
        if isinstance(text, UnreadableRow):
            return Draft(key, f"unreadable:{text.reason}")
        safe = self.safe(text)
        if safe is None:
            return Draft(key, "markup")
        if len(safe) < self.minimum:
            return Draft(key, "too_short")
        language = self.speaks(safe) if detector is None else _language(safe, detector)
        if detector is not None and language not in self.languages:
            return Draft(key, "language")
        digest = content_hash("".join(safe.split()).casefold().encode())
        if digest in seen:
            return Draft(key, "duplicate")
        seen.add(digest)
        turns: list[Turns] = [(Turn("text", piece),) for piece in pieces(safe, self.characters)]
        return Draft(key, KEEP, turns, language)

    def _rows(self, path: str, storage: Storage) -> Iterator[tuple[str, str | UnreadableRow]]:
        if public_address(path).endswith((".jsonl", ".ndjson", ".json")):
            for number, row in enumerate(json_rows(path, storage)):
                key = str(number) if isinstance(row, UnreadableRow) else str(row.get("id", number))
                yield key, row if isinstance(row, UnreadableRow) else self._column(row.get(self.column))
            return
        try:
            text = storage.read(path).decode("utf-8-sig")
        except UnicodeDecodeError:
            yield "0", UnreadableRow("utf8")
            return
        paragraphs = (self._normalised(part) for part in PARAGRAPH.split(text.replace("\r\n", "\n")))
        for number, piece in enumerate(packed((part for part in paragraphs if part), self.characters)):
            yield str(number), piece

    def _column(self, value: object) -> str | UnreadableRow:
        if not isinstance(value, str):
            return UnreadableRow("no_text")
        parts = (self._normalised(part) for part in PARAGRAPH.split(value.replace("\r\n", "\n")))
        return "\n\n".join(part for part in parts if part)

    def _normalised(self, paragraph: str) -> str:
        """A paragraph without blanks at its ends, joined into one line if ``lines`` says so."""
        if self.lines == "join":
            return " ".join(WIDE.sub("", paragraph).split())
        return WRAP.sub("\n", paragraph).strip()


def packed(paragraphs: Iterator[str], limit: int) -> Iterator[str]:
    """Consecutive paragraphs joined up to ``limit`` characters; a longer paragraph is returned alone."""
    waiting = ""
    for paragraph in paragraphs:
        if waiting and len(waiting) + 2 + len(paragraph) > limit:
            yield waiting
            waiting = ""
        waiting = f"{waiting}\n\n{paragraph}" if waiting else paragraph
    if waiting:
        yield waiting


def pieces(text: str, limit: int) -> Iterator[str]:
    """The text in parts of at most ``limit`` characters: cut at paragraphs, otherwise at sentences, otherwise at blanks."""
    for part in packed(iter(PARAGRAPH.split(text)), limit):
        rest = part
        while len(rest) > limit:
            ends = [match.end() for match in SENTENCE_END.finditer(rest, 0, limit)]
            cut = ends[-1] if ends else rest.rfind(" ", 0, limit) + 1 or limit
            yield rest[:cut].strip()
            rest = rest[cut:].lstrip()
        if rest:
            yield rest


def _language(text: str, model: LanguageModel) -> str:
    counts = count([text])
    return model.measure([text], counts.latin, counts.han, counts.other)[0][0]
