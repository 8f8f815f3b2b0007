"""Caption, verdict and thumbnail of the few rows that the page shows."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields

import pyarrow as pa
import xxhash

from qvl.pipeline.base.json_values import json_values
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.curate.measuring.columns import split_sample_id
from qvl.pipeline.html.elements import CAPTION_CHARACTERS
from qvl.pipeline.images.thumbnail import CHANGED, DELETED, NO_PICTURE, REMOTE, NoThumbnail, refuse, thumbnail
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.recipe.source import reader
from qvl.pipeline.report.nearest import ranks
from qvl.pipeline.shards.revoked import read_revoked
from qvl.pipeline.sources.base import Bytes, ImageReference, Unit
from qvl.pipeline.storage.arrow_files import parquet_file, read_parquet
from qvl.pipeline.storage.paths import AnyPath
from qvl.pipeline.storage.reader import Storage

REMOTE_UNITS = 4
VALUE_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class ShownRow:
    """The columns of the ledger that the page shows of a row. ``failed`` has one bit per filter; None where not measured."""

    id: str
    row: int
    verdict: str
    failed: int
    caption: str | None
    locator: int
    image_bytes: int | None
    image_hash: bytes | None
    width: int | None
    height: int | None
    language: str | None
    format: str | None
    mode: str | None
    animated: bool | None


NEEDED = [column.name for column in fields(ShownRow)]


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
            shown = list(_ledger_rows(Layout(self.out).ledger(unit), rows))
            self.cards |= {row.id: _card(row, self.recipe.filter_names) for row in shown}
            self._add_values(Layout(self.out).ledger(unit), shown)
            if unit not in self.units:
                self._explain(shown, "not shown: the run's recipe is needed to find the picture")
            elif allowed is not None and unit not in allowed:
                self._explain(shown, REMOTE)
            else:
                self._pictures(self.units[unit], shown)

    def _add_values(self, ledger: AnyPath, rows: list[ShownRow]) -> None:
        """Put the values of the columns that filters of the recipe judge on the cards of a unit's rows."""
        names = list(self.recipe.filtered_columns)
        if not names:
            return
        table = read_parquet(ledger, names).take(pa.array([row.row for row in rows]))
        for name in names:
            for row, value in zip(rows, json_values(table[name]), strict=True):
                self.cards[row.id].values[name] = "none" if value is None else str(value)[:VALUE_CHARACTERS]

    def _explain(self, rows: list[ShownRow], why: str) -> None:
        for row in rows:
            self.cards[row.id].why = why

    def _pictures(self, unit: Unit, rows: list[ShownRow]) -> None:
        """Thumbnails of one unit's rows. A missing or changed picture is a reason on its card, never an error."""
        references, revoked = [], read_revoked(Layout(self.out).revoked)
        for row in rows:
            card = self.cards[row.id]
            try:
                if row.id in revoked:
                    raise NoThumbnail("taken down")
                if row.image_bytes is None:
                    raise NoThumbnail(NO_PICTURE)
                refuse(row.image_bytes, card.width, card.height)
                references.append(ImageReference(row.row, row.locator, row.image_bytes))
                card.why = DELETED
            except NoThumbnail as error:
                card.why = str(error)
        references.sort(key=lambda image: image.row)
        by_number = {row.row: row for row in rows}
        if not self._read(unit, references, by_number):
            for reference in references:
                self._read(unit, [reference], by_number)

    def _read(self, unit: Unit, references: list[ImageReference], rows: dict[int, ShownRow]) -> bool:
        """Read these rows' pictures. False if a file is missing or damaged, which ends the reader."""
        try:
            for number, data in reader(self.recipe.source(unit.source)).images(unit, references, Storage()):
                self._show(self.cards[rows[number].id], data, rows[number].image_hash)
        except (OSError, pa.ArrowInvalid):
            return False
        return True

    def _show(self, card: Card, data: Bytes, digest: bytes | None) -> None:
        try:
            if xxhash.xxh3_128_digest(data) != digest:
                raise NoThumbnail(CHANGED)
            card.image, card.why = thumbnail(data), ""
        except NoThumbnail as error:
            card.why = str(error)


def _card(row: ShownRow, filters: tuple[str, ...]) -> Card:
    failed = [reason for bit, reason in enumerate(filters) if row.failed >> bit & 1]
    text = row.caption or ""
    caption = text if len(text) <= CAPTION_CHARACTERS else text[: CAPTION_CHARACTERS - 1] + "…"
    named = {"language": row.language, "format": row.format, "mode": row.mode}
    values = {name: value for name, value in named.items() if value is not None}
    values["animated"] = "yes" if row.animated else "no"
    return Card(row.id, row.verdict, failed, caption, values, row.width or 0, row.height or 0)


def _ledger_rows(path: AnyPath, rows: list[int]) -> Iterator[ShownRow]:
    """Ledger rows by number. Only the row groups that hold them are read."""
    with parquet_file(path) as file:
        start = 0
        for group in range(file.num_row_groups):
            end = start + file.metadata.row_group(group).num_rows
            here = [row - start for row in rows if start <= row < end]
            if here:
                table = file.read_row_group(group, columns=NEEDED, use_threads=False).take(pa.array(here))
                yield from (ShownRow(**row) for row in table.to_pylist())
            start = end
