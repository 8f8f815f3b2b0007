"""The scores of a unit's images, decoded in threads. Whole runs with scores are in tests/pipeline/curate/measuring."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import xxhash

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.images.decode import decode
from qvl.pipeline.images.perceptual_hash import hash_image, tint
from qvl.pipeline.images.score_images import NUMBERS, SYSTEMATIC_ROWS, Measures, measure_pixels
from qvl.pipeline.recipe.score import Score
from qvl.pipeline.sources.base import Unit
from qvl.pipeline.sources.webdataset import WebDataset
from qvl.pipeline.storage.reader import Storage
from tests.pipeline.samples import jpeg, write_img2dataset

PHASH = Score.model_validate({"phash": {}})
ROWS = SYSTEMATIC_ROWS + 2


def source_with(folder: Path, images: list[bytes]) -> tuple[WebDataset, Unit, pa.Table]:
    """A source with one tar, its unit, and the columns of scan that scoring reads."""
    rows: list[dict[str, Any]] = [
        {"key": f"{n:03d}", "url": "", "caption": f"picture {n}", "image": image} for n, image in enumerate(images)
    ]
    write_img2dataset(folder, "00000", rows)
    source = WebDataset(kind="webdataset", paths=(str(folder / "*.tar"),))
    (unit,) = source.units(Storage())
    found = [row for batch in source.read(unit, Storage()) for row in batch]
    columns = {
        "row": range(len(found)),
        "locator": [row.locator for row in found],
        "image_bytes": [len(row.image or b"") for row in found],
        "image_hash": [xxhash.xxh3_128_digest(row.image or b"") for row in found],
        "caption": [row.caption for row in found],
        "language": ["en"] * len(found),
    }
    return source, unit, pa.table({name: pa.array(values) for name, values in columns.items()})


def corrupted(image: bytes) -> bytes:
    """A JPEG with a valid header and end, but without its tables and scan."""
    return image[:2] + image[image.index(b"\xff\xc0") :][:19] + b"\xff\xda\xff\xd9"


def test_measures_when_stored_as_columns_are_restored() -> None:
    measures = Measures.empty(3)
    measures.phash[1], measures.hashed[1], measures.numbers["clip_english"][2] = 2**64 - 1, True, 0.25
    names = ["phash", "phash_tint", *NUMBERS]
    again = Measures.of(pa.table(dict(zip(names, measures.columns(), strict=True))))
    assert again.columns() == measures.columns()
    assert again.columns()[0].to_pylist() == [None, 2**64 - 1, None]


def test_measure_pixels_hashes_the_images_of_the_chosen_rows(tmp_path: Path) -> None:
    images = [jpeg(n, 90, 70) for n in range(ROWS)]
    source, unit, columns = source_with(tmp_path, images)
    measures = Measures.empty(ROWS)
    assert measure_pixels(source, unit, columns, [4, 1], PHASH, measures) == {}
    assert np.flatnonzero(measures.hashed).tolist() == [1, 4]
    for row in (1, 4):
        image = decode(images[row])
        assert (int(measures.phash[row]), float(measures.numbers["phash_spread"][row])) == hash_image(image)
        assert int(measures.tint[row]) == tint(image)


def test_measure_pixels_when_an_image_is_corrupted_gives_its_row_a_fault(tmp_path: Path) -> None:
    images = [jpeg(n, 90, 70) for n in range(ROWS)]
    images[3] = corrupted(images[3])
    source, unit, columns = source_with(tmp_path, images)
    measures = Measures.empty(ROWS)
    faults = measure_pixels(source, unit, columns, range(ROWS), PHASH, measures)
    assert faults == {3: "unreadable:bad_pixels"}
    assert np.flatnonzero(~measures.hashed).tolist() == [3]


def test_measure_pixels_when_nothing_is_to_be_scored_reads_nothing(tmp_path: Path) -> None:
    source, unit, columns = source_with(tmp_path, [jpeg(0)])
    (tmp_path / "00000.tar").unlink()
    assert measure_pixels(source, unit, columns, [], PHASH, Measures.empty(1)) == {}
    assert measure_pixels(source, unit, columns, [0], Score(), Measures.empty(1)) == {}


def test_measure_pixels_when_images_have_disappeared_raises_data_error(tmp_path: Path) -> None:
    source, unit, columns = source_with(tmp_path, [jpeg(n) for n in range(3)])

    class Shortened(WebDataset):
        def images(self, unit: Unit, wanted: Any, storage: Storage) -> Any:
            return WebDataset.images(self, unit, wanted[:-1], storage)

    shortened = Shortened(kind="webdataset", paths=source.paths)
    with pytest.raises(DataError, match=r"00000\.tar: 1 image is no longer in the source; restore"):
        measure_pixels(shortened, unit, columns, range(3), PHASH, Measures.empty(3))


@pytest.mark.parametrize("change", ["shifted", "cut", "one byte"])
def test_measure_pixels_when_a_file_changed_after_its_scan_raises_data_error(tmp_path: Path, change: str) -> None:
    source, unit, columns = source_with(tmp_path, [jpeg(n) for n in range(ROWS)])
    tar = tmp_path / "00000.tar"
    data, status = bytearray(tar.read_bytes()), tar.stat()
    if change == "shifted":
        data = bytearray(512) + data
    elif change == "cut":
        data = data[: len(data) // 2]
    else:
        data[columns["locator"][3].as_py() + columns["image_bytes"][3].as_py() - 3] ^= 1
    tar.write_bytes(data)
    os.utime(tar, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(DataError, match=r"00000\.tar row \d+: the image changed since it was scanned; choose another"):
        measure_pixels(source, unit, columns, range(ROWS), PHASH, Measures.empty(ROWS))
