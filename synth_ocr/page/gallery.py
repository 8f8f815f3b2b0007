"""Pages out of finished shards with their quads drawn."""

import io
from dataclasses import dataclass
from typing import Any

import orjson
import xxhash
from PIL import Image, ImageDraw

from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.storage.arrow_files import read_parquet, read_span
from qvl.pipeline.storage.paths import AnyPath

SHOWN = 6  # per source
LINE, WORD = (220, 30, 30), (40, 120, 230)


@dataclass(frozen=True)
class Shown:
    """One sample as read back from its shard."""

    key: str
    source: str
    language: str
    jpeg: bytes
    regions: list[dict[str, Any]]
    unit: str = ""  # of the ledger

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [region for region in self.regions if region["level"] == "line"]

    @property
    def text(self) -> str:
        return "\n".join(region["phrase"] for region in self.lines)


def picked(layout: Layout[AnyPath], dataset: dict[str, Any], most: int = SHOWN, seed: int = 0) -> list[Shown]:
    """At most ``most`` pages of each source, the same for equal datasets."""
    ranked: dict[str, list[tuple[int, str, dict[str, Any]]]] = {}
    for shard in dataset["shards"]:
        for row in read_parquet(layout.index(shard["shard"])).to_pylist():
            rank = xxhash.xxh3_64_intdigest(row["key"].encode(), seed)
            ranked.setdefault(row["source"], []).append((rank, shard["shard"], row))
    found = []
    for source in sorted(ranked):
        for _, shard, row in sorted(ranked[source], key=lambda each: each[0])[:most]:
            first, last = row["offset"], row["offset"] + row["size"]
            sample = read_span(layout.shard(shard), first, last)
            image, text = row["image_offsets"][0] - first, row["json_offset"] - first
            jpeg = sample[image : image + row["image_sizes"][0]]
            content = orjson.loads(sample[text : text + row["json_size"]])
            unit = content["id"].removesuffix(f"-{content['origin']['key']}")
            found.append(Shown(row["key"], source, content["language"], jpeg, content["regions"], unit))
    return found


def overlay(page: Shown) -> Image.Image:
    """The page with lines in red, words in blue, and a dot where reading starts."""
    image = Image.open(io.BytesIO(page.jpeg)).convert("RGB")
    draw = ImageDraw.Draw(image)
    width, height = image.size
    for level, colour in (("word", WORD), ("line", LINE)):
        for region in page.regions:
            if region["level"] == level:
                points = [
                    (x * width, y * height) for x, y in zip(region["quad"][::2], region["quad"][1::2], strict=True)
                ]
                draw.polygon(points, outline=colour)
                if level == "line":
                    x, y = points[0]
                    draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=colour)
    return image
