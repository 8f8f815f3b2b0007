"""Drafts to samples: leaks, images, sizes; every row and every box that goes has its reason."""

import struct
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import xxhash

from qvl.grounding_builder.build.pictures import disagreement
from qvl.grounding_builder.drafts.drafts import FILES, NOT_TRAIN, Annotations, Draft, Item, Piece
from qvl.pipeline.base.errors import ContractError
from qvl.pipeline.base.verdicts import KEEP
from qvl.pipeline.builders.builder import BuildUnit, BuiltRow
from qvl.pipeline.curate.measuring.columns import sample_id
from qvl.pipeline.exclusion.exclusion import Exclusion, Hit
from qvl.pipeline.images.picture import Picture, picture, read_picture
from qvl.pipeline.shards.writer import Sample
from qvl.pipeline.storage.reader import Storage

GROUNDING_VERSION = 2
KEPT_PICTURES = 8  # consecutive rows share an image
CORNERS = struct.Struct("<4d")
WORD_LIST = pa.list_(pa.string())
COLUMNS: list[tuple[str, pa.DataType]] = [
    ("regions", pa.int32()),  # boxes that came in
    ("lost", WORD_LIST),  # a reason for every box that went
    ("flags", WORD_LIST),  # a word for every oddity of a box that stays
    ("benchmarks", WORD_LIST),  # that hold the row's image
    ("tasks", WORD_LIST),  # of its samples
    ("image", pa.uint64()),  # first half of the image's hash, of kept rows
    ("boxes", pa.list_(pa.uint64())),  # a hash for every different box of a kept row
]


@dataclass
class Grounding:
    """A ``qvl.pipeline.builders.builder.Builder``: annotations of several sources, minus what the exclusion list holds."""

    name: str
    sources: tuple[Annotations, ...]
    exclusion: Exclusion
    columns: list[tuple[str, pa.DataType]] = field(default_factory=lambda: list(COLUMNS))

    def units(self) -> list[BuildUnit]:
        storage, found = Storage(), []
        for source in self.sources:
            for piece in source.pieces(storage):
                name = piece.path.rsplit("/", 1)[-1]
                folder = xxhash.xxh3_64_hexdigest(_tail(piece.path).encode())[:8]
                unit = f"{source.name}-{folder}-{piece.number:06d}"
                found.append(BuildUnit(unit, source.name, f"{name}#{piece.number}", piece))
        if len({unit.id for unit in found}) != len(found):
            raise ContractError("two parts of one source have the same name; give their files two sources")
        return found

    def parts(self, unit: BuildUnit) -> dict[str, Any]:
        piece: Piece = unit.payload
        return {
            "version": GROUNDING_VERSION,
            "source": self._source(unit).model_dump(mode="json", exclude=set(FILES)),
            "input": piece.identity,
            "exclusion": self.exclusion.fingerprint,
        }

    def make(self, unit: BuildUnit) -> Iterator[BuiltRow]:
        storage, pictures = Storage(), Pictures(self.exclusion)
        for row, draft in enumerate(self._source(unit).drafts(unit.payload, storage)):
            yield self._finish(unit, row, draft, pictures)

    def _source(self, unit: BuildUnit) -> Annotations:
        return next(source for source in self.sources if source.name == unit.source)

    def _finish(self, unit: BuildUnit, row: int, draft: Draft, pictures: "Pictures") -> BuiltRow:
        """Ask the exclusion list, look at the image, write the samples."""
        hit, found = None if draft.verdict == NOT_TRAIN else self.exclusion.by_id(draft.ids), None
        if hit is None and draft.verdict is None:
            found, hit = pictures.get(draft)
        if hit is not None:
            draft.drop(hit.verdict)
        elif draft.verdict is None:
            reason = found if isinstance(found, str) or found is None else disagreement(found, draft.size, draft.scaled)
            if reason is not None:
                draft.drop(reason)
            elif not draft.items:
                draft.drop("no_regions")
        if draft.verdict is not None and len(draft.lost) != draft.regions:
            raise ContractError(f"{unit.name} row {row}: {draft.regions} boxes, {len(draft.lost)} reasons")
        samples: list[Sample] = []
        columns: dict[str, Any] = {
            "regions": draft.regions,
            "lost": draft.lost,
            "flags": draft.flags if draft.verdict is None else [],
            "benchmarks": list(hit.benchmarks) if hit is not None else [],
            "tasks": [item.task for item in draft.items],
            "image": None,
            "boxes": [],
        }
        if draft.verdict is None and isinstance(found, Picture):
            columns |= {"image": int(found.sha[:16], 16), "boxes": _boxes(draft.items)}
            samples = [_sample(unit, row, n, draft, item, found) for n, item in enumerate(draft.items)]
        return BuiltRow(draft.verdict or KEEP, draft.key, samples, columns)


class Pictures:
    """The last few images of a part, each read, hashed and compared with the exclusion list once."""

    def __init__(self, exclusion: Exclusion) -> None:
        self._exclusion = exclusion
        self._storage = Storage()
        self._recent: OrderedDict[str, tuple[Picture | str, Hit | None]] = OrderedDict()

    def get(self, draft: Draft) -> tuple[Picture | str, Hit | None]:
        """The image, or why there is none; and whether it belongs to a benchmark."""
        if not isinstance(draft.image, str):
            return self._judge(picture(draft.image))
        if draft.image not in self._recent:
            self._recent[draft.image] = self._judge(read_picture(draft.image, self._storage))
            if len(self._recent) > KEPT_PICTURES:
                self._recent.popitem(last=False)
        return self._recent[draft.image]

    def _judge(self, found: Picture | str) -> tuple[Picture | str, Hit | None]:
        hit = self._exclusion.by_image(found.data, found.sha) if isinstance(found, Picture) else None
        return found, hit


def _sample(unit: BuildUnit, row: int, number: int, draft: Draft, item: Item, found: Picture) -> Sample:
    content = {
        "id": f"{sample_id(unit.id, row)}-{number}",
        "source": unit.source,
        "task": item.task,
        "language": item.language,
        "turns": item.turns,
        "regions": item.regions,
        "origin": {"file": unit.name, "row": row, "key": draft.key, "url": draft.url, "sha": found.sha},
    }
    return Sample(content, [(found.extension, found.data, found.width, found.height)])


def _boxes(items: list[Item]) -> list[int]:
    """Each different box of a row, in order: the same number wherever the same box of an image comes again."""
    boxes = dict.fromkeys(tuple(region["box"]) for item in items for region in item.regions)
    return [xxhash.xxh3_64_intdigest(CORNERS.pack(*box)) for box in boxes]


def _tail(path: str) -> str:
    """The last two parts of a path: the same wherever the data lies."""
    return "/".join(path.split("/")[-2:])
