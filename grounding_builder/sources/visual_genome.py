"""Visual Genome: regions, objects and question-answers, each file an array with one element per image.

Boxes are x, y, width, height in pixels of ``image_data.json``; regions write ``width``/``height``, objects ``w``/``h``, the
top key of regions is ``id`` or ``image_id``. Files of gigabytes are cut into pieces of whole images. An input row is a
region, an object, or a question.
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
from qvl.pipeline.base.errors import DataError, RecipeError
from qvl.pipeline.commit.fingerprint import file_identity
from qvl.pipeline.markup.coordinates import Box, box_iou
from qvl.pipeline.markup.turns import vqa_turns
from qvl.pipeline.storage.reader import Storage

Record = dict[str, Any]
IMAGES_PER_PIECE = 1_000
NOISE = re.compile(r"[^\w\s]|\b(?:a|an|the)\b")
FILES = ("regions", "objects", "questions")


class VisualGenome(Annotations):
    """Files that are left out are not read. ``merge_overlap``: two regions of an image with the same words (articles,
    case and punctuation aside) and at least this intersection over union are one."""

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
            raise RecipeError(f"{self.name}: name at least one of {', '.join(FILES)}")
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
        """All objects of an image that bear one name are one expression with several boxes: the row is the name."""
        named: dict[str, list[Record]] = {}
        for thing in element["objects"]:
            names = thing.get("names") or [thing.get("name", "")]
            named.setdefault(str(names[0]), []).append(thing)
        kept: dict[str, list[Box]] = {}
        for name, things in named.items():
            draft = self._draft(things[0]["object_id"], element["image_id"], images, len(things))
            corners = [
                [t["x"], t["y"], t["w"] if "w" in t else t["width"], t["h"] if "h" in t else t["height"]]
                for t in things
            ]
            self._phrase(draft, name, corners, kept)
            yield draft

    def _phrase(self, draft: Draft, text: str, corners: list[list[float]], kept: dict[str, list[Box]]) -> None:
        """The samples of a phrase with its boxes; what repeats an earlier one of the image is merged into it."""
        phrase = self.plain(text)
        if draft.verdict is None and not phrase:
            draft.drop("markup" if phrase is None else "empty_phrase")
        if draft.verdict is not None or not phrase:
            return
        width, height = draft.size or (0, 0)
        same = kept.setdefault(words_of(phrase), [])
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
        draft.items = both_ways(phrase.rstrip("."), boxes, self.speaks(phrase), self.tasks)

    def _questions(self, element: Record, images: dict[int, Record]) -> Iterator[Draft]:
        for qa in element["qas"]:
            draft = self._draft(qa["qa_id"], qa["image_id"], images, 0)
            if draft.verdict is None:
                vqa(self, draft, qa["question"], qa["answer"])
            yield draft


def vqa(source: Annotations, draft: Draft, question: str, answer: str) -> None:
    """The sample of a question, or the reason why there is none."""
    asked, said = source.plain(question), source.plain(answer)
    if asked is None or said is None:
        draft.drop("markup")
    elif not asked or not said:
        draft.drop("empty_answer" if asked else "empty_question")
    else:
        language = source.speaks(asked)
        draft.items = [Item("vqa", language, vqa_turns(asked, said, language), [])]


def words_of(phrase: str) -> str:
    """What two near-identical phrases share: words in lower case without articles and punctuation."""
    return " ".join(NOISE.sub(" ", phrase.casefold()).split())


def vg_ids(record: Record) -> tuple[str, ...]:
    """All ids that a benchmark may know the image by."""
    ids: tuple[str, ...] = (f"vg:{record['image_id']}",)
    for key, prefix in (("coco_id", "coco"), ("flickr_id", "flickr")):
        if record.get(key) is not None:
            ids += (f"{prefix}:{int(record[key])}",)
    return ids


@lru_cache(maxsize=2)
def image_data(path: str) -> dict[int, Record]:
    """``image_data.json`` by image id."""
    try:
        return {record["image_id"]: record for record in orjson.loads(Storage().read(path))}
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not Visual Genome's image_data.json: {error}") from None


def elements(part: Slice, path: str, storage: Storage) -> Any:
    """The parsed elements of a piece."""
    with storage.mapped(path) as data:
        return part.parse(data)
