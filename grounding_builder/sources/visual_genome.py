"""Visual Genome: regions, objects and question-answers, each file an array with one element per image.

Boxes are x, y, width, height in pixels of ``image_data.json``. Regions have the keys ``width`` and ``height``, objects have
``w`` and ``h``; the image id of regions is ``id`` or ``image_id``. Files of several gigabytes are cut into pieces of whole
images. An input row is a region, the objects with one name in an image, or a question.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

from pydantic import Field

from qvl.grounding_builder.drafts.box_reading import Reading, ReadingTest, four_numbers
from qvl.grounding_builder.drafts.drafts import Annotations, Draft, Item, Piece, Task, both_ways
from qvl.grounding_builder.drafts.readable import BAD_RECORD, text_of
from qvl.grounding_builder.drafts.regions import fit, flags
from qvl.grounding_builder.sources.fields import (
    drafts_or_bad,
    far_corner,
    identity,
    image_path,
    printable,
    side,
)
from qvl.grounding_builder.sources.json_slices import Slice, slices
from qvl.grounding_builder.sources.records import Record
from qvl.pipeline.base.errors import DataError, RecipeError
from qvl.pipeline.commit.fingerprint import file_identity
from qvl.pipeline.markup.coordinates import Box, box_iou
from qvl.pipeline.markup.turns import vqa_turns
from qvl.pipeline.sources.delimited import BOM
from qvl.pipeline.sources.json_tables import parse_json
from qvl.pipeline.storage.reader import Storage

IMAGES_PER_PIECE = 1_000
NOISE = re.compile(r"[^\w\s]|\b(?:a|an|the)\b")
FILES = ("regions", "objects", "questions")
KEYS = {"regions": "regions", "objects": "objects", "questions": "qas"}
READING = Reading("xywh", "pixels")


@dataclass(frozen=True, slots=True)
class Known:
    """What the rows of one image share: the records of all images, the test of the boxes, the boxes kept for each phrase."""

    images: dict[str, Record]
    test: ReadingTest
    kept: dict[str, list[Box]] = field(default_factory=dict)


class VisualGenome(Annotations):
    """Any of the three annotation files may be omitted.

    ``merge_overlap``: two regions of an image whose phrases are equal (ignoring articles, case and punctuation) and whose
    intersection over union is at least this are merged.
    """

    kind: Literal["visual_genome"] = "visual_genome"
    image_data: str
    image_folder: str
    regions: str | None = None
    objects: str | None = None
    questions: str | None = None
    merge_overlap: float = Field(default=0.7, gt=0, le=1)
    tasks: tuple[Task, ...] = ("referring", "region_caption")

    def pieces(self, storage: Storage) -> list[Piece]:
        images = file_identity(storage, self.image_data)
        found = []
        for name in FILES:
            path = getattr(self, name)
            if path is None:
                continue
            if not storage.exists(path):
                raise RecipeError(f"{path}: no such file; {self.name}.{name} is relative to the recipe's folder")
            with storage.mapped(path) as data:
                for number, part in enumerate(slices(data, IMAGES_PER_PIECE)):
                    found.append(Piece(path, number, {"digest": part.digest, "images": images}, (name, part)))
        if not found:
            raise RecipeError(f"{self.name}: set at least one of {', '.join(FILES)}")
        return found

    def drafts(self, piece: Piece, storage: Storage) -> Iterator[Draft]:
        images, test = image_data(self.image_data), ReadingTest(READING)
        name, part = piece.payload
        readers = {"regions": self._regions, "objects": self._objects, "questions": self._questions}
        for element in elements(part, piece.path, storage):
            if not isinstance(element, dict) or not isinstance(element.get(KEYS[name]), list):
                yield Draft(printable(_image_id(element))).drop(BAD_RECORD)
                continue
            yield from readers[name](element, Known(images, test))
        self.check_boxes(test, piece.path)

    def _draft(self, key: Any, image_id: str | None, known: Known, boxes: int) -> Draft:
        record = known.images.get(image_id or "")
        if record is None or not record.get("url"):
            return Draft(printable(key), regions=boxes).drop("no_image_data")
        url = text_of(record["url"])
        path = image_path(self.image_folder, "/".join(url.split("/")[-2:]))
        size = side(record.get("width")), side(record.get("height"))
        return Draft(printable(key), None, path, vg_ids(record), size, url=url, regions=boxes)

    def _regions(self, element: Record, known: Known) -> Iterator[Draft]:
        image_id = _image_id(element)
        for region in element["regions"]:
            key = region.get("region_id") if isinstance(region, dict) else ""
            yield from drafts_or_bad(key, 1, self._region, region, image_id, known)

    def _region(self, region: Record, image_id: str | None, known: Known) -> list[Draft]:
        draft = self._draft(region.get("region_id"), image_id, known, 1)
        self._phrase(draft, text_of(region.get("phrase")), [_numbers(region, "width", "height")], known)
        return [draft]

    def _objects(self, element: Record, known: Known) -> Iterator[Draft]:
        """All objects of an image with the same name are one row: an expression with several boxes."""
        named: dict[str, list[Record]] = {}
        for item in element["objects"]:
            if not isinstance(item, dict):
                yield Draft("", regions=1).drop(BAD_RECORD)
                continue
            named.setdefault(_name(item), []).append(item)
        for name, objects in named.items():
            key = objects[0].get("object_id")
            yield from drafts_or_bad(key, len(objects), self._object, name, objects, _image_id(element), known)

    def _object(self, name: str, objects: list[Record], image_id: str | None, known: Known) -> list[Draft]:
        draft = self._draft(objects[0].get("object_id"), image_id, known, len(objects))
        self._phrase(draft, name, [_numbers(item, "w", "h") for item in objects], known)
        return [draft]

    def _phrase(self, draft: Draft, text: str, found: list[list[Any] | None], known: Known) -> None:
        """Fill in the samples of a phrase. Boxes that repeat an earlier one of the same phrase in the image are merged."""
        phrase = self.plain(text)
        if draft.verdict is None and not phrase:
            draft.drop("markup" if phrase is None else "empty_phrase")
        if draft.verdict is not None or not phrase:
            return
        width, height = draft.size or (0, 0)
        same = known.kept.setdefault(normalised(phrase), [])
        boxes: list[Box] = []
        for values in found:
            known.test.add(values, (width, height))
            box = self._box(values, width, height)
            if isinstance(box, str):
                draft.lost.append(box)
            elif any(box_iou(box, other) >= self.merge_overlap for other in same):
                draft.lost.append("merged")
            else:
                boxes.append(box)
                same.append(box)
        if not boxes:
            draft.drop(draft.lost[0])
            return
        if self.per_image is not None and sum(map(bool, known.kept.values())) > self.per_image:
            draft.drop("per_image")
            return
        draft.flags = flags(boxes, self.boxes)
        draft.items = both_ways(phrase.rstrip("."), boxes, self.language_of(phrase), self.tasks)

    def _box(self, values: list[Any] | None, width: int, height: int) -> Box | str:
        if width <= 0 or height <= 0:
            return "size_mismatch"
        numbers = four_numbers(values)
        return numbers if isinstance(numbers, str) else fit(far_corner(numbers), width, height, self.boxes)

    def _questions(self, element: Record, known: Known) -> Iterator[Draft]:
        for qa in element["qas"]:
            key = qa.get("qa_id") if isinstance(qa, dict) else ""
            yield from drafts_or_bad(key, 0, self._question, qa, known)

    def _question(self, qa: Record, known: Known) -> list[Draft]:
        draft = self._draft(qa.get("qa_id"), identity(qa.get("image_id")), known, 0)
        if draft.verdict is None:
            fill_vqa(self, draft, text_of(qa.get("question")), text_of(qa.get("answer")))
        return [draft]


def _image_id(element: Any) -> str | None:
    if not isinstance(element, dict):
        return None
    return identity(element["image_id"] if "image_id" in element else element.get("id"))


def _numbers(record: Record, width: str, height: str) -> list[Any] | None:
    """x, y, width, height as they are in a record; None if one of them is absent."""
    found = [record.get("x"), record.get("y"), record.get(width, record.get("width")),
             record.get(height, record.get("height"))]  # fmt: skip
    return None if None in found else found


def _name(item: Record) -> str:
    """The first name of an object; empty if it has none."""
    names = item.get("names") or [item.get("name")]
    name = names[0] if isinstance(names, list) else None
    return name if isinstance(name, str) else ""


def fill_vqa(source: Annotations, draft: Draft, question: str, answer: str) -> None:
    """Fill in the sample of a question, or drop the row."""
    safe_question, safe_answer = source.plain(question), source.plain(answer)
    if safe_question is None or safe_answer is None:
        draft.drop("markup")
    elif not safe_question or not safe_answer:
        draft.drop("empty_answer" if safe_question else "empty_question")
    else:
        language = source.language_of(safe_question)
        draft.items = [Item("vqa", language, vqa_turns(safe_question, safe_answer, language), [])]


def normalised(phrase: str) -> str:
    """The phrase in lower case without articles and punctuation: equal for phrases that say the same."""
    return " ".join(NOISE.sub(" ", phrase.casefold()).split())


def vg_ids(record: Record) -> tuple[str, ...]:
    """All ids by which a benchmark may refer to the image."""
    ids: tuple[str, ...] = (f"vg:{identity(record['image_id'])}",)
    for key, prefix in (("coco_id", "coco"), ("flickr_id", "flickr")):
        if identity(record.get(key)) is not None:
            ids += (f"{prefix}:{int(record[key])}",)
    return ids


@lru_cache(maxsize=2)
def image_data(path: str) -> dict[str, Record]:
    """The records of ``image_data.json`` by image id. Raises DataError."""
    try:
        content = parse_json(bytes(Storage().read(path)).removeprefix(BOM))
    except ValueError as error:
        raise DataError(f"{path}: not Visual Genome's image_data.json: {error}") from None
    if not isinstance(content, list):
        raise DataError(f"{path}: not Visual Genome's image_data.json: it is not a list of images")
    records = (record for record in content if isinstance(record, dict))
    return {found: record for record in records if (found := identity(record.get("image_id"))) is not None}


def elements(part: Slice, path: str, storage: Storage) -> Any:
    """The parsed elements of a slice."""
    with storage.mapped(path) as data:
        return part.parse(data)
