"""Drafts to samples: checks for leaks, images and sizes. Every dropped row and every dropped box has a reason."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa
import xxhash
from cachetools import LRUCache
from pydantic import JsonValue

from qvl.grounding_builder.build.image_size import disagreement
from qvl.grounding_builder.drafts.drafts import FILES, NOT_TRAIN, Annotations, Draft, Item, Piece
from qvl.pipeline.base.addresses import public_address
from qvl.pipeline.base.errors import ContractError
from qvl.pipeline.base.verdicts import KEEP
from qvl.pipeline.builders.builder import BuildUnit, BuiltRow
from qvl.pipeline.curate.measuring.columns import sample_id
from qvl.pipeline.exclusion.exclusion import Exclusion, ExclusionMatch
from qvl.pipeline.images.picture import Picture, picture, read_picture
from qvl.pipeline.shards.sample import Origin, Sample, SampleImage, SampleRecord
from qvl.pipeline.storage.reader import Storage

RECENT_IMAGES = 8  # consecutive rows often share an image
CORNERS = struct.Struct("<4d")
WORD_LIST = pa.list_(pa.string())
COLUMNS: list[tuple[str, pa.DataType]] = [
    ("regions", pa.int32()),  # number of boxes in the row
    ("lost", WORD_LIST),  # a reason for every dropped box
    ("flags", WORD_LIST),  # a name for every oddity of a kept box
    ("benchmarks", WORD_LIST),  # that contain the row's image
    ("tasks", WORD_LIST),  # of the row's samples
    ("image", pa.uint64()),  # first half of the image's hash; kept rows only
    ("boxes", pa.list_(pa.uint64())),  # a hash of every distinct box; kept rows only
]


@dataclass
class Grounding:
    """A ``qvl.pipeline.builders.builder.Builder``: annotations of several sources, without images on the exclusion list."""

    name: str
    sources: tuple[Annotations, ...]
    exclusion: Exclusion
    columns: list[tuple[str, pa.DataType]] = field(default_factory=lambda: list(COLUMNS))

    def units(self) -> list[BuildUnit]:
        storage, units = Storage(), []
        for source in self.sources:
            for piece in source.pieces(storage):
                public = public_address(piece.path)
                name = public.rsplit("/", 1)[-1]
                folder = xxhash.xxh3_64_hexdigest(_tail(public).encode())[:8]
                unit = f"{source.name}-{folder}-{piece.number:06d}"
                units.append(BuildUnit(unit, source.name, f"{name}#{piece.number}", piece))
        if len({unit.id for unit in units}) != len(units):
            raise ContractError("two parts of one source have the same name; put their files into separate sources")
        return units

    def parts(self, unit: BuildUnit) -> dict[str, JsonValue]:
        piece: Piece = unit.payload
        source = self._source(unit)
        return {
            "version": source.version,
            "source": source.model_dump(mode="json", exclude={*FILES, "box_test"}),
            "input": piece.identity,
            "exclusion": self.exclusion.fingerprint,
        }

    def make(self, unit: BuildUnit) -> Iterator[BuiltRow]:
        storage, images = Storage(), Images(self.exclusion)
        for row, draft in enumerate(self._source(unit).rows(unit.payload, storage)):
            yield self._built_row(unit, row, draft, images)

    def _source(self, unit: BuildUnit) -> Annotations:
        return next(source for source in self.sources if source.name == unit.source)

    def _built_row(self, unit: BuildUnit, row: int, draft: Draft, images: "Images") -> BuiltRow:
        """Check the draft against the exclusion list and its image, and write its samples."""
        image, hit = self._look_up(draft, images)
        if hit is not None:
            draft.drop(hit.verdict)
        elif draft.verdict is None:
            _check_image(draft, image)
        if draft.verdict is not None and len(draft.lost) != draft.regions:
            raise ContractError(f"{unit.name} row {row}: {draft.regions} boxes, but {len(draft.lost)} reasons")
        columns: dict[str, object] = {
            "regions": draft.regions,
            "lost": draft.lost,
            "flags": draft.flags if draft.verdict is None else [],
            "benchmarks": list(hit.benchmarks) if hit is not None else [],
            "tasks": [item.task for item in draft.items],
            "image": None,
            "boxes": [],
        }
        if draft.verdict is not None or not isinstance(image, Picture):
            return BuiltRow(draft.verdict or KEEP, draft.key, [], columns)
        columns |= {"image": int(image.sha[:16], 16), "boxes": _boxes(draft.items)}
        samples = [_sample(unit, row, number, draft, image) for number in range(len(draft.items))]
        return BuiltRow(KEEP, draft.key, samples, columns)

    def _look_up(self, draft: Draft, images: "Images") -> tuple[Picture | str | None, ExclusionMatch | None]:
        """The draft's image, or why it cannot be read, and its entry on the exclusion list.

        The list is searched by id first; the image is read only if it is still needed.
        """
        hit = None if draft.verdict == NOT_TRAIN else self.exclusion.by_id(draft.ids)
        return images.get(draft) if hit is None and draft.verdict is None else (None, hit)


def _check_image(draft: Draft, image: Picture | str | None) -> None:
    """Drop the row if its image cannot be used or if it has no samples."""
    reason = disagreement(image, draft.size, draft.scaled) if isinstance(image, Picture) else image
    if reason is not None:
        draft.drop(reason)
    elif not draft.items:
        draft.drop("no_regions")


class Images:
    """The last few images of a unit, each read, hashed and looked up in the exclusion list only once."""

    def __init__(self, exclusion: Exclusion) -> None:
        self._exclusion = exclusion
        self._storage = Storage()
        self._recent: LRUCache[str, tuple[Picture | str, ExclusionMatch | None]] = LRUCache(RECENT_IMAGES)

    def get(self, draft: Draft) -> tuple[Picture | str, ExclusionMatch | None]:
        """The image, or why it cannot be read; and its entry on the exclusion list."""
        if not isinstance(draft.image, str):
            return self._look_up(picture(draft.image))
        if draft.image not in self._recent:
            self._recent[draft.image] = self._look_up(read_picture(draft.image, self._storage))
        return self._recent[draft.image]

    def _look_up(self, image: Picture | str) -> tuple[Picture | str, ExclusionMatch | None]:
        return image, self._exclusion.by_image(image.data, image.sha) if isinstance(image, Picture) else None


def _sample(unit: BuildUnit, row: int, number: int, draft: Draft, image: Picture) -> Sample:
    item = draft.items[number]
    record = SampleRecord(
        id=f"{sample_id(unit.id, row)}-{number}",
        source=unit.source,
        task=item.task,
        language=item.language,
        turns=item.turns,
        origin=Origin(unit.name, row, draft.key, draft.url, image.sha),
        regions=tuple(item.regions),
    )
    return Sample(record, (SampleImage(image.extension, image.data, image.width, image.height),))


def _boxes(items: list[Item]) -> list[int]:
    """The hashes of a row's distinct boxes, in order; equal boxes have equal hashes in every row."""
    boxes = dict.fromkeys(region.box for item in items for region in item.regions if region.box is not None)
    return [xxhash.xxh3_64_intdigest(CORNERS.pack(*box)) for box in boxes]


def _tail(path: str) -> str:
    """The last two components of a path, which are the same wherever the data is stored."""
    return "/".join(path.split("/")[-2:])
