"""How quickly annotations become samples, and in how much memory.

    python benchmarks/grounding.py [--only grit|images|refcoco|genome|slices] [--scale 1.0]

Synthetic annotations at the size of the real files (142k RefCOCO expressions, 5.4M Visual Genome regions) in their
schemas; images are JPEGs made here. One core, local disk. Each part runs in a process of its own, so that its peak memory
is its own.
"""

import argparse
import io
import json
import multiprocessing
import pickle
import random
import resource
import shutil
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from qvl.grounding_builder.build.builder import Grounding
from qvl.grounding_builder.drafts.drafts import Annotations, Task
from qvl.grounding_builder.sources.grit import Grit
from qvl.grounding_builder.sources.refcoco import RefCoco
from qvl.grounding_builder.sources.visual_genome import VisualGenome
from qvl.pipeline.builders.make import MakeTask, make_unit
from qvl.pipeline.exclusion.exclusion import Exclusion
from qvl.pipeline.storage.reader import Storage

WORDS = (
    "a red fox",
    "the wooden table",
    "two people",
    "a cup of coffee",
    "an old church",
    "the sky",
    "a small white dog",
)
Result = dict[str, float]


def grit_rows(
    count: int, rng: random.Random, phrases: tuple[int, ...] = (1, 1, 1, 2, 2, 3)
) -> Iterator[dict[str, Any]]:
    """Captions of 1.7 phrases, one in three with a second, nested expression: 2 boxes (the set publishes 1.5)."""
    for number in range(count):
        chosen = rng.sample(WORDS, rng.choice(phrases))
        caption, spans = "", []
        for phrase in chosen:
            start = len(caption)
            caption += phrase
            x, y = rng.random() * 0.6, rng.random() * 0.6
            box = [x, y, x + 0.1 + rng.random() * 0.3, y + 0.1 + rng.random() * 0.3]
            spans.append([float(start), float(len(caption)), *box, 0.65 + rng.random() * 0.35])
            caption += rng.choice((" near ", " and ", " with "))
        caption += "more words about the picture"
        nested = [spans[0][0], float(len(caption)), 0.1, 0.1, 0.8, 0.8, 0.8]
        expressions = [*spans, nested] if number % 3 == 0 else spans
        yield {"key": f"{number:09d}", "id": number, "url": "https://example.org/1.jpg", "caption": caption, "width": 400,
               "height": 300, "noun_chunks": spans, "ref_exps": expressions}  # fmt: skip


