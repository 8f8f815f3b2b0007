"""WebDataset tars: the layout of img2dataset, other layouts, and hostile files."""

import bz2
import gzip
import io
import json
import lzma
import os
import subprocess
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.sources.base import ImageReference, Seen
from qvl.pipeline.sources.columns import Columns
from qvl.pipeline.sources.webdataset import WebDataset
from qvl.pipeline.storage.reader import Storage
from tests.pipeline.samples import faults, jpeg, read_all, tar_bytes, write_img2dataset
from tests.pipeline.sources.tar_rows import row, rows_in, rows_of


def test_rows_that_only_the_statistics_count_are_faults(tmp_path: Path, storage: Storage) -> None:
    path = write_img2dataset(tmp_path, "00000", [row("0", jpeg(0)), row("1", None)], count=5)
    words = [r.fault for r in rows_of(path, storage)]
    assert words == [None, "download:failed_to_download", *["download:unaccounted"] * 3]


def test_a_truncated_tar_keeps_the_rows_before_the_truncation(tmp_path: Path, storage: Storage) -> None:
    path = write_img2dataset(tmp_path, "00000", [row(str(i), jpeg(i)) for i in range(4)])
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"2.jpg") + 600])
    after = "unreadable:after_the_cut"
    assert faults(rows_of(path, storage)) == {
        **dict.fromkeys("01"),
        "": "unreadable:truncated_tar",
        **dict.fromkeys("23", after),
    }


def test_statistics_that_claim_a_trillion_rows_are_one_fault(tmp_path: Path, storage: Storage) -> None:
    path = write_img2dataset(tmp_path, "00000", [row("0", jpeg(0))], count=10**12)
    expected = [("0", None), ("", "unreadable:statistics:count_too_large")]
    assert [(r.key, r.fault) for r in rows_of(path, storage)] == expected


def test_the_recipe_sets_the_limit_of_unaccounted_rows(tmp_path: Path, storage: Storage) -> None:
    path = write_img2dataset(tmp_path, "00000", [row("0", jpeg(0))], count=4)
    assert len(rows_of(path, storage, max_unaccounted_rows=3)) == 4
    assert rows_of(path, storage, max_unaccounted_rows=2)[-1].fault == "unreadable:statistics:count_too_large"


def test_an_unrelated_table_next_to_the_tar_is_ignored(tmp_path: Path, storage: Storage) -> None:
    pq.write_table(pa.table({"x": [1]}), tmp_path / "x.parquet")
    assert len(rows_in(tmp_path, [("0.jpg", jpeg(0)), ("0.txt", b"dog")], storage)) == 1


def test_members_are_grouped_in_any_order(tmp_path: Path, storage: Storage) -> None:
    members = [("b.json", b'{"url": "u"}'), ("a.jpg", jpeg(0)), ("b.jpg", jpeg(1)), ("a.txt", b"A"), ("b.txt", b"B")]
    rows = rows_in(tmp_path, members, storage)
    assert [(r.key, r.caption, r.image) for r in rows] == [("b", b"B", jpeg(1)), ("a", b"A", jpeg(0))]
    assert rows[0].url == "u"


def test_keys_may_contain_dots_and_endings_may_be_upper_case(tmp_path: Path, storage: Storage) -> None:
    rows = rows_in(tmp_path, [("v1.2.a.JPG", jpeg(0)), ("v1.2.a.TXT", b"A"), ("v1.2.b.JPEG", jpeg(1))], storage)
    assert [(r.key, r.caption, r.fault) for r in rows] == [("v1.2.a", b"A", None), ("v1.2.b", b"", None)]


@pytest.mark.parametrize("kind", ["jpg", "jpeg", "png", "webp", "gif"])
def test_every_image_ending_is_read_whatever_its_bytes(tmp_path: Path, storage: Storage, kind: str) -> None:
    assert rows_in(tmp_path, [(f"a.{kind}", b"bytes"), ("a.txt", b"A")], storage)[0].image == b"bytes"


def test_when_there_is_no_text_the_caption_comes_from_the_json(tmp_path: Path, storage: Storage) -> None:
    rows = rows_in(tmp_path, [("a.jpg", jpeg(0)), ("a.json", '{"caption": "狗"}'.encode())], storage)
    assert rows[0].caption.decode() == "狗"


