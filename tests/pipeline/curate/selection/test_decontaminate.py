"""Decontamination: benchmarks are found by the bytes and by the look of an image."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import xxhash

from qvl.pipeline.base.arrays import hash_words
from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.curate.selection.decontaminate import benchmark_hashes, benchmark_identity, hash_folder
from qvl.pipeline.exclusion.exclusion import Exclusion
from qvl.pipeline.images.perceptual_hash import bit_count
from qvl.pipeline.recipe.duplicates import Benchmark
from tests.pipeline.curate.selection.look_rows import Plain, a_recipe, make_units, run_select_steps, write_columns
from tests.pipeline.samples import jpeg


def test_decontaminate_when_rows_have_the_bytes_or_the_look_of_a_benchmark_image_drops_them(tmp_path: Path) -> None:
    units = make_units(3)
    write_columns(tmp_path / "out", units)
    rows = [row for unit in units for row in unit]
    coco, other = Exclusion(), Exclusion()
    coco._add("bytes", rows[0]["image_hash"].hex(), "coco")
    coco._add("perceptual", f"{rows[7]['phash'] ^ 0b101:016x}", "coco")
    other._add("perceptual", f"{rows[7]['phash']:016x}", "other")
    other._add("perceptual", f"{rows[50]['phash']:016x}", "other")
    lists = []
    for name, exclusion in (("coco", coco), ("other", other)):
        exclusion.write(tmp_path / f"{name}.parquet")
        lists.append({"name": name, "path": str(tmp_path / f"{name}.parquet"), "radius": 3})
    found = run_select_steps(tmp_path / "out", a_recipe(decontaminate=lists), 50)
    for row, source in zip(found, rows, strict=True):
        seen = source["phash_spread"] >= 4
        by = []
        if source is rows[0] or (seen and bit_distance(source, rows[7]["phash"] ^ 0b101) <= 3):
            by.append("benchmark:coco")
        if seen and min(bit_distance(source, rows[i]["phash"]) for i in (7, 50)) <= 3:
            by.append("benchmark:other")
        if source["emoji"]:
            assert row["verdict"] == "emoji"
        elif by:
            assert row["verdict"] == by[0]
        else:
            assert not row["verdict"].startswith("benchmark:")
    assert {"benchmark:coco", "benchmark:other"} <= {row["verdict"] for row in found}


def bit_distance(row: Plain, phash: int) -> int:
    return int(bit_count(np.array([row["phash"] ^ phash], np.uint64))[0])


def test_benchmark_hashes_of_a_folder_and_of_its_list_are_equal(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    (folder / "deep").mkdir(parents=True)
    for i in range(4):
        (folder / ("deep" if i % 2 else ".") / f"{i}.JPG").write_bytes(jpeg(i))
    (folder / "broken.png").write_bytes(b"not an image")
    (folder / "notes.txt").write_text("not an image either")
    hashed = hash_folder(folder, "name")
    assert (hashed.images, [path.name for path in hashed.without_look]) == (5, ["broken.png"])
    hashed.exclusion.write(tmp_path / "list.parquet")
    one, two = benchmark_hashes(str(folder), "a"), benchmark_hashes(str(tmp_path / "list.parquet"), "b")
    assert (
        one.files
        == two.files
        == {xxhash.xxh3_128_digest(jpeg(i)) for i in range(4)} | {xxhash.xxh3_128_digest(b"not an image")}
    )
    assert np.array_equal(one.first_words, two.first_words)
    assert sorted(one.looks.tolist()) == sorted(two.looks.tolist())
    words = hash_words(pa.array(sorted(one.files), pa.binary(16)))
    assert np.array_equal(np.sort(words[:, 0]), one.first_words)


def test_hash_folder_when_there_are_no_images_raises(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no image files"):
        hash_folder(tmp_path, "name")


def test_benchmark_identity_when_nothing_lies_at_the_path_raises(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no such list and no such folder"):
        benchmark_identity(Benchmark(name="x", path=str(tmp_path / "missing")))


def test_benchmark_identity_when_an_image_changes_differs(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg(1))
    benchmark = Benchmark(name="x", path=str(tmp_path))
    before = benchmark_identity(benchmark)
    assert benchmark_identity(benchmark) == before
    (tmp_path / "a.jpg").write_bytes(jpeg(2))
    assert benchmark_identity(benchmark) != before
