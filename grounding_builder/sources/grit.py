"""GRIT (the data of Kosmos-2): captions whose phrases have boxes, in img2dataset tars, parquet or JSON lines.

Spans index the original caption in characters (code points) and are stored as floats, so the caption must not be changed
before its phrases are cut out. An input row is a caption.
"""

from collections.abc import Iterator
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from qvl.grounding_builder.drafts.box_reading import Reading, ReadingTest
from qvl.grounding_builder.drafts.drafts import Annotations, Draft, Item, Piece, Task, both_ways
from qvl.grounding_builder.drafts.readable import reason_of
from qvl.grounding_builder.drafts.regions import Boxes, fit, flags, regions_of
from qvl.grounding_builder.drafts.spans import Span, choose, escaped, text_fault, trimmed
from qvl.grounding_builder.sources.fields import image_path, printable
from qvl.grounding_builder.sources.records import Record
from qvl.pipeline.base.addresses import public_address, with_ending
from qvl.pipeline.base.content_errors import CONTENT_ERRORS
from qvl.pipeline.base.errors import DataError
from qvl.pipeline.commit.fingerprint import file_identity
from qvl.pipeline.markup.markers import has_marker
from qvl.pipeline.markup.regions import Region
from qvl.pipeline.markup.turns import grounded_caption_turns
from qvl.pipeline.sources.base import Bytes
from qvl.pipeline.sources.bounded_parquet import MAX_EXPANSION
from qvl.pipeline.sources.json_tables import parse_writable
from qvl.pipeline.sources.paths import find_units
from qvl.pipeline.sources.status_table import StatusTable, read_status_table
from qvl.pipeline.sources.tar_index import index_tar
from qvl.pipeline.sources.tar_members import group
from qvl.pipeline.storage.reader import Storage

ROWS_PER_PIECE = 20_000
BATCH_ROWS = 1_024
SUCCESS = "success"
READING = Reading("xyxy", "fraction")
NESTED = (pa.list_(pa.list_(pa.float64())), pa.large_list(pa.large_list(pa.float64())))
ORIGINAL = ["original_width", "original_height"]
COLUMNS = ["key", "id", "url", "caption", "width", "height", "noun_chunks", "ref_exps", "status", "image", "jpg"]