@pytest.mark.parametrize("caption", [["a"], {"en": "a"}, 5, 0, False, []])
def test_a_caption_that_is_not_text_is_a_fault(tmp_path: Path, storage: Storage, caption: Any) -> None:
    members = [("a.jpg", jpeg(0)), ("a.json", json.dumps({"caption": caption}).encode()), ("b.jpg", jpeg(1))]
    rows = rows_in(tmp_path, members, storage)
    assert [(r.caption, r.image, r.fault) for r in rows] == [
        (b"", None, "unreadable:bad_caption"),
        (b"", jpeg(1), None),
    ]


@pytest.mark.parametrize("meta", [b"{", b"[1]", b"null", b'"x"', b"\xff", b"[" * 5_000])
def test_bad_json_is_a_fault_of_its_own_row(tmp_path: Path, storage: Storage, meta: bytes) -> None:
    members = [("a.jpg", jpeg(0)), ("a.json", meta), ("b.jpg", jpeg(1)), ("b.json", b"{}")]
    assert faults(rows_in(tmp_path, members, storage)) == {"a": "unreadable:bad_json", "b": None}


def test_a_text_without_an_image_is_a_row_with_a_fault(tmp_path: Path, storage: Storage) -> None:
    assert faults(rows_in(tmp_path, [("a.txt", b"A"), ("b.jpg", jpeg(1))], storage)) == {
        "a": "unreadable:no_image",
        "b": None,
    }


def test_a_key_that_occurs_twice_is_two_rows(tmp_path: Path, storage: Storage) -> None:
    members = [("a.jpg", jpeg(0)), ("a.txt", b"first"), ("a.jpg", jpeg(1)), ("a.txt", b"second")]
    rows = rows_in(tmp_path, members, storage)
    assert [(r.key, r.caption, r.image) for r in rows] == [("a", b"first", jpeg(0)), ("a", b"second", jpeg(1))]


def test_laion_coco_uses_the_synthetic_caption(tmp_path: Path, storage: Storage) -> None:
    meta = {"caption": "old alt text", "top_caption": "a dog on a beach", "similarity": 0.31, "punsafe": 0.01}
    members = [("a.jpg", jpeg(0)), ("a.txt", b"old alt text"), ("a.json", json.dumps(meta).encode())]
    rows = rows_in(tmp_path, members, storage, preset="laion_coco")
    assert rows[0].caption == b"a dog on a beach"
    assert rows[0].numbers == {"clip": 0.31, "nsfw": 0.01}


def test_laion_coco_never_falls_back_to_the_alt_text(tmp_path: Path, storage: Storage) -> None:
    members = [("a.jpg", jpeg(0)), ("a.txt", b"old alt text"), ("a.json", b'{"caption": "old alt text"}')]
    rows = rows_in(tmp_path, members, storage, preset="laion_coco")
    assert rows[0].fault is not None
    assert rows[0].caption == b""


def test_scores_of_the_source_are_read(tmp_path: Path, storage: Storage) -> None:
    meta = {"clip_similarity_vitb32": "0.25", "watermark_score": 0.5, "nsfw_score_opennsfw2": None}
    members = [("a.jpg", jpeg(0)), ("a.txt", b"A"), ("a.json", json.dumps(meta).encode())]
    assert rows_in(tmp_path, members, storage, preset="coyo")[0].numbers == {"clip": 0.25, "watermark": 0.5}
    mine = Columns(clip="nsfw_score_opennsfw2", watermark="watermark_score")
    assert rows_in(tmp_path, members, storage, columns=mine)[0].numbers == {"watermark": 0.5}


def test_links_and_devices_are_faults(tmp_path: Path, storage: Storage) -> None:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE):
            info = tarfile.TarInfo(f"link{kind.decode()}.jpg")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    (tmp_path / "x.tar").write_bytes(target.getvalue())
    rows = rows_of(tmp_path / "x.tar", storage)
    assert [r.fault for r in rows] == ["unreadable:not_a_file"] * 3
    assert all(r.image is None for r in rows)


def test_absolute_names_and_names_with_dots_are_only_keys(tmp_path: Path, storage: Storage) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    names = ["../outside", str(tmp_path / "absolute"), "a/../../up", "nul", "/"]
    before = sorted(tmp_path.rglob("*"))
    rows = rows_in(inside, [(f"{name}.jpg", jpeg(i)) for i, name in enumerate(names)], storage)
    assert [r.key for r in rows] == names
    assert sorted(tmp_path.rglob("*")) == sorted([*before, inside / "x.tar"])


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "not_a_tar"), (b"<html>" * 200, "not_a_tar"), (tar_bytes([("a.jpg", b"x" * 600)])[:900], "truncated_tar")],
)
def test_a_file_that_is_not_a_complete_tar_is_a_fault(
    tmp_path: Path, storage: Storage, content: bytes, reason: str
) -> None:
    (tmp_path / "x.tar").write_bytes(content)
    assert faults(rows_of(tmp_path / "x.tar", storage)) == {"": f"unreadable:{reason}"}


