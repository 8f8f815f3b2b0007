"""RefCOCO, RefCOCO+, RefCOCOg: ``refs(*.p)`` with ``instances.json``, and two common re-packagings.

An input row is an expression. The box comes from the annotation and the file name from the image record, because the
``file_name`` of a reference has an additional suffix.
"""

import posixpath
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import JsonValue

from qvl.grounding_builder.drafts.box_reading import Reading, ReadingTest, four_numbers
from qvl.grounding_builder.drafts.drafts import NOT_TRAIN, Annotations, Draft, Piece, Task, both_ways
from qvl.grounding_builder.drafts.readable import BAD_RECORD, text_of
from qvl.grounding_builder.drafts.regions import fit, flags
from qvl.grounding_builder.sources.fields import (
    drafts_or_bad,
    far_corner,
    identity,
    image_path,
    image_size,
    printable,
    side,
)
from qvl.grounding_builder.sources.records import Record
from qvl.grounding_builder.sources.unpickler import load_plain
from qvl.pipeline.base.content_errors import CONTENT_ERRORS
from qvl.pipeline.base.errors import DataError, RecipeError
from qvl.pipeline.commit.fingerprint import file_identity
from qvl.pipeline.markup.coordinates import Box
from qvl.pipeline.sources.delimited import BOM
from qvl.pipeline.sources.json_tables import parse_json
from qvl.pipeline.sources.paths import find_units
from qvl.pipeline.storage.reader import Storage

SPLIT_BY = re.compile(r"refs\((\w+)\)")
COCO_NUMBER = re.compile(r"(\d{12})")
GOOGLE = (
    "{}: the google split divides objects, not images, so its train part contains validation images; use refs(unc).p "
    "(RefCOCO, RefCOCO+) or refs(umd).p (RefCOCOg), or set allow_google: true"
)


class Expression(NamedTuple):
    """An expression with its image and its box, as the files have them.

    ``size`` has zeros where the files do not tell it; ``file_name`` is empty if the image or the annotation does not exist.
    """

    file_name: str
    size: tuple[int, int]
    box: Any
    split: Any
    sentence: Any
    image_id: str = ""


class RefCoco(Annotations):
    """``refs`` is one file.

    ``format``: ``refer`` is the original pickle, which needs ``instances``; ``jxu124`` and ``vlm_r1`` are re-packagings as
    parquet and as JSON. ``split``: only rows of this split are kept.
    """

    kind: Literal["refcoco"] = "refcoco"
    refs: str
    instances: str | None = None
    image_folder: str
    format: Literal["refer", "jxu124", "vlm_r1"] = "refer"
    split: str = "train"
    allow_google: bool = False
    tasks: tuple[Task, ...] = ("referring", "region_caption")

    def pieces(self, storage: Storage) -> list[Piece]:
        found = find_units((self.refs.translate(GLOB_ESCAPES),), storage)
        name = posixpath.basename(self.refs)
        split_by = SPLIT_BY.search(name)
        if self.format == "refer" and split_by is not None and split_by[1] == "google" and not self.allow_google:
            raise RecipeError(GOOGLE.format(name))
        if self.format == "refer" and (self.instances is None or not storage.exists(self.instances)):
            raise RecipeError(
                f"{self.name}: {self.instances or 'instances'}: format refer needs instances.json in addition to refs"
            )
        identity: dict[str, JsonValue] = {"refs": file_identity(storage, found[0].path)}
        if self.instances is not None:
            identity["instances"] = file_identity(storage, self.instances)
        return [Piece(found[0].path, 0, identity)]

    def drafts(self, piece: Piece, storage: Storage) -> Iterator[Draft]:
        readers = {"refer": self._refer, "jxu124": self._jxu124, "vlm_r1": self._vlm_r1}
        seen: set[tuple[str, str, Box]] = set()
        test = ReadingTest(Reading("xyxy" if self.format == "vlm_r1" else "xywh", "pixels"))
        for key, expression in readers[self.format](piece, storage):
            if isinstance(expression, str):
                yield Draft(printable(key), regions=1).drop(expression)
                continue
            test.add(expression.box, expression.size)
            yield from drafts_or_bad(key, 1, self._draft, key, expression, seen, storage)
        self.check_boxes(test, piece.path)

    def _draft(
        self, key: str, expression: Expression, seen: set[tuple[str, str, Box]], storage: Storage
    ) -> list[Draft]:
        """The row of an expression."""
        file_name = expression.file_name
        ids = coco_ids(file_name) or ((f"coco:{expression.image_id}",) if expression.image_id else ())
        if not file_name:
            return [Draft(printable(key), ids=ids, regions=1).drop("no_annotation")]
        path = image_path(self.image_folder, file_name)
        size = None if expression.split != self.split else image_size(*expression.size, path, storage)
        draft = Draft(printable(key), None, path, ids, size, regions=1)
        if size is None:
            return [draft.drop(NOT_TRAIN)]
        numbers = four_numbers(expression.box)
        phrase = self.plain(expression.sentence)
        if not phrase:
            return [draft.drop("markup" if phrase is None else "empty_phrase")]
        if isinstance(numbers, str):
            return [draft.drop(numbers)]
        corners = numbers if self.format == "vlm_r1" else far_corner(numbers)
        box = fit(corners, *size, self.boxes)
        if isinstance(box, str):
            return [draft.drop(box)]
        same = (path, expression.sentence, corners)
        if same in seen:
            return [draft.drop("duplicate")]
        seen.add(same)
        draft.flags = flags([box], self.boxes)
        draft.items = both_ways(phrase, [box], self.language_of(phrase), self.tasks)
        return [draft]

    def _refer(self, piece: Piece, storage: Storage) -> Iterator[tuple[str, Expression | str]]:
        images, boxes = instances(str(self.instances))
        for key, image_id, ann_id, split, sentence in expressions(load_refs(piece.path, storage)):
            if image_id is None or ann_id is None:
                yield key, BAD_RECORD
            elif image_id not in images or ann_id not in boxes:
                yield key, Expression("", (0, 0), None, split, sentence, image_id)
            else:
                yield key, Expression(*images[image_id], boxes[ann_id], split, sentence, image_id)

    def _jxu124(self, piece: Piece, storage: Storage) -> Iterator[tuple[str, Expression | str]]:
        """Reads the box in ``raw_anns`` (x, y, width, height), because the column ``bbox`` is xyxy in some versions."""
        for position, row in enumerate(parquet_rows(piece.path, storage)):
            try:
                image, annotation = parse_json(row["raw_image_info"]), parse_json(row["raw_anns"])
                size = side(image.get("width")), side(image.get("height"))
                common = (text_of(image["file_name"]), size, annotation.get("bbox"), row.get("split") or "train")
                found = [(f"{row['ref_id']}-{s.get('sent_id', n)}", s["sent"]) for n, s in enumerate(row["sentences"])]
            except CONTENT_ERRORS:
                yield f"row {position}", BAD_RECORD
                continue
            for key, sentence in found:
                yield key, Expression(*common, sentence)

    def _vlm_r1(self, piece: Piece, storage: Storage) -> Iterator[tuple[str, Expression | str]]:
        """Reads ``solution``, which is x1, y1, x2, y2 in pixels; the boxes in ``bbox_list`` end one pixel too early."""
        for number, row in enumerate(parse_json(bytes(storage.read(piece.path)).removeprefix(BOM))):
            try:
                size = side(row.get("width")), side(row.get("height"))
                name = posixpath.basename(text_of(row["image"]))
                yield str(number), Expression(name, size, row.get("solution"), "train", row["normal_caption"])
            except CONTENT_ERRORS:
                yield str(number), BAD_RECORD