class Grit(Annotations):
    """``paths`` are globs of .tar (img2dataset, annotations in the samples' JSON), .parquet or .jsonl files.

    For .parquet and .jsonl, images come from a column of bytes or from ``image_folder``, as ``KEY.jpg``. ``phrases``: the
    expanded expressions only, or these together with the noun chunks. ``min_score``: the lowest accepted detector score.
    ``per_image`` is 1 by default because every sample contains a copy of the image.
    """

    kind: Literal["grit"] = "grit"
    paths: tuple[str, ...]
    image_folder: str | None = None
    phrases: Literal["ref_exps", "union"] = "ref_exps"
    min_score: float = Field(default=0.65, ge=0, le=1)
    tasks: tuple[Task, ...] = ("grounded_caption", "referring", "region_caption")
    per_image: int | None = Field(default=1, ge=1)

    def pieces(self, storage: Storage) -> list[Piece]:
        found: list[Piece] = []
        for unit in find_units(self.paths, storage):
            identity = file_identity(storage, unit.path)
            rows = _rows(unit.path, storage) if unit.name.endswith(".parquet") else 1
            for number, first in enumerate(range(0, max(rows, 1), ROWS_PER_PIECE)):
                found.append(Piece(unit.path, number, {**identity, "first": first}, first))
        return found

    def drafts(self, piece: Piece, storage: Storage) -> Iterator[Draft]:
        test = ReadingTest(READING)
        public = public_address(piece.path)
        if public.endswith(".tar"):
            yield from self._tar(piece.path, storage, test)
        elif public.endswith(".parquet"):
            yield from self._parquet(piece.path, piece.payload, storage, test)
        else:
            yield from self._jsonl(piece.path, storage, test)
        self.check_boxes(test, piece.path)

    def _tar(self, path: str, storage: Storage, test: ReadingTest) -> Iterator[Draft]:
        """The samples in the order of the tar, then the rows that img2dataset could not download."""
        table = _status_table(path, storage)
        statuses = table.records
        with storage.mapped(path) as data:
            index = index_tar(data)
            for sample in group(index.members).samples:
                remaining = statuses.get(sample.key)
                status = remaining.pop() if remaining else {}
                if sample.image is None or sample.meta is None or not sample.regular:
                    yield Draft(sample.key).drop(
                        "unreadable:no_image" if sample.image is None else "unreadable:no_json"
                    )
                    continue
                try:
                    record = parse_writable(data[sample.meta.offset : sample.meta.offset + sample.meta.size])
                except ValueError:
                    record = None
                if not isinstance(record, dict):
                    yield Draft(sample.key).drop("unreadable:bad_json")
                    continue
                start = sample.image.offset
                yield self.draft({**status, **record, "key": sample.key}, test, data[start : start + sample.image.size])
        for key, remaining in statuses.items():
            for status in reversed(remaining):
                outcome = str(status.get("status"))
                yield Draft(key).drop("unreadable:missing_in_tar" if outcome == SUCCESS else f"download:{outcome}")
        for fault in (index.fault, table.fault):
            if fault:
                yield Draft("").drop(f"unreadable:{fault}")

    def _parquet(self, path: str, first: int, storage: Storage, test: ReadingTest) -> Iterator[Draft]:
        with storage.local(path) as local, pq.ParquetFile(local, memory_map=True) as file:
            unread = {"noun_chunks"} if self.phrases == "ref_exps" else set()
            columns = [name for name in COLUMNS if name in file.schema_arrow.names and name not in unread]
            seen = 0
            for batch in file.iter_batches(BATCH_ROWS, columns=columns, use_threads=False):
                start, end = max(first - seen, 0), min(first + ROWS_PER_PIECE - seen, len(batch))
                seen += len(batch)
                if start < end:
                    for record in _records(batch.slice(start, end - start)):
                        yield self.draft(record, test, _cell(record.get("image") or record.get("jpg")))

    def _jsonl(self, path: str, storage: Storage, test: ReadingTest) -> Iterator[Draft]:
        with storage.local(path) as local, local.open("rb") as lines:
            for number, line in enumerate(lines):
                try:
                    record = parse_writable(line)
                except ValueError:
                    record = None
                bad = Draft(str(number)).drop("unreadable:bad_json")
                yield self.draft(record, test) if isinstance(record, dict) else bad

    def draft(self, record: Record, test: ReadingTest, image: Bytes | None = None) -> Draft:
        """The draft of one row; one whose record cannot be read is dropped. Its boxes are added to ``test``."""
        try:
            return self._draft(record, test, image)
        except CONTENT_ERRORS as error:
            return Draft(printable(record.get("key") or record.get("id"))).drop(reason_of(error))

    def _draft(self, record: Record, test: ReadingTest, image: Bytes | None) -> Draft:
        """GRIT's ``width`` and ``height`` are those of the original file: only their ratio is used."""
        key, caption = str(record.get("key") or record.get("id") or ""), record.get("caption")
        width = record.get("original_width") or record.get("width")
        height = record.get("original_height") or record.get("height")
        size = (int(width), int(height)) if width and height else None
        source: str | Bytes = image if image is not None else image_path(self.image_folder or "", f"{key}.jpg")
        draft = Draft(key, None, source, _ids(record), size, True, str(record.get("url") or ""))
        if image is None and record.get("status", SUCCESS) != SUCCESS:
            return draft.drop(f"download:{record['status']}")
        try:
            rows = _annotations(record, self.phrases)
            if size is not None and not test.full:
                test.add_all([row[2:6] for row in rows if isinstance(row, list)], size)
            spans = self._spans(draft, caption or "", rows)
        except (TypeError, ValueError, OverflowError):
            return draft.drop("unreadable:bad_spans")
        if not caption:
            return draft.drop("empty_caption")
        if has_marker(caption):
            if self.markup == "drop":
                return draft.drop("markup")
            caption, spans = escaped(caption, spans)
        if not spans:
            return draft.drop("no_phrases")
        boxes = [box for span in spans for box in span.boxes]
        draft.flags = flags(boxes, self.boxes)
        draft.items = self._items(caption, spans)
        return draft

    @cached_property
    def _rule(self) -> Boxes:
        """The rule for boxes given as fractions, whose sides have no length in pixels."""
        return self.boxes.model_copy(update={"min_side": 0.0})

    def _spans(self, draft: Draft, caption: str, rows: list[list[float]]) -> list[Span]:
        """The spans that are kept. The reasons of dropped boxes go to the draft."""
        draft.regions, rule = len(rows), self._rule
        found: dict[tuple[int, int], Span] = {}
        for row in rows:
            if len(row) != 7:
                draft.lost.append("box:malformed")
                continue
            start, end = trimmed(caption, int(row[0]), int(row[1]))
            reason = text_fault(caption, start, end) or ("low_score" if row[6] < self.min_score else None)
            box = reason or fit((row[2], row[3], row[4], row[5]), 1.0, 1.0, rule)
            if isinstance(box, str):
                draft.lost.append(box)
                continue
            span = found.get((start, end))
            if span is None:
                span = found[start, end] = Span(start, end, [], 0.0)
            if box in span.boxes:
                draft.lost.append("duplicate")
            else:
                span.boxes.append(box)
                span.score += row[6]
        chosen = choose(list(found.values()))
        if len(chosen) < len(found):
            dropped = sum(len(s.boxes) for s in found.values()) - sum(len(s.boxes) for s in chosen)
            draft.lost += ["nested"] * dropped
        return chosen

    def _items(self, caption: str, spans: list[Span]) -> list[Item]:
        """The caption with its boxes, then its phrases by descending score; phrases that differ only in case are one."""
        language = self.language_of(caption)
        items: list[Item] = []
        if "grounded_caption" in self.tasks:
            regions: list[Region] = []
            for span in spans:
                regions += regions_of(caption[span.start : span.end], span.boxes)
            turns = grounded_caption_turns(caption, [(span.start, span.end, span.boxes) for span in spans], language)
            items.append(Item("grounded_caption", language, turns, regions))
        if "referring" not in self.tasks and "region_caption" not in self.tasks:
            return items
        phrases: dict[str, Span] = {}
        for span in sorted(spans, key=lambda span: (-span.score / len(span.boxes), span.start)):
            phrase = caption[span.start : span.end].casefold()
            same = phrases.get(phrase)
            if same is None:
                phrases[phrase] = Span(span.start, span.end, list(span.boxes), span.score)
            else:
                same.boxes += [box for box in span.boxes if box not in same.boxes]
        for span in list(phrases.values())[: self.per_image]:
            items += both_ways(caption[span.start : span.end], span.boxes, language, self.tasks)
        return items


