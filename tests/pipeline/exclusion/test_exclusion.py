"""Excluded images are found by id, by bytes and by perceptual hash; other images are not."""

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import xxhash
from PIL import Image

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.exclusion.exclusion import Exclusion, usable_hash
from tests.end_to_end.conftest import CORPUS

PATHS = [p for p in sorted((CORPUS / "museum" / "images").iterdir()) if "planted" not in p.name][:40]


def jpeg(image: Image.Image, quality: int = 60) -> bytes:
    file = io.BytesIO()
    image.convert("RGB").save(file, "JPEG", quality=quality)
    return file.getvalue()


@pytest.fixture(scope="module")
def excluded() -> Exclusion:
    result = Exclusion()
    result.add_ids("refcoco", ["coco:7"])
    result.add_ids("refcoco+", ["coco:7", "coco:8"])
    for path in PATHS[:20]:
        assert result.add_image("flickr30k", path.read_bytes())
    return result


def test_by_id_names_every_benchmark_with_the_image(excluded: Exclusion) -> None:
    hit = excluded.by_id(("vg:1", "coco:7"))
    assert hit is not None and (hit.verdict, hit.benchmarks) == ("leak:id", ("refcoco", "refcoco+"))
    assert excluded.by_id(("coco:9", "vg:7")) is None


def test_by_image_finds_equal_bytes_and_resized_copies(excluded: Exclusion) -> None:
    for path in PATHS[:20]:
        data = path.read_bytes()
        hit = excluded.by_image(data, xxhash.xxh3_128_hexdigest(data))
        assert hit is not None and hit.by == "bytes"
    found = 0
    for path in PATHS[:20]:
        with Image.open(path) as image:
            copy = jpeg(image.resize((image.width * 2 // 3, image.height * 2 // 3)))
        hit = excluded.by_image(copy, xxhash.xxh3_128_hexdigest(copy))
        found += hit is not None and hit.by == "perceptual"
    assert found >= 19


def test_by_image_when_the_image_is_another_finds_nothing(excluded: Exclusion) -> None:
    for path in PATHS[20:]:
        data = path.read_bytes()
        assert excluded.by_image(data, xxhash.xxh3_128_hexdigest(data)) is None


def test_usable_hash_when_an_image_is_flat_or_unreadable_is_none() -> None:
    data = jpeg(Image.new("RGB", (300, 200), "white"))
    result = Exclusion()
    assert not result.add_image("blank", data)
    other = jpeg(Image.new("RGB", (200, 200), "white"))
    assert usable_hash(other) is None
    assert result.by_image(other, xxhash.xxh3_128_hexdigest(other)) is None
    assert usable_hash(b"no image") is None


def test_read_when_a_list_was_written_gives_an_equal_list(excluded: Exclusion, tmp_path: Path) -> None:
    excluded.write(tmp_path / "one.parquet")
    again = Exclusion.read(tmp_path / "one.parquet")
    assert again.fingerprint == excluded.fingerprint
    again.write(tmp_path / "two.parquet")
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()
    Exclusion().write(tmp_path / "new" / "empty.parquet")
    assert Exclusion.read(tmp_path / "new" / "empty.parquet").rows() == []


def test_read_when_the_hash_version_or_the_file_is_wrong_raises_recipe_error(
    excluded: Exclusion, tmp_path: Path
) -> None:
    path = tmp_path / "list.parquet"
    excluded.write(path)
    assert Exclusion.read(path).rows() == excluded.rows()
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata(None), path)
    with pytest.raises(RecipeError, match="older version"):
        Exclusion.read(path)
    pq.write_table(table.filter(pc.not_equal(table["kind"], "perceptual")).replace_schema_metadata(None), path)
    assert len(Exclusion.read(path).rows()) == len([row for row in excluded.rows() if row[0] != "perceptual"])
    pq.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(RecipeError, match="not a list"):
        Exclusion.read(path)