def test_a_file_that_cannot_be_opened_is_a_fault(tmp_path: Path, storage: Storage) -> None:
    (tmp_path / "folder.tar").mkdir()
    (tmp_path / "gone.tar").write_bytes(tar_bytes([]))
    source = WebDataset(paths=(f"{tmp_path}/*.tar",))
    units = source.units(storage)
    (tmp_path / "gone.tar").unlink()
    found = {unit.name: [row.fault for batch in source.read(unit, storage) for row in batch] for unit in units}
    assert found == {
        "folder.tar": ["unreadable:unit:IsADirectoryError"],
        "gone.tar": ["unreadable:unit:FileNotFoundError"],
    }


def test_an_image_of_ten_gigabytes_is_too_large_and_is_not_read(tmp_path: Path, storage: Storage) -> None:
    size, path = 10 << 30, tmp_path / "x.tar"
    info = tarfile.TarInfo("a.jpg")
    info.size = size
    with path.open("wb") as file:
        file.write(info.tobuf(tarfile.GNU_FORMAT))
        os.truncate(path, 512 + size)
        file.seek(512 + size)
        file.write(tar_bytes([("a.txt", b"A"), ("b.jpg", jpeg(0)), ("b.txt", b"B")]))
    start = time.process_time()
    assert faults(rows_of(path, storage)) == {"a": "unreadable:too_large", "b": None}
    assert time.process_time() - start < 2


def test_a_huge_caption_is_a_fault_and_is_not_read(tmp_path: Path, storage: Storage) -> None:
    members = [("a.jpg", jpeg(0)), ("a.txt", bytes(65 << 20)), ("b.jpg", jpeg(1))]
    assert faults(rows_in(tmp_path, members, storage)) == {"a": "unreadable:text_too_large", "b": None}


def test_the_recipe_sets_the_limit_of_image_bytes(tmp_path: Path, storage: Storage) -> None:
    members = [("a.jpg", b"x" * 100), ("b.jpg", b"x" * 101)]
    assert faults(rows_in(tmp_path, members, storage, max_image_bytes=100)) == {"a": None, "b": "unreadable:too_large"}


def test_a_remote_tar_gives_the_same_rows(tmp_path: Path, storage: Storage) -> None:
    path = write_img2dataset(tmp_path, "00000", [row("0", jpeg(0)), row("1", None)], count=3)
    memory = fsspec.filesystem("memory")
    for file in tmp_path.iterdir():
        memory.pipe(f"/set/{file.name}", file.read_bytes())
    try:
        remote = read_all(WebDataset(paths=("memory://set/*.tar",)), storage)
    finally:
        memory.rm("/", recursive=True)
    assert remote == rows_of(path, storage)
    assert len(remote) == 3


def test_units_are_sorted_by_name(tmp_path: Path, storage: Storage) -> None:
    for number in (2, 0, 1):
        write_img2dataset(tmp_path, f"0000{number}", [row(str(number), jpeg(number))])
    assert [r.key for r in rows_of(tmp_path / "*.tar", storage)] == ["0", "1", "2"]


