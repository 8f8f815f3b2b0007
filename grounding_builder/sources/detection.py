"""COCO-style detection JSON (COCO, Objects365, LVIS): all boxes of a category are one expression.

An input row is an image with its annotations. The file is read whole and takes about 200 bytes of memory per annotation.
"""

import posixpath
from collections.abc import Iterator
from typing import Any, Literal

import orjson
from pydantic import Field

from qvl.grounding_builder.drafts.drafts import Annotations, Draft, Item, Piece, Task, both_ways
from qvl.grounding_builder.drafts.readable import BAD_RECORD, UNREADABLE
from qvl.grounding_builder.drafts.regions import fit_xywh, flags, regions_of
from qvl.grounding_builder.sources.records import Record
from qvl.grounding_builder.sources.refcoco import coco_ids
from qvl.pipeline.base.errors import DataError, RecipeError
from qvl.pipeline.commit.fingerprint import file_identity
from qvl.pipeline.markup.coordinates import Box
from qvl.pipeline.markup.regions import Region
from qvl.pipeline.markup.turns import detection_turns
from qvl.pipeline.storage.reader import Storage

Labels = list[tuple[str, list[Box]]]


class Detection(Annotations):
    """COCO-style annotations. ``crowd`` annotations (a region full of objects) are dropped.

    ``max_boxes``: a category with more boxes in an image is dropped, because its answer would be too long. The task ``vqa``
    asks for all objects of the image at once.
    """

    kind: Literal["detection"] = "detection"
    annotations: str
    image_folder: str
    id_prefix: str = "coco"
    max_boxes: int = Field(default=20, ge=1)
    tasks: tuple[Task, ...] = ("referring", "vqa")

    def pieces(self, storage: Storage) -> list[Piece]:
        if not storage.exists(self.annotations):
            raise RecipeError(
                f"{self.annotations}: no such file; {self.name}.annotations is relative to the recipe's folder"
            )
        return [Piece(self.annotations, 0, file_identity(storage, self.annotations))]

    def drafts(self, piece: Piece, storage: Storage) -> Iterator[Draft]:
        content = _load(piece.path, storage)
        names = {record["id"]: record["name"] for record in content["categories"]}
        by_image: dict[Any, list[Record]] = {}
        for annotation in content["annotations"]:
            by_image.setdefault(annotation["image_id"], []).append(annotation)
        for image in content["images"]:
            yield self._readable_image(image, by_image.pop(image["id"], []), names)
        for image_id, annotations in by_image.items():
            yield Draft(str(image_id), regions=len(annotations)).drop("no_image_data")

    def _readable_image(self, image: Record, annotations: list[Record], names: dict[Any, str]) -> Draft:
        """The row of an image; one whose record or annotations cannot be read is dropped."""
        try:
            return self._image(image, annotations, names)
        except UNREADABLE:
            return Draft(str(image["id"]), regions=len(annotations)).drop(BAD_RECORD)

    def _image(self, image: Record, annotations: list[Record], names: dict[Any, str]) -> Draft:
        size = (int(image["width"]), int(image["height"]))
        path = posixpath.join(self.image_folder, image["file_name"])
        ids = tuple(dict.fromkeys((f"{self.id_prefix}:{image['id']}", *coco_ids(image["file_name"]))))
        draft = Draft(str(image["id"]), None, path, ids, size, url=image.get("coco_url", ""), regions=len(annotations))
        labels = self._labels(draft, annotations, names, size)
        if not labels:
            return draft.drop(draft.lost[0] if draft.lost else "no_regions")
        draft.flags = flags([box for _, boxes in labels for box in boxes], self.boxes)
        language = self.language_of(labels[0][0])
        for name, boxes in labels:
            draft.items += both_ways(name, boxes, language, self.tasks)
        if "vqa" in self.tasks:
            regions: list[Region] = [region for name, boxes in labels for region in regions_of(name, boxes)]
            draft.items.append(Item("vqa", language, detection_turns(labels, language), regions))
        return draft

    def _labels(self, draft: Draft, annotations: list[Record], names: dict[Any, str], size: tuple[int, int]) -> Labels:
        """Category names with their boxes, in order of first appearance. The reasons of dropped boxes go to the draft."""
        labels: dict[str, list[Box]] = {}
        for annotation in annotations:
            name = self.plain(names.get(annotation["category_id"], "").replace("_", " "))
            box = fit_xywh(annotation["bbox"], *size, self.boxes)
            reason = box if isinstance(box, str) else None
            if annotation.get("iscrowd"):
                reason = "crowd"
            elif not name:
                reason = "markup" if name is None else "no_category"
            if reason is not None or not name or isinstance(box, str):
                draft.lost.append(reason or "no_category")
            else:
                labels.setdefault(name, []).append(box)
        for name in [name for name, boxes in labels.items() if len(boxes) > self.max_boxes]:
            draft.lost += ["too_many_boxes"] * len(labels.pop(name))
        return list(labels.items())


def _load(path: str, storage: Storage) -> Record:
    try:
        content = orjson.loads(storage.read(path))
    except orjson.JSONDecodeError as error:
        raise DataError(f"{path}: not JSON: {error}") from None
    missing = [key for key in ("images", "annotations", "categories") if key not in content]
    if missing:
        raise DataError(f"{path}: not a detection file: it has no {', '.join(missing)}")
    return content
