"""Caption, verdict and thumbnail of the few rows that the page shows."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import xxhash

from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.curate.measuring.columns import split_sample_id
from qvl.pipeline.filters import FILTER_NAMES
from qvl.pipeline.html.elements import CAPTION_CHARACTERS
from qvl.pipeline.images.thumbnail import NoThumbnail, refuse, thumbnail
from qvl.pipeline.recipe.recipe import Recipe, reader
from qvl.pipeline.report.nearest import ranks
from qvl.pipeline.shards.revoked import read_revoked
from qvl.pipeline.sources.base import Unit
from qvl.pipeline.storage.arrow_files import parquet_file
from qvl.pipeline.storage.paths import AnyPath
from qvl.pipeline.storage.reader import Storage

REMOTE_UNITS = 4
NEEDED = [
    "id", "row", "verdict", "failed", "caption", "locator", "image_bytes", "image_hash", "width", "height",
    "language", "format", "mode", "animated",
]  # fmt: skip


@dataclass
class Card:
    """One row of the page. ``values`` holds its measured names by column; ``image`` is a data URI.

    Where ``image`` is None, ``why`` says why there is no picture.
    """

    id: str
    verdict: str
    failed: list[str]
    caption: str
    values: dict[str, str]
    width: int
    height: int
    image: str | None = None
    why: str = ""


@dataclass
class Gallery:
    """The sources' files, and the cards that were fetched from them.

    ``units`` maps unit ids to files; rows of a unit that is not listed get cards without pictures.
    """

    out: AnyPath
    recipe: Recipe
    units: dict[str, Unit]
    cards: dict[str, Card] = field(default_factory=dict)

    def candidates(self) -> frozenset[str] | None:
        """Units that rows may be picked from: None for all, where every file is local, else a seeded few per source.

        A remote file is fetched whole for a single thumbnail, so hundreds of them would take hours.
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
        """Fetch the cards of these sample ids; each unit is opened once."""
        allowed = self.candidates()
        by_unit: dict[str, list[int]] = {}
        for sample in sorted(set(samples)):
            unit, row = split_sample_id(sample)
            by_unit.setdefault(unit, []).append(row)
        for unit, rows in by_unit.items():
            records = list(_records(Layout(self.out).ledger(unit), rows))
            self.cards |= {record["id"]: _card(record) for record in records}
            if unit not in self.units:
                self._explain(records, "not shown: the run's recipe is needed to find the picture")
            elif allowed is not None and unit not in allowed:
                self._explain(records, "not shown: the picture is in a remote file")
            else:
                self._pictures(self.units[unit], records)

    def _explain(self, records: list[dict[str, Any]], why: str) -> None:
        for record in records:
            self.cards[record["id"]].why = why

    def _pictures(self, unit: Unit, records: list[dict[str, Any]]) -> None:
        """Thumbnails of one unit's rows. A missing or changed picture is a reason on its card, never an error."""
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
                card.why = "not shown: the picture has been deleted since the scan"
            except NoThumbnail as error:
                card.why = str(error)
        requests = sorted((row, record["locator"], record["image_bytes"]) for row, record in wanted.items())
        if not self._read(unit, requests, wanted):
            for request in requests:
                self._read(unit, [request], wanted)

    def _read(self, unit: Unit, requests: list[tuple[int, int, int]], wanted: dict[int, dict[str, Any]]) -> bool:
        """Read these rows' pictures. False if a file is missing or damaged, which ends the reader."""
        try:
            for row, data in reader(self.recipe.source(unit.source)).images(unit, requests, Storage()):
                self._show(self.cards[wanted[row]["id"]], data, wanted[row]["image_hash"])
        except (OSError, pa.ArrowInvalid):
            return False
        return True

    def _show(self, card: Card, data: bytes | memoryview, digest: bytes) -> None:
        try:
            if xxhash.xxh3_128_digest(data) != digest:
                raise NoThumbnail("not shown: the picture has changed since the scan")
            card.image, card.why = thumbnail(data), ""
        except NoThumbnail as error:
            card.why = str(error)


def _card(record: dict[str, Any]) -> Card:
    failed = [reason for bit, reason in enumerate(FILTER_NAMES) if record["failed"] >> bit & 1]
    text = record["caption"] or ""
    caption = text if len(text) <= CAPTION_CHARACTERS else text[: CAPTION_CHARACTERS - 1] + "…"
    sides = record["width"] or 0, record["height"] or 0
    values = {name: str(record[name]) for name in ("language", "format", "mode") if record[name] is not None}
    values["animated"] = "yes" if record["animated"] else "no"
    return Card(record["id"], record["verdict"], failed, caption, values, *sides)


def _records(path: AnyPath, rows: list[int]) -> Iterator[dict[str, Any]]:
    """Ledger rows by number. Only the row groups that hold them are read."""
    with parquet_file(path) as file:
        start = 0
        for group in range(file.num_row_groups):
            end = start + file.metadata.row_group(group).num_rows
            here = [row - start for row in rows if start <= row < end]
            if here:
                table = file.read_row_group(group, columns=NEEDED, use_threads=False).take(pa.array(here))
                yield from table.to_pylist()
            start = end