@pytest.mark.parametrize("count", [1, 3, 30])
def test_images_of_a_remote_tar_are_the_same_by_ranges_or_from_the_whole_file(
    count: int, tmp_path: Path, storage: Storage
) -> None:
    rows = [{"key": f"{i:03d}", "caption": f"text {i}", "url": "", "image": jpeg(i)} for i in range(30)]
    write_img2dataset(tmp_path, "00000", rows)
    memory = fsspec.filesystem("memory")
    for path in tmp_path.iterdir():
        memory.pipe(f"/remote/{path.name}", path.read_bytes())
    source = WebDataset(paths=("memory://remote/*.tar",))
    (unit,) = source.units(storage)
    found = [(row.locator, len(row.image or b"")) for batch in source.read(unit, storage) for row in batch]
    wanted = [ImageReference(row, *found[row]) for row in range(0, 30, 30 // count)][:count]
    assert {row: bytes(data) for row, data in source.images(unit, wanted, storage)} == {
        image.row: rows[image.row]["image"] for image in wanted
    }
    memory.rm("/remote", recursive=True)


@pytest.mark.parametrize("value", [b"NaN", b"-Infinity", b'"\\ud800"', b"123456789012345678901234567890"])
def test_a_value_that_json_does_not_allow_when_read_costs_itself_and_not_the_row(
    tmp_path: Path, storage: Storage, value: bytes
) -> None:
    meta = b'{"similarity": ' + value + b', "URL": "u", "caption": "from the record"}'
    members = [("a.jpg", jpeg(0)), ("a.txt", b"a dog"), ("a.json", meta)]
    (found,) = rows_in(tmp_path, members, storage, preset="laion")
    assert (found.fault, found.caption, found.url) == (None, b"a dog", "u")
    assert found.numbers == ({"clip": float(value)} if value.isdigit() else {})


def gnu_tar(folder: Path, *options: str) -> Path:
    """A tar of three BMP pictures with runs of zeros and their captions, written by GNU tar."""
    files = folder / "files"
    files.mkdir()
    for number in range(3):
        buffer = io.BytesIO()
        image = Image.new("RGB", (300, 200))
        image.putpixel((number, 100), (255, 0, 0))
        image.save(buffer, "BMP")
        with (files / f"s{number}.bmp").open("wb") as target:
            body = buffer.getvalue()
            for start in range(0, len(body), 4096):
                piece = body[start : start + 4096]
                target.seek(start)
                if any(piece):
                    target.write(piece)
            target.truncate(len(body))
        (files / f"s{number}.txt").write_text("a red dot")
    path = folder / "x.tar"
    subprocess.run(["tar", *options, "-cf", str(path), "-C", str(files), "."], check=True)
    return path


def test_labels_and_folders_of_gnu_tar_when_read_are_counted_and_are_no_rows(tmp_path: Path, storage: Storage) -> None:
    source, seen = WebDataset(paths=(str(gnu_tar(tmp_path, "--format=gnu", "-V", "mylabel")),)), Seen()
    rows = [row for unit in source.units(storage) for batch in source.read(unit, storage, seen) for row in batch]
    assert sorted((row.key, row.fault) for row in rows) == [("./s0", None), ("./s1", None), ("./s2", None)]
    assert seen.left_out == {"folders": 1, "volume_labels": 1}


@pytest.mark.parametrize("form", [("--format=gnu",), ("--format=posix",), ("--format=posix", "--sparse-version=0.1")])
def test_sparse_pictures_when_read_are_rows_that_say_so(
    tmp_path: Path, storage: Storage, form: tuple[str, ...]
) -> None:
    rows = rows_of(gnu_tar(tmp_path, "--sparse", *form), storage)
    assert sorted((row.key, row.fault) for row in rows) == [(f"./s{n}", "unreadable:sparse_member") for n in range(3)]


@pytest.mark.parametrize(
    ("compress", "name"), [(gzip.compress, "gzip"), (bz2.compress, "bzip2"), (lzma.compress, "xz")]
)
def test_a_compressed_tar_when_read_is_one_fault_that_names_the_compression(
    tmp_path: Path, storage: Storage, compress: Callable[[bytes], bytes], name: str
) -> None:
    (tmp_path / "x.tar").write_bytes(compress(tar_bytes([("a.jpg", jpeg(0)), ("a.txt", b"a dog")])))
    assert faults(rows_of(tmp_path / "x.tar", storage)) == {"": f"unreadable:compressed_tar:{name}"}


@pytest.mark.parametrize("name", ["x.tar.gz", "x.tgz", "X.TAR.ZST"])
def test_a_name_of_a_compressed_tar_when_listed_is_refused_before_anything_is_read(
    tmp_path: Path, storage: Storage, name: str
) -> None:
    (tmp_path / name).write_bytes(b"anything")
    with pytest.raises(RecipeError, match="compressed"):
        WebDataset(paths=(str(tmp_path / name),)).units(storage)


def test_a_tar_of_files_that_are_no_samples_when_read_is_a_fault(tmp_path: Path, storage: Storage) -> None:
    rows = rows_in(tmp_path, [("a.mp3", b"x"), ("LICENSE", b"x")], storage)
    assert faults(rows) == {"": "unreadable:no_samples"}


def test_member_names_of_a_recipe_when_read_give_pictures_captions_and_records(
    tmp_path: Path, storage: Storage
) -> None:
    members = [("0.png", jpeg(0)), ("0.cap", b"a cat"), ("0.info.json", b'{"url": "u"}'), ("0.txt", b"not this")]
    (tmp_path / "x.tar").write_bytes(tar_bytes(members))
    (found,) = rows_of(tmp_path / "x.tar", storage, members={"caption": "cap", "record": "info.json"})
    assert (found.key, found.image, found.caption, found.url) == ("0", jpeg(0), b"a cat", "u")
