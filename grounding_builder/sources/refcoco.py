"""RefCOCO, RefCOCO+, RefCOCOg: ``refs(*.p)`` with ``instances.json``, and two common re-packagings.

An input row is an expression. The box comes from the annotation and the file name from the image record, because the
``file_name`` of a reference has an additional suffix.
"""

import posixpath
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Literal

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import JsonValue

from qvl.grounding_builder.drafts.drafts import NOT_TRAIN, Annotations, Draft, Piece, Task, both_ways
from qvl.grounding_builder.drafts.regions import fit, flags
from qvl.grounding_builder.sources.records import Record
from qvl.grounding_builder.sources.unpickler import load_plain
from qvl.pipeline.base.errors import DataError, RecipeError
from qvl.pipeline.commit.fingerprint import file_identity
from qvl.pipeline.markup.coordinates import Box
from qvl.pipeline.sources.paths import find_units
from qvl.pipeline.storage.reader import Storage

SPLIT_BY = re.compile(r"refs\((\w+)\)")
COCO_NUMBER = re.compile(r"(\d{12})")
GOOGLE = (
    "{}: the google split divides objects, not images, so its train part contains validation images; use refs(unc).p "
    "(RefCOCO, RefCOCO+) or refs(umd).p (RefCOCOg), or set allow_google: true"
)


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
        seen: set[tuple[str, str, tuple[float, ...]]] = set()
        for draft, sentence, corners in readers[self.format](piece, storage):
            if draft.verdict is None:
                same = (str(draft.image), sentence, corners)
                self._fill(draft, sentence, corners)
                if draft.verdict is None and same in seen:
                    draft.drop("duplicate")
                seen.add(same)
            yield draft

    def _fill(self, draft: Draft, sentence: str, corners: Box) -> None:
        """Fill in the samples of an expression, or drop the row."""
        phrase = self.plain(sentence)
        if not phrase:
            draft.drop("markup" if phrase is None else "empty_phrase")
            return
        width, height = draft.size or (1, 1)
        box = fit(corners, width, height, self.boxes)
        if isinstance(box, str):
            draft.drop(box)
            return
        draft.flags = flags([box], self.boxes)
        draft.items = both_ways(phrase, [box], self.language_of(phrase), self.tasks)

    def _draft(self, key: str, split: str, file_name: str, size: tuple[int, int]) -> Draft:
        draft = Draft(key, None, posixpath.join(self.image_folder, file_name), coco_ids(file_name), size, regions=1)
        return draft if split == self.split else draft.drop(NOT_TRAIN)

    def _refer(self, piece: Piece, storage: Storage) -> Iterator[tuple[Draft, str, Box]]:
        images, boxes = instances(str(self.instances))
        for key, image_id, ann_id, split, sentence in expressions(load_refs(piece.path, storage)):
            f"{key} {sentence}".encode()  # raises ValueError: a pickle can hold text that is not Unicode
            file_name, width, height = images.get(image_id, ("", 0, 0))
            bbox = boxes.get(ann_id)
            draft = self._draft(key, split, file_name, (width, height))
            draft.ids += (f"coco:{image_id}",) if not draft.ids else ()
            if not file_name or bbox is None:
                draft.drop("no_annotation")
            yield draft, sentence, corners_of(bbox)

    def _jxu124(self, piece: Piece, storage: Storage) -> Iterator[tuple[Draft, str, Box]]:
        """Reads the box in ``raw_anns`` (x, y, width, height), because the column ``bbox`` is xyxy in some versions."""
        for row in parquet_rows(piece.path, storage):
            image, annotation = orjson.loads(row["raw_image_info"]), orjson.loads(row["raw_anns"])
            for number, sentence in enumerate(row["sentences"]):
                size = (int(image["width"]), int(image["height"]))
                key = f"{row['ref_id']}-{sentence.get('sent_id', number)}"
                draft = self._draft(key, row.get("split", "train"), image["file_name"], size)
                yield draft, sentence["sent"], corners_of(annotation["bbox"])

    def _vlm_r1(self, piece: Piece, storage: Storage) -> Iterator[tuple[Draft, str, Box]]:
        """Reads ``solution``, which is x1, y1, x2, y2 in pixels; the boxes in ``bbox_list`` end one pixel too early."""
        for number, row in enumerate(orjson.loads(storage.read(piece.path))):
            size = (int(row["width"]), int(row["height"]))
            draft = self._draft(str(number), "train", posixpath.basename(row["image"]), size)
            x1, y1, x2, y2 = row["solution"]
            yield draft, row["normal_caption"], (x1, y1, x2, y2)


GLOB_ESCAPES = str.maketrans({"[": "[[]"})


def corners_of(bbox: Sequence[float] | None) -> Box:
    """x, y, width, height to corners; the far corner is x + w. Anything that is not a box becomes a box of NaN."""
    if bbox is None or len(bbox) != 4:
        return (float("nan"),) * 4
    x, y, w, h = bbox
    return x, y, x + w, y + h


def coco_ids(file_name: str) -> tuple[str, ...]:
    """The COCO id in a file name such as ``COCO_train2014_000000581857.jpg``."""
    match = COCO_NUMBER.search(file_name)
    return (f"coco:{int(match[1])}",) if match else ()


def load_refs(path: str, storage: Storage) -> list[Record]:
    """The references in a ``refs(*.p)``. Raises DataError for a pickle that would run code or has other content."""
    data = storage.read(path)
    refs = load_plain(data)
    if not isinstance(refs, list) or not all(isinstance(ref, dict) and "sentences" in ref for ref in refs):
        raise DataError(f"{path}: not a list of references")
    if sum(len(ref["sentences"]) for ref in refs) > len(data):  # a pickle can refer to one list many times
        raise DataError(f"{path}: has more expressions than bytes")
    return refs


def expressions(refs: list[Record]) -> list[tuple[str, int, int, str, str]]:
    """Key, image id, annotation id, split and text of every expression, in order.

    These are plain tuples because the garbage collector does not traverse tuples of plain values; traversing the
    dictionaries that they come from took a third of a build's time.
    """
    return [
        (f"{ref['ref_id']}-{sentence['sent_id']}", ref["image_id"], ref["ann_id"], ref["split"], sentence["sent"])
        for ref in refs
        for sentence in ref["sentences"]
    ]


@lru_cache(maxsize=4)
def instances(path: str) -> tuple[dict[int, tuple[str, int, int]], dict[int, tuple[float, ...]]]:
    """Images (file name, width, height) and boxes (x, y, width, height in pixels) of a COCO file, both by id."""
    content = orjson.loads(Storage().read(path))
    images = {record["id"]: (record["file_name"], record["width"], record["height"]) for record in content["images"]}
    return images, {record["id"]: tuple(record["bbox"]) for record in content["annotations"]}


def parquet_rows(path: str, storage: Storage, batch_rows: int = 1_024) -> Iterator[Record]:
    """The rows of a parquet file, with one batch in memory at a time. Raises DataError."""
    with storage.local(path) as local:
        try:
            with pq.ParquetFile(local, memory_map=True) as file:
                for batch in file.iter_batches(batch_rows, use_threads=False):
                    yield from batch.to_pylist()
        except pa.ArrowInvalid as error:
            raise DataError(f"{path}: not a parquet file: {error}") from None
