"""Rows to look at: caption, verdict and thumbnail of the few rows that were picked."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import xxhash

from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.curate.measuring.columns import split_sample_id
from qvl.pipeline.filters import FILTER_WORDS
from qvl.pipeline.html.elements import CAPTION_CHARACTERS
from qvl.pipeline.images.thumbnail import NoThumbnail, refuse, thumbnail
from qvl.pipeline.recipe.recipe import Recipe, reader
from qvl.pipeline.report.nearest import ranks
from qvl.pipeline.shards.revoked import read_revoked
from qvl.pipeline.sources.base import Unit
from qvl.pipeline.storage.arrow_files import parquet_file
from qvl.pipeline.storage.paths import Place
from qvl.pipeline.storage.reader import Storage

REMOTE_UNITS = 4
NEEDED = [
    "id", "row", "verdict", "failed", "caption", "locator", "image_bytes", "image_hash", "width", "height",
    "language", "format", "mode", "animated",
]  # fmt: skip


@dataclass
class Card:
    """One row as it is shown: ``words`` holds its measured words by column, ``image`` is a data URI.

    Where ``image`` is None, ``why`` says why there is no picture.
    """

    id: str
    verdict: str
    failed: list[str]
    caption: str
    words: dict[str, str]
    width: int
    height: int
    image: str | None = None
    why: str = ""


@dataclass
class Gallery:
    """The sources' files, and the cards that were fetched from them.

    ``units`` maps unit ids to files; a unit that it does not know gives cards without pictures.
    """

    out: Place
    recipe: Recipe
    units: dict[str, Unit]
    cards: dict[str, Card] = field(default_factory=dict)

    def candidates(self) -> frozenset[str] | None:
        """Units that rows may be picked from: all of them where every file is local, else a seeded few per source.

        A remote file is fetched whole for one thumbnail, so that hundreds of them would cost hours.
        """
        storage, seed = Storage(), self.recipe.pack.seed
        remote = {unit.source for unit in self.units.values() if not storage.is_local(unit.path)}
        if not remote:
            return None
        chosen = [unit for unit in self.units.values() if unit.source not in remote]
        for source in sorted(remote):
            own = [unit for unit in self.units.values() if unit.source == source]
            chosen += sorted(own, key=lambda unit: int(ranks(seed, unit.id, 1)[0]))[:REMOTE_UNITS]
        return frozenset(unit.id for unit in chosen)

    def fetch(self, samples: Iterable[str]) -> None:
        """Make the cards of these sample ids; each unit is opened once."""
        allowed = self.candidates()
        by_unit: dict[str, list[int]] = {}
        for sample in sorted(set(samples)):
            unit, row = split_sample_id(sample)
            by_unit.setdefault(unit, []).append(row)
        for unit, rows in by_unit.items():
            records = list(_records(Layout(self.out).ledger(unit), rows))
            self.cards |= {record["id"]: _card(record) for record in records}
            if unit not in self.units:
                self._excuse(records, "not shown: the run's recipe is needed to find the picture")
            elif allowed is not None and unit not in allowed:
                self._excuse(records, "not shown: the picture lies in a remote file")
            else:
                self._pictures(self.units[unit], records)

    def _excuse(self, records: list[dict[str, Any]], why: str) -> None:
        for record in records:
            self.cards[record["id"]].why = why

    def _pictures(self, unit: Unit, records: list[dict[str, Any]]) -> None:
        """Thumbnails of one unit's rows; a missing or changed picture is a reason on its card, never an error."""
        wanted, revoked = {}, read_revoked(Layout(self.out).revoked)
        for record in records:
            card = self.cards[record["id"]]
            try:
                if record["id"] in revoked:
                    raise NoThumbnail("taken down")
                if record["image_bytes"] is None:
                    raise NoThumbnail("no picture in the source")
                refuse(record["image_bytes"], card.width, card.height)
                wanted[record["row"]] = record
                card.why = "not shown: the picture is gone since the scan"
            except NoThumbnail as error:
                card.why = str(error)
        places = sorted((row, record["locator"], record["image_bytes"]) for row, record in wanted.items())
        if not self._read(unit, places, wanted):
            for place in places:
                self._read(unit, [place], wanted)

    def _read(self, unit: Unit, places: list[tuple[int, int, int]], wanted: dict[int, dict[str, Any]]) -> bool:
        """Draw these rows; False where a file is missing or damaged, which ends a reader's walk through the others."""
        try:
            for row, data in reader(self.recipe.source(unit.source)).images(unit, places, Storage()):
                self._draw(self.cards[wanted[row]["id"]], data, wanted[row]["image_hash"])
        except (OSError, pa.ArrowInvalid):
            return False
        return True

    def _draw(self, card: Card, data: bytes | memoryview, digest: bytes) -> None:
        try:
            if xxhash.xxh3_128_digest(data) != digest:
                raise NoThumbnail("not shown: the picture changed since the scan")
            card.image, card.why = thumbnail(data), ""
        except NoThumbnail as error:
            card.why = str(error)


def _card(record: dict[str, Any]) -> Card:
    failed = [word for bit, word in enumerate(FILTER_WORDS) if record["failed"] >> bit & 1]
    text = record["caption"] or ""
    caption = text if len(text) <= CAPTION_CHARACTERS else text[: CAPTION_CHARACTERS - 1] + "…"
    sides = record["width"] or 0, record["height"] or 0
    words = {name: str(record[name]) for name in ("language", "format", "mode") if record[name] is not None}
    words["animated"] = "yes" if record["animated"] else "no"
    return Card(record["id"], record["verdict"], failed, caption, words, *sides)


def _records(path: Place, rows: list[int]) -> Iterator[dict[str, Any]]:
    """Ledger rows by number; only the row groups that hold one are read."""
    with parquet_file(path) as file:
        start = 0
        for group in range(file.num_row_groups):
            end = start + file.metadata.row_group(group).num_rows
            here = [row - start for row in rows if start <= row < end]
            if here:
                table = file.read_row_group(group, columns=NEEDED, use_threads=False).take(pa.array(here))
                yield from table.to_pylist()
            start = end