def photo(rng: random.Random, width: int = 400, height: int = 300) -> bytes:
    """A JPEG of about 30 kB."""
    noise = Image.frombytes("RGB", (width // 4, height // 4), rng.randbytes(width // 4 * (height // 4) * 3))
    file = io.BytesIO()
    noise.resize((width, height), Image.Resampling.BICUBIC).save(file, "JPEG", quality=80)
    return file.getvalue()


def annotations_only(folder: Path, scale: float) -> Result:
    """Parquet rows to samples without images: captions alone, all three tasks, and with 5.2 boxes a row."""
    count, result = int(100_000 * scale), Result()
    usual, many = (1, 1, 1, 2, 2, 3), (4, 5, 5, 5, 6)
    cases: list[tuple[str, tuple[int, ...], tuple[Task, ...]]] = [
        ("captions", usual, ("grounded_caption",)),
        ("three tasks", usual, ("grounded_caption", "referring", "region_caption")),
        ("captions, 5.3 boxes", many, ("grounded_caption",)),
    ]
    for name, phrases, tasks in cases:
        path = folder / f"{len(result)}.parquet"
        pq.write_table(pa.Table.from_pylist(list(grit_rows(count, random.Random(1), phrases))), path)
        source, storage = Grit(name="grit", paths=(str(path),), tasks=tasks), Storage()
        clock = Clock()
        kept = sum(draft.verdict is None for piece in source.pieces(storage) for draft in source.drafts(piece, storage))
        result |= {f"{name} {key}": value for key, value in clock.rates(count).items()}
        assert kept == count
    return result


@dataclass
class Clock:
    """Wall and processor seconds: the machine is shared, so that both are told."""

    wall: float = field(default_factory=time.perf_counter)
    processor: float = field(default_factory=time.process_time)

    def seconds(self) -> tuple[float, float]:
        return time.perf_counter() - self.wall, time.process_time() - self.processor

    def rates(self, count: int) -> Result:
        wall, processor = self.seconds()
        return {"rows/s": count / wall, "rows per processor second": count / processor}


def with_images(folder: Path, scale: float) -> Result:
    """img2dataset tars to committed units: grounded captions alone, all tasks, and with a perceptual exclusion list."""
    count, rng = int(8_000 * scale), random.Random(2)
    pictures = [photo(rng) for _ in range(50)]
    with tarfile.open(folder / "00000.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        for number, row in enumerate(grit_rows(count, rng)):
            for name, data in ((f"{row['key']}.jpg", pictures[number % 50]), (f"{row['key']}.json", orjson.dumps(row))):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    excluded = Exclusion()
    for _ in range(200):
        excluded.add_image("flickr30k", photo(rng))
    result: Result = {"rows": count, "image kB": sum(map(len, pictures)) / 50_000}
    captions = Grit(name="grit", paths=(str(folder / "00000.tar"),), tasks=("grounded_caption",))
    everything = Grit(name="grit", paths=(str(folder / "00000.tar"),))
    for name, source, listed in (
        ("captions", captions, Exclusion()),
        ("three tasks", everything, Exclusion()),
        ("captions, perceptual list", captions, excluded),
    ):
        rates = make_all(source, folder / "out", listed, count)
        result |= {f"{name} {key}": value for key, value in rates.items()}
    return result


def make_all(source: Annotations, out: Path, excluded: Exclusion, count: int) -> Result:
    """Make all units of a source: samples, ledger, sums; not yet packed."""
    shutil.rmtree(out, ignore_errors=True)
    builder, clock = Grounding("bench", (source,), excluded), Clock()
    for unit in builder.units():
        make_unit(MakeTask(out, builder, unit))
    return clock.rates(count)


def refcoco(folder: Path, scale: float) -> Result:
    """All of RefCOCO's 142,210 expressions on 19,994 images, from the pickle to committed samples (images of 1 kB)."""
    images, expressions, rng = int(19_994 * scale), int(142_210 * scale), random.Random(3)
    tiny = photo(rng, 64, 48)
    annotations: list[dict[str, Any]] = []
    refs: list[dict[str, Any]] = []
    at = 0
    (folder / "images").mkdir()
    records = [{"id": n, "file_name": f"COCO_train2014_{n:012d}.jpg", "width": 64, "height": 48} for n in range(images)]
    for record in records:
        (folder / "images" / str(record["file_name"])).write_bytes(tiny)
    while at < expressions:
        number, count = len(refs), min(rng.randint(2, 4), expressions - at)
        annotations.append({"id": number, "image_id": number * images // 50_000 % images, "category_id": 1,
                            "bbox": [rng.random() * 30, rng.random() * 20, 20.5, 18.25]})  # fmt: skip
        sentences = [
            {"sent": f"{rng.choice(WORDS)} {at + n}", "sent_id": at + n, "raw": "", "tokens": []} for n in range(count)
        ]
        refs.append({"ref_id": number, "ann_id": number, "image_id": annotations[-1]["image_id"], "category_id": 1,
                     "split": "train", "file_name": "", "sent_ids": [], "sentences": sentences})  # fmt: skip
        at += count
    (folder / "refs(unc).p").write_bytes(pickle.dumps(refs, 2))
    content = {"images": records, "annotations": annotations, "categories": []}
    (folder / "instances.json").write_bytes(orjson.dumps(content))
    source = RefCoco(name="refcoco", refs=str(folder / "refs(unc).p"), instances=str(folder / "instances.json"),
                     image_folder=str(folder / "images"))  # fmt: skip
    clock = Clock()
    rows = sum(1 for piece in source.pieces(Storage()) for _ in source.drafts(piece, Storage()))
    strings, clock = clock.seconds(), Clock()
    builder = Grounding("bench", (source,), Exclusion())
    (folder / "out").mkdir()
    made = make_unit(MakeTask(folder / "out", builder, builder.units()[0]))
    committed = clock.seconds()
    times = {"to strings s": strings[0], "to strings processor s": strings[1]}
    times |= {"to committed samples s": committed[0], "to committed samples processor s": committed[1]}
    return {"expressions": rows, "samples": made.samples, **times}


def vg_region(image: int, number: int, rng: random.Random) -> dict[str, Any]:
    phrase = f"{rng.choice(WORDS)} number {rng.randint(0, 99)}"
    x, y, width, height = rng.randint(-5, 500), rng.randint(-5, 300), rng.randint(10, 300), rng.randint(10, 300)
    return {
        "region_id": image * 50 + number,
        "width": width,
        "height": height,
        "image_id": image,
        "phrase": phrase,
        "y": y,
        "x": x,
    }


def genome(folder: Path, scale: float) -> Result:
    """5.4M regions on 108,077 images: cut, parsed, merged, written as strings; images not read."""
    images, rng = int(108_077 * scale), random.Random(4)
    with (folder / "regions.json").open("wb") as file, (folder / "image_data.json").open("wb") as data:
        for number in range(images):
            regions = [vg_region(number, n, rng) for n in range(50)]
            comma = b"[" if number == 0 else b","
            file.write(comma + orjson.dumps({"regions": regions, "id": number}))
            image = {"image_id": number, "url": f"https://x/VG_100K/{number}.jpg", "width": 800, "height": 600}
            data.write(comma + orjson.dumps({**image, "coco_id": None, "flickr_id": None}))
        file.write(b"]")
        data.write(b"]")
    source = VisualGenome(name="vg", image_data=str(folder / "image_data.json"), image_folder=str(folder),
                          regions=str(folder / "regions.json"))  # fmt: skip
    clock = Clock()
    pieces = source.pieces(Storage())
    cut = clock.seconds()[0]
    rows = sum(1 for piece in pieces for _ in source.drafts(piece, Storage()))
    size = (folder / "regions.json").stat().st_size / 1e6
    return {
        "file MB": size,
        "regions": rows,
        "pieces": len(pieces),
        "cut s": cut,
        "all s": clock.seconds()[0],
        **clock.rates(rows),
    }


PARTS: dict[str, Callable[[Path, float], Result]] = {
    "grit": annotations_only,
    "images": with_images,
    "refcoco": refcoco,
    "genome": genome,
}


def measured(name: str, scale: float) -> Result:
    """Run one part in a folder of its own; adds the peak of anonymous memory."""
    with tempfile.TemporaryDirectory(prefix="qvl-bench-") as folder:
        result = PARTS[name](Path(folder), scale)
    return {**result, "peak GB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=sorted(PARTS))
    parser.add_argument("--scale", type=float, default=1.0)
    options = parser.parse_args()
    for name in [options.only] if options.only else PARTS:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            result = pool.submit(measured, name, options.scale).result()
        print(json.dumps({"part": name, **{key: round(value, 2) for key, value in result.items()}}))


if __name__ == "__main__":
    main()
