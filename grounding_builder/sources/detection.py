"""COCO-style detection JSON (COCO, Objects365, LVIS): all boxes of a category are one expression.

An input row is an image with its annotations. The file is read whole and takes about 200 bytes of memory per annotation.
"""

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import Field

from qvl.grounding_builder.drafts.box_reading import (
    NO_BOX,
    Order,
    Reading,
    ReadingTest,
    Scale,
    corners_in_pixels,
    four_numbers,
)
from qvl.grounding_builder.drafts.drafts import Annotations, Draft, Item, Piece, Task, both_ways
from qvl.grounding_builder.drafts.readable import Unusable, text_of
from qvl.grounding_builder.drafts.regions import fit, flags, regions_of
from qvl.grounding_builder.sources.fields import (
    drafts_or_bad,
    identity,
    image_path,
    image_size,
    side,
)
from qvl.grounding_builder.sources.records import Record
from qvl.pipeline.base.errors import DataError, RecipeError
from qvl.pipeline.commit.fingerprint import file_identity
from qvl.pipeline.markup.coordinates import Box
from qvl.pipeline.markup.regions import Region
from qvl.pipeline.markup.turns import detection_turns
from qvl.pipeline.sources.delimited import BOM
from qvl.pipeline.sources.json_tables import parse_json
from qvl.pipeline.storage.reader import Storage

Labels = list[tuple[str, list[Box]]]
COCO_NAME = re.compile(r"(?:COCO_\w+_)?(\d{12})\.\w+")
REMEDY = "set box_order and box_scale as the file has them"


@dataclass(frozen=True, slots=True)
class DetectionFile:
    """A parsed file: images, categories, and the annotations of each image by its id (None for those without one)."""

    images: list[Any]
    categories: list[Any]
    by_image: dict[str | None, list[Any]]


