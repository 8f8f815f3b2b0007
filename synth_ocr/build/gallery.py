"""Pages read back from finished shards, and their quads drawn over them."""

import io
from dataclasses import dataclass

import xxhash
from PIL import Image, ImageDraw

from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.markup.regions import Region
from qvl.pipeline.shards.manifests import DatasetManifest
from qvl.pipeline.shards.sample import decode_sample
from qvl.pipeline.shards.writer import IndexRow
from qvl.pipeline.storage.arrow_files import read_parquet, read_span
from qvl.pipeline.storage.paths import AnyPath

PER_SOURCE = 6
LINE_COLOR, WORD_COLOR = (220, 30, 30), (40, 120, 230)


@dataclass(frozen=True)
class PackedPage:
    """One sample as read back from its shard. ``unit``: the unit in whose ledger its row is."""

    key: str
    source: str
    language: str
    jpeg: bytes
    regions: tuple[Region, ...]
    unit: str = ""

    @property
    def lines(self) -> list[Region]:
        return [region for region in self.regions if region.level == "line"]

    @property
    def text(self) -> str:
        return "\n".join(region.phrase for region in self.lines)


def pick_pages(
    layout: Layout[AnyPath], dataset: DatasetManifest, most: int = PER_SOURCE, seed: int = 0
) -> list[PackedPage]:
    """At most ``most`` pages of each source, always the same ones for equal datasets."""
    ranked: dict[str, list[tuple[int, str, IndexRow]]] = {}
    for shard in dataset.shards:
        for row in read_parquet(layout.index(shard.shard)).to_pylist():
            rank = xxhash.xxh3_64_intdigest(row["key"].encode(), seed)
            ranked.setdefault(row["source"], []).append((rank, shard.shard, row))
    return [
        _read_page(layout, source, shard, row)
        for source in sorted(ranked)
        for _, shard, row in sorted(ranked[source], key=lambda each: each[0])[:most]
    ]


def _read_page(layout: Layout[AnyPath], source: str, shard: str, row: IndexRow) -> PackedPage:
    """The sample of an index row."""
    first, last = row["offset"], row["offset"] + row["size"]
    sample = read_span(layout.shard(shard), first, last)
    image, text = row["image_offsets"][0] - first, row["json_offset"] - first
    jpeg = sample[image : image + row["image_sizes"][0]]
    record = decode_sample(bytes(sample[text : text + row["json_size"]]), str(layout.shard(shard)), row["key"])
    unit = record.id.removesuffix(f"-{record.origin.key}")
    return PackedPage(row["key"], source, record.language, jpeg, record.regions, unit)


def draw_quads(page: PackedPage) -> Image.Image:
    """The page with lines in red, words in blue, and a dot where each line starts."""
    image = Image.open(io.BytesIO(page.jpeg)).convert("RGB")
    draw = ImageDraw.Draw(image)
    width, height = image.size
    for level, colour in (("word", WORD_COLOR), ("line", LINE_COLOR)):
        for region in page.regions:
            if region.level != level or region.quad is None:
                continue
            quad = region.quad
            points = [(x * width, y * height) for x, y in zip(quad[::2], quad[1::2], strict=True)]
            draw.polygon(points, outline=colour)
            if level == "line":
                x, y = points[0]
                draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=colour)
    return image