def _annotations(record: Record, phrases: str) -> list[list[float]]:
    """Rows of [start, end, x1, y1, x2, y2, score], without repetitions in a union. They may be JSON inside a string."""
    names = ("ref_exps",) if phrases == "ref_exps" else ("ref_exps", "noun_chunks")
    found: list[list[float]] = []
    for name in names:
        rows = record.get(name) or []
        for row in orjson.loads(rows) if isinstance(rows, str) else rows:
            if len(names) == 1 or row not in found:
                found.append(row)
    return found


def _ids(record: Record) -> tuple[str, ...]:
    return (f"coyo:{record['id']}",) if record.get("id") is not None else ()


def _records(batch: pa.RecordBatch) -> Iterator[Record]:
    """The rows of a batch. Nested lists of numbers are converted a column at a time, which is several times as fast."""
    columns = [_nested(column) if column.type in NESTED else column.to_pylist() for column in batch.columns]
    names = batch.schema.names
    for values in zip(*columns, strict=True):
        yield dict(zip(names, values, strict=True))


def _nested(column: pa.Array) -> list[list[list[float]]]:
    inner = column.values
    outer, edges, numbers = column.offsets.to_pylist(), inner.offsets.to_pylist(), inner.values.to_pylist()
    rows = [numbers[start:end] for start, end in pairwise(edges)]
    return [rows[start:end] for start, end in pairwise(outer)]


def _cell(value: Any) -> Bytes | None:
    """The image bytes in a cell, which may be a Hugging Face {bytes, path}."""
    value = value.get("bytes") if isinstance(value, dict) else value
    return value if isinstance(value, bytes) else None


def _rows(path: str, storage: Storage) -> int:
    with storage.local(path) as local:
        try:
            return int(pq.read_metadata(local).num_rows)
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{path}: not a parquet file: {error}") from None


def _status_table(path: str, storage: Storage) -> StatusTable:
    """img2dataset's table next to a tar; empty if the table does not exist."""
    table = with_ending(path, ".tar", ".parquet")
    if not storage.has_side_file(path, table):
        return StatusTable()
    with storage.local(table) as local:
        return read_status_table(local, [*COLUMNS, *ORIGINAL], MAX_EXPANSION)
