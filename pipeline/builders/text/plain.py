"""Pure text: running text cut into samples at paragraphs, else at sentences. No prompt, no image; all of it is learnt."""

import re
from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from qvl.pipeline.base.verdicts import KEEP
from qvl.pipeline.builders.text.rows import Broken, json_rows
from qvl.pipeline.builders.text.source import Draft, TextSource
from qvl.pipeline.captions.counts import count
from qvl.pipeline.captions.language import LanguageModel
from qvl.pipeline.commit.fingerprint import content_hash
from qvl.pipeline.storage.reader import Storage

PARAGRAPH = re.compile(r"\n[^\S\n]*\n\s*")
WRAP = re.compile(r"[^\S\n]*\n[^\S\n]*")
SENTENCE_END = re.compile(r"[.!?…]['\"”’)]*\s|[。！？；][”’」』）]*|\n")
WIDE = re.compile(r"(?<=[\u2e80-\uffef])\s*\n\s*(?=[\u2e80-\uffef])")  # Chinese has no blank where a line was broken


class PlainText(TextSource):
    """``.txt`` (UTF-8; a row is as many paragraphs as fit) or ``.jsonl``/``.json`` (a row is an object, its text under
    ``column``, cut into as many samples as it takes).

    ``characters``: of a sample, at most. ``minimum``: of a row, at least. ``lines``: ``join`` undoes hard line breaks
    inside a paragraph, ``keep`` is for verse. ``languages``: where ``language`` is ``auto``, rows in others are dropped (an
    empty list asks nothing).
    """

    kind: Literal["text"] = "text"
    column: str = "text"
    characters: int = Field(default=2_000, ge=100)
    minimum: int = Field(default=20, ge=1)
    lines: Literal["join", "keep"] = "join"
    languages: tuple[str, ...] = ("en", "zh")

    def drafts(self, path: str, storage: Storage) -> Iterator[Draft]:
        asked = LanguageModel() if self.languages and self.language == "auto" else None
        seen: set[str] = set()
        for key, text in self._rows(path, storage):
            yield self._draft(key, text, asked, seen)

    def _draft(self, key: str, text: str | Broken, asked: LanguageModel | None, seen: set[str]) -> Draft:
        """A row's samples, or the reason why there are none."""
        if isinstance(text, Broken):
            return Draft(key, f"unreadable:{text.why}")
        safe = self.safe(text)
        if safe is None:
            return Draft(key, "markup")
        if len(safe) < self.minimum:
            return Draft(key, "too_short")
        spoken = self.speaks(safe) if asked is None else _language(safe, asked)
        if asked is not None and spoken not in self.languages:
            return Draft(key, "language")
        digest = content_hash("".join(safe.split()).casefold().encode())
        if digest in seen:
            return Draft(key, "duplicate")
        seen.add(digest)
        turns = [[{"role": "text", "text": piece}] for piece in pieces(safe, self.characters)]
        return Draft(key, KEEP, turns, spoken)

    def _rows(self, path: str, storage: Storage) -> Iterator[tuple[str, str | Broken]]:
        if path.endswith((".jsonl", ".ndjson", ".json")):
            for number, row in enumerate(json_rows(path, storage)):
                key = str(number) if isinstance(row, Broken) else str(row.get("id", number))
                yield key, row if isinstance(row, Broken) else self._column(row.get(self.column))
            return
        try:
            text = storage.read(path).decode("utf-8-sig")
        except UnicodeDecodeError:
            yield "0", Broken("utf8")
            return
        paragraphs = (self._shaped(part) for part in PARAGRAPH.split(text.replace("\r\n", "\n")))
        for number, piece in enumerate(packed((part for part in paragraphs if part), self.characters)):
            yield str(number), piece

    def _column(self, value: object) -> str | Broken:
        if not isinstance(value, str):
            return Broken("no_text")
        parts = (self._shaped(part) for part in PARAGRAPH.split(value.replace("\r\n", "\n")))
        return "\n\n".join(part for part in parts if part)

    def _shaped(self, paragraph: str) -> str:
        """A paragraph without blanks at its ends, and in one line where ``lines`` says so."""
        if self.lines == "join":
            return " ".join(WIDE.sub("", paragraph).split())
        return WRAP.sub("\n", paragraph).strip()


def packed(paragraphs: Iterator[str], limit: int) -> Iterator[str]:
    """Paragraphs side by side up to ``limit`` characters; a longer one stands alone."""
    waiting = ""
    for paragraph in paragraphs:
        if waiting and len(waiting) + 2 + len(paragraph) > limit:
            yield waiting
            waiting = ""
        waiting = f"{waiting}\n\n{paragraph}" if waiting else paragraph
    if waiting:
        yield waiting


def pieces(text: str, limit: int) -> Iterator[str]:
    """The text in parts of at most ``limit`` characters: cut at paragraphs, else at sentences, else at blanks."""
    for part in packed(iter(PARAGRAPH.split(text)), limit):
        rest = part
        while len(rest) > limit:
            ends = [match.end() for match in SENTENCE_END.finditer(rest, 0, limit)]
            at = ends[-1] if ends else rest.rfind(" ", 0, limit) + 1 or limit
            yield rest[:at].strip()
            rest = rest[at:].lstrip()
        if rest:
            yield rest


def _language(text: str, model: LanguageModel) -> str:
    counts = count([text])
    return model.measure([text], counts.latin, counts.han, counts.other)[0][0]