GLOB_ESCAPES = str.maketrans({"[": "[[]"})


def coco_ids(file_name: str) -> tuple[str, ...]:
    """The COCO id in a file name such as ``COCO_train2014_000000581857.jpg``."""
    match = COCO_NUMBER.search(file_name)
    return (f"coco:{int(match[1])}",) if match else ()


def load_refs(path: str, storage: Storage) -> list[Any]:
    """The references in a ``refs(*.p)``. Raises DataError for a pickle that would run code or has other content."""
    data = storage.read(path)
    refs = load_plain(data)
    if not isinstance(refs, list) or not any(isinstance(ref, dict) and "sentences" in ref for ref in refs):
        raise DataError(f"{path}: not a list of references")
    if sum(len(sentences_of(ref)) for ref in refs) > len(data):  # a pickle can refer to one list many times
        raise DataError(f"{path}: has more expressions than bytes")
    return refs


def sentences_of(ref: Any) -> list[Any]:
    """The expressions of a reference; one that stands for the reference if it has no list of them."""
    found = ref.get("sentences") if isinstance(ref, dict) else None
    return found if isinstance(found, list) else [None]


def expressions(refs: list[Any]) -> list[tuple[str, str | None, str | None, Any, Any]]:
    """Key, image id, annotation id, split and text of every expression, in order. Ids are None in records without them.

    These are plain tuples because the garbage collector does not traverse tuples of plain values; traversing the
    dictionaries that they come from took a third of a build's time.
    """
    return [
        _expression(ref, number, position, sentence)
        for number, ref in enumerate(refs)
        for position, sentence in enumerate(sentences_of(ref))
    ]


def _expression(ref: Any, number: int, position: int, sentence: Any) -> tuple[str, str | None, str | None, Any, Any]:
    if not isinstance(ref, dict) or not isinstance(sentence, dict):
        return f"ref {number}-{position}", None, None, None, None
    key = f"{ref.get('ref_id', f'ref {number}')}-{sentence.get('sent_id', position)}"
    return key, identity(ref.get("image_id")), identity(ref.get("ann_id")), ref.get("split"), sentence.get("sent")


@lru_cache(maxsize=4)
def instances(path: str) -> tuple[dict[str, tuple[str, tuple[int, int]]], dict[str, Any]]:
    """Images (file name; width and height, 0 where they are not told) and the value of ``bbox`` of a COCO file, by id."""
    content = parse_json(bytes(Storage().read(path)).removeprefix(BOM))
    images: dict[str, tuple[str, tuple[int, int]]] = {}
    for record in _with_id(content["images"]):
        name = record.get("file_name")
        if isinstance(name, str):
            images[str(identity(record["id"]))] = name, (side(record.get("width")), side(record.get("height")))
    return images, {
        str(identity(record["id"])): _flat(record.get("bbox")) for record in _with_id(content["annotations"])
    }


def _with_id(records: list[Any]) -> Iterator[Record]:
    return (record for record in records if isinstance(record, dict) and identity(record.get("id")) is not None)


def _flat(bbox: Any) -> Any:
    return tuple(bbox) if isinstance(bbox, list) else bbox


def parquet_rows(path: str, storage: Storage, batch_rows: int = 1_024) -> Iterator[Record]:
    """The rows of a parquet file, with one batch in memory at a time. Raises DataError."""
    with storage.local(path) as local:
        try:
            with pq.ParquetFile(local, memory_map=True) as file:
                for batch in file.iter_batches(batch_rows, use_threads=False):
                    yield from batch.to_pylist()
        except pa.ArrowInvalid as error:
            raise DataError(f"{path}: not a parquet file: {error}") from None
