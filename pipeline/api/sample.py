"""Samples of a finished output as Python objects, read by position from the shards."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image

from qvl.pipeline.api.tables import rows_of_shard
from qvl.pipeline.html.elements import Html, tag, untrusted
from qvl.pipeline.html.pictures import framed
from qvl.pipeline.shards.reader import Dataset
from qvl.pipeline.shards.sample import SampleRecord
from qvl.pipeline.shards.sample_bytes import ShardBytes
from qvl.pipeline.shards.scan import ScannedSample

if TYPE_CHECKING:
    import duckdb

PREVIEW_SIDE = 256  # pixels


@dataclass(frozen=True, slots=True)
class ReadSample:
    """A sample of a shard: its ``record`` (id, source, task, language, turns, regions, origin) and its images."""

    record: SampleRecord
    stored: ScannedSample

    @property
    def key(self) -> str:
        """The name of its files in the shard, without their extensions."""
        return self.stored.key

    @property
    def shard(self) -> str:
        """The name of its shard, without an extension."""
        return self.stored.shard.name

    @property
    def images(self) -> int:
        """The number of its images."""
        return len(self.stored.images)

    @property
    def answer(self) -> str:
        """The text that a model learns to write: the assistant's turns, or running text."""
        return "\n".join(turn.text.strip() for turn in self.record.turns if turn.role in ("assistant", "text"))

    def image_bytes(self, number: int = 0) -> bytes:
        """The file of an image, as it was packed. Raises IndexError if the sample has no such image."""
        return self.stored.image(number)

    def image(self, number: int = 0) -> Image.Image:
        """An image, opened by Pillow, which decodes it when its pixels are used."""
        return Image.open(io.BytesIO(self.image_bytes(number)))

    def preview(self) -> Html:
        """A small picture with the text below it."""
        text = untrusted(self.answer)
        if not self.images:
            return tag("figure", tag("figcaption", text))
        picture = self.image()
        picture.draft("RGB", (PREVIEW_SIDE, PREVIEW_SIDE))
        picture = picture.convert("RGB")
        picture.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
        return tag("figure", framed(picture, "JPEG", 80), tag("figcaption", text))

    def _repr_html_(self) -> str:
        return self.preview()


def read_samples(dataset: Dataset, tables: "duckdb.DuckDBPyConnection", where: str) -> Iterator[ReadSample]:
    """The samples for which ``where`` holds, shard by shard. Raises DataError for a truncated shard."""
    reader = ShardBytes()
    try:
        for shard in dataset.shards:
            for row, key, offset, size, starts, sizes in rows_of_shard(tables, shard.index, where):
                data = reader.read(shard.tar, offset, size)
                spans = tuple(zip(starts, sizes, strict=True))
                stored = ScannedSample(shard, row, key, data, spans, reader)
                yield ReadSample(stored.record(), stored)
    finally:
        reader.close()