class Detection(Annotations):
    """COCO-style annotations. ``crowd`` annotations (a region full of objects) are dropped.

    ``id_prefix``: the collection that the image ids belong to, such as ``coco``; without it, only file names that are
    COCO's own are looked up on the exclusion list. ``box_order`` and ``box_scale``: what the four numbers of ``bbox`` mean.
    ``max_boxes``: a category with more boxes in an image is dropped, because its answer would be too long. The task ``vqa``
    asks for all objects of the image at once.
    """

    version: ClassVar[int] = 3

    kind: Literal["detection"] = "detection"
    annotations: str
    image_folder: str
    id_prefix: str | None = None
    box_order: Order = "xywh"
    box_scale: Scale = "pixels"
    max_boxes: int = Field(default=20, ge=1)
    tasks: tuple[Task, ...] = ("referring", "vqa")

    def pieces(self, storage: Storage) -> list[Piece]:
        if not storage.exists(self.annotations):
            raise RecipeError(
                f"{self.annotations}: no such file; {self.name}.annotations is relative to the recipe's folder"
            )
        return [Piece(self.annotations, 0, file_identity(storage, self.annotations))]

    def drafts(self, piece: Piece, storage: Storage) -> Iterator[Draft]:
        content = load_detection(piece.path, storage)
        self.check_boxes(self.reading_test(content), piece.path, REMEDY)
        yield from self.rows_of(content, storage)

    def rows_of(self, content: DetectionFile, storage: Storage) -> Iterator[Draft]:
        """The rows of a parsed file: its images, then images that have annotations but are not listed."""
        names = {identity(record.get("id")): record.get("name") for record in _records(content.categories)}
        by_image = dict(content.by_image)
        for image in content.images:
            image_id = identity(image.get("id")) if isinstance(image, dict) else None
            annotations = by_image.pop(image_id, []) if image_id is not None else []
            yield from drafts_or_bad(image_id, len(annotations), self._image, image, annotations, names, storage)
        for key, annotations in by_image.items():
            yield Draft(key or "", regions=len(annotations)).drop("no_image_data")

    def reading_test(self, content: DetectionFile) -> ReadingTest:
        """A test of the declared reading on the boxes of a parsed file, where the file tells the sizes of its images."""
        test = ReadingTest(self._reading)
        for image in _records(content.images):
            size = side(image.get("width")), side(image.get("height"))
            for annotation in _records(content.by_image.get(identity(image.get("id")), [])):
                test.add(annotation.get("bbox"), size)
            if test.full:
                break
        return test

    @property
    def _reading(self) -> Reading:
        return Reading(self.box_order, self.box_scale)

    def _image(
        self, image: Record, annotations: list[Any], names: dict[str | None, Any], storage: Storage
    ) -> list[Draft]:
        url = text_of(image.get("coco_url"))
        name = text_of(image.get("file_name")) or url
        path = image_path(self.image_folder, posixpath.basename(name) if "://" in name else name)
        size = image_size(image.get("width"), image.get("height"), path, storage)
        draft = Draft(identity(image["id"]) or "", None, path, self._ids(image["id"], name), size, url=url)
        draft.regions = len(annotations)
        labels = self._labels(draft, annotations, names, size)
        if not labels:
            return [draft.drop(draft.lost[0] if draft.lost else "no_regions")]
        draft.flags = flags([box for _, boxes in labels for box in boxes], self.boxes)
        language = self.language_of(labels[0][0])
        for label, boxes in labels:
            draft.items += both_ways(label, boxes, language, self.tasks)
        if "vqa" in self.tasks:
            regions: list[Region] = [region for label, boxes in labels for region in regions_of(label, boxes)]
            draft.items.append(Item("vqa", language, detection_turns(labels, language), regions))
        return [draft]

    def _ids(self, image_id: Any, name: str) -> tuple[str, ...]:
        """The ids by which a benchmark may list the image: that of its collection, and COCO's in a name of COCO's form."""
        match = COCO_NAME.fullmatch(posixpath.basename(name))
        own = [f"{self.id_prefix}:{identity(image_id)}"] if self.id_prefix is not None else []
        return tuple(dict.fromkeys((*own, *([f"coco:{int(match[1])}"] if match else []))))

    def _labels(
        self, draft: Draft, annotations: list[Any], names: dict[str | None, Any], size: tuple[int, int]
    ) -> Labels:
        """Category names with their boxes, in order of first appearance. The reasons of dropped boxes go to the draft."""
        labels: dict[str, list[Box]] = {}
        for annotation in annotations:
            try:
                name, box = self._label(annotation, names, size)
                labels.setdefault(name, []).append(box)
            except Unusable as fault:
                draft.lost.append(fault.reason)
        for name in [name for name, boxes in labels.items() if len(boxes) > self.max_boxes]:
            draft.lost += ["too_many_boxes"] * len(labels.pop(name))
        return list(labels.items())

    def _label(self, annotation: Any, names: dict[str | None, Any], size: tuple[int, int]) -> tuple[str, Box]:
        """The category's name and the box of an annotation. Raises Unusable with the reason for its drop."""
        if not isinstance(annotation, dict):
            raise Unusable("box:malformed")
        if annotation.get("iscrowd"):
            raise Unusable("crowd")
        name = self.plain(text_of(names.get(identity(annotation.get("category_id")))).replace("_", " "))
        if not name:
            raise Unusable("markup" if name is None else "no_category")
        box = self._box(annotation, size)
        if isinstance(box, str):
            raise Unusable(box)
        return name, box

    def _box(self, annotation: Record, size: tuple[int, int]) -> Box | str:
        """The box, or that of the polygons if there is none, as fractions; or the reason for its drop."""
        numbers = four_numbers(annotation.get("bbox"))
        if numbers == NO_BOX:
            corners = _around(annotation.get("segmentation"))
            return NO_BOX if corners is None else fit(corners, *size, self.boxes)
        if isinstance(numbers, str):
            return numbers
        return fit(corners_in_pixels(numbers, self._reading, *size), *size, self.boxes)


def _by_image(annotations: list[Any]) -> dict[str | None, list[Any]]:
    by_image: dict[str | None, list[Any]] = {}
    for annotation in annotations:
        image_id = identity(annotation.get("image_id")) if isinstance(annotation, dict) else None
        by_image.setdefault(image_id, []).append(annotation)
    return by_image


def _around(polygons: Any) -> Box | None:
    """The corners of the box around polygons of x, y, x, y, ... in pixels; None if they are not polygons."""
    flat = [number for polygon in polygons for number in polygon] if _are_polygons(polygons) else []
    return (min(flat[::2]), min(flat[1::2]), max(flat[::2]), max(flat[1::2])) if flat else None


def _are_polygons(polygons: Any) -> bool:
    return isinstance(polygons, list) and all(
        isinstance(polygon, list)
        and len(polygon) % 2 == 0
        and all(type(number) is float or (type(number) is int and abs(number) < 1 << 31) for number in polygon)
        for polygon in polygons
    )


def _records(values: list[Any]) -> Iterator[Record]:
    return (value for value in values if isinstance(value, dict))


def load_detection(path: str, storage: Storage) -> DetectionFile:
    """A file with the lists ``images``, ``annotations`` and ``categories``. Raises DataError for any other."""
    try:
        content = parse_json(bytes(storage.read(path)).removeprefix(BOM))
    except ValueError as error:
        raise DataError(f"{path}: not JSON: {error}") from None
    keys = ("images", "annotations", "categories")
    missing = [key for key in keys if not isinstance(content, dict) or not isinstance(content.get(key), list)]
    if missing:
        raise DataError(f"{path}: not a detection file: it has no {', '.join(missing)}")
    return DetectionFile(content["images"], content["categories"], _by_image(content["annotations"]))
