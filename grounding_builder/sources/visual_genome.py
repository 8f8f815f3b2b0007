"""Visual Genome: regions, objects and question-answers, each file an array with one element per image.

Boxes are x, y, width, height in pixels of ``image_data.json``. Regions have the keys ``width`` and ``height``, objects have
``w`` and ``h``; the image id of regions is ``id`` or ``image_id``. Files of several gigabytes are cut into pieces of whole
images. An input row is a region, the objects with one name in an image, or a question.
"""

import posixpath
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Literal

import orjson
from pydantic import Field

from qvl.grounding_builder.drafts.drafts import Annotations, Draft, Item, Piece, Task, both_ways
from qvl.grounding_builder.drafts.regions import fit_xywh, flags
from qvl.grounding_builder.sources.json_slices import Slice, slices
from qvl.grounding_builder.sources.records import Record
from qvl.pipeline.base.errors import DataError, RecipeError
from qvl.pipeline.commit.fingerprint import file_identity
from qvl.pipeline.markup.coordinates import Box, box_iou
from qvl.pipeline.markup.turns import vqa_turns
from qvl.pipeline.storage.reader import Storage

IMAGES_PER_PIECE = 1_000
NOISE = re.compile(r"[^\w\s]|\b(?:a|an|the)\b")
FILES = ("regions", "objects", "questions")


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
        images = image_data(self.image_data)
        name, part = piece.payload
        readers = {"regions": self._regions, "objects": self._objects, "questions": self._questions}
        for element in elements(part, piece.path, storage):
            yield from readers[name](element, images)

    def _draft(self, key: Any, image_id: int, images: dict[int, Record], boxes: int) -> Draft:
        record = images.get(image_id)
        if record is None:
            return Draft(str(key), regions=boxes).drop("no_image_data")
        path = posixpath.join(self.image_folder, *record["url"].split("/")[-2:])
        size = (int(record["width"]), int(record["height"]))
        return Draft(str(key), None, path, vg_ids(record), size, url=record["url"], regions=boxes)

    def _regions(self, element: Record, images: dict[int, Record]) -> Iterator[Draft]:
        image_id = element["image_id"] if "image_id" in element else element["id"]
        kept: dict[str, list[Box]] = {}
        for region in element["regions"]:
            draft = self._draft(region["region_id"], image_id, images, 1)
            corners = [region["x"], region["y"], region["width"], region["height"]]
            self._phrase(draft, region["phrase"], [corners], kept)
            yield draft

    def _objects(self, element: Record, images: dict[int, Record]) -> Iterator[Draft]:
        """All objects of an image with the same name are one row: an expression with several boxes."""
        named: dict[str, list[Record]] = {}
        for item in element["objects"]:
            names = item.get("names") or [item.get("name", "")]
            named.setdefault(str(names[0]), []).append(item)
        kept: dict[str, list[Box]] = {}
        for name, objects in named.items():
            draft = self._draft(objects[0]["object_id"], element["image_id"], images, len(objects))
            corners = [
                [o["x"], o["y"], o["w"] if "w" in o else o["width"], o["h"] if "h" in o else o["height"]]
                for o in objects
            ]
            self._phrase(draft, name, corners, kept)
            yield draft

    def _phrase(self, draft: Draft, text: str, corners: list[list[float]], kept: dict[str, list[Box]]) -> None:
        """Fill in the samples of a phrase. Boxes that repeat an earlier one of the same phrase in the image are merged."""
        phrase = self.plain(text)
        if draft.verdict is None and not phrase:
            draft.drop("markup" if phrase is None else "empty_phrase")
        if draft.verdict is not None or not phrase:
            return
        width, height = draft.size or (0, 0)
        same = kept.setdefault(normalised(phrase), [])
        boxes: list[Box] = []
        for corner in corners:
            box = fit_xywh(corner, width, height, self.boxes) if width > 0 and height > 0 else "size_mismatch"
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
        if self.per_image is not None and sum(map(bool, kept.values())) > self.per_image:
            draft.drop("per_image")
            return
        draft.flags = flags(boxes, self.boxes)
        draft.items = both_ways(phrase.rstrip("."), boxes, self.language_of(phrase), self.tasks)

    def _questions(self, element: Record, images: dict[int, Record]) -> Iterator[Draft]:
        for qa in element["qas"]:
            draft = self._draft(qa["qa_id"], qa["image_id"], images, 0)
            if draft.verdict is None:
                fill_vqa(self, draft, qa["question"], qa["answer"])
            yield draft


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
    ids: tuple[str, ...] = (f"vg:{record['image_id']}",)
    for key, prefix in (("coco_id", "coco"), ("flickr_id", "flickr")):
        if record.get(key) is not None:
            ids += (f"{prefix}:{int(record[key])}",)
    return ids


@lru_cache(maxsize=2)
def image_data(path: str) -> dict[int, Record]:
    """The records of ``image_data.json`` by image id. Raises DataError."""
    try:
        return {record["image_id"]: record for record in orjson.loads(Storage().read(path))}
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not Visual Genome's image_data.json: {error}") from None


def elements(part: Slice, path: str, storage: Storage) -> Any:
    """The parsed elements of a slice."""
    with storage.mapped(path) as data:
        return part.parse(data)
