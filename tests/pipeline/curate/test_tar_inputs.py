"""Tars as people write them, through whole runs: verdicts, what is counted next to the rows, warnings, and the audit."""

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner, Result

from qvl.command import app
from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import read_manifest
from qvl.pipeline.curate.measuring.manifests import ScanManifest
from qvl.pipeline.finished.audit import audit
from tests.pipeline.samples import encoded, jpeg, picture, tar_bytes

SIZE = (64, 48)


def photo(seed: int) -> bytes:
    return jpeg(seed, *SIZE)


def write_recipe(folder: Path, recipe: dict[str, Any]) -> Path:
    (folder / "r.yaml").write_text(yaml.safe_dump(recipe), "utf-8")
    return folder / "r.yaml"


def run(folder: Path, files: list[tuple[str, bytes]], **read: Any) -> Result:
    (folder / "a.tar").write_bytes(tar_bytes(files))
    recipe = {
        "name": "r",
        "sources": [{"name": "s", "read": {"kind": "webdataset", "paths": ["a.tar"], **read}}],
        "filters": {},
        "tolerance": {"unreadable_rows": 1.0, "unreadable_units": 1.0},
    }
    result = CliRunner().invoke(
        app, ["curate", "run", str(write_recipe(folder, recipe)), "--output", str(folder / "out")]
    )
    assert result.exit_code == 0, (result.output, result.exception)
    assert audit(folder / "out").discrepancy is None
    return result


def verdicts(folder: Path) -> Counter[str]:
    return Counter(pq.read_table(folder / "out" / "ledger")["verdict"].to_pylist())


def left_out(folder: Path) -> dict[str, int] | None:
    (path,) = (folder / "out" / "ledger").glob("*.parquet")
    manifest = read_manifest(Layout(folder / "out").unit_manifest(path.stem), ScanManifest)
    assert manifest is not None
    return manifest.left_out


def test_files_of_a_system_when_curated_are_no_rows_and_are_reported(tmp_path: Path) -> None:
    members = [(".DS_Store", b"x"), ("LICENSE", b"x")]
    for number in range(3):
        name = f"{number:05d}"
        members += [(f"._{name}.jpg", b"\0\5\x16\7"), (f"{name}.jpg", photo(number))]
        members += [(f"._{name}.txt", b"\0\5\x16\7"), (f"{name}.txt", f"caption {number}".encode())]
    result = run(tmp_path, members)
    assert verdicts(tmp_path) == {"keep": 3}
    assert left_out(tmp_path) == {"system_files": 7, "unknown_files": 1}
    assert "warning: s: next to the rows: system files 7, unknown files 1" in result.stderr


def test_keys_that_end_at_the_first_dot_when_curated_are_whole_samples(tmp_path: Path) -> None:
    members = []
    for number in range(2):
        members += [(f"{number}.left.jpg", photo(2 * number)), (f"{number}.right.jpg", photo(2 * number + 1))]
        members += [(f"{number}.image.caption.json", b'{"caption": "a caption %d"}' % number)]
    result = run(tmp_path, members, members={"key": "first_dot"})
    assert verdicts(tmp_path) == {"keep": 2}
    assert left_out(tmp_path) == {"further_images": 2}
    assert "members:" not in result.stderr


def test_members_without_partners_when_curated_are_warned_about(tmp_path: Path) -> None:
    members = [
        (f"{n}.{end}", data) for n in range(2) for end, data in (("png", photo(n)), ("caption.txt", b"a caption"))
    ]
    result = run(tmp_path, members)
    assert verdicts(tmp_path) == {"no_caption": 2, "unreadable:no_image": 2}
    assert "warning: s: 4 samples of a.tar have only a picture or only a text" in result.stderr


def test_formats_by_their_bytes_when_curated_keep_what_can_be_decoded(tmp_path: Path) -> None:
    odd = photo(9)
    at = odd.index(b"\xff\xdb")
    film = b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + bytes(500)
    files = {
        **{
            kind: encoded(picture(*SIZE, seed=number), kind) for number, kind in enumerate(("avif", "tiff", "jpeg2000"))
        },
        "film": film,
        "heic": film.replace(b"isom", b"heic"),
        "stray": odd[:at] + b"\0\1\2" + odd[at:],
    }
    run(
        tmp_path,
        [(f"{name}.{end}", data) for name, image in files.items() for end, data in (("jpg", image), ("txt", b"a b"))],
    )
    table = pq.read_table(tmp_path / "out" / "ledger").to_pylist()
    found = {row["key"]: (row["verdict"], row["format"], row["width"], row["height"]) for row in table}
    assert found == {
        "avif": ("keep", "avif", *SIZE),
        "tiff": ("keep", "tiff", *SIZE),
        "jpeg2000": ("keep", "jp2", *SIZE),
        "stray": ("keep", "jpeg", *SIZE),
        "film": ("unreadable:not_an_image", None, None, None),
        "heic": ("unreadable:format:heic", None, None, None),
    }


def test_a_number_that_json_does_not_allow_when_curated_is_missing_and_the_row_is_kept(tmp_path: Path) -> None:
    scores = [b"0.3", b"NaN", b"0.5"]
    members = [
        (f"{number}.{end}", data)
        for number, score in enumerate(scores)
        for end, data in (
            ("jpg", photo(number)),
            ("txt", b"caption %d" % number),
            ("json", b'{"similarity": %s, "note": "\\ud800"}' % score),
        )
    ]
    run(tmp_path, members, preset="laion")
    rows = pq.read_table(tmp_path / "out" / "ledger").to_pylist()
    assert [(row["verdict"], row["clip"] is None) for row in rows] == [("keep", False), ("keep", True), ("keep", False)]


@pytest.mark.parametrize("name", ["a.tar.gz", "a.tgz"])
def test_a_compressed_tar_when_named_in_a_recipe_is_refused_in_one_line_before_the_scan(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_bytes(b"x")
    recipe = {"name": "r", "sources": [{"name": "s", "read": {"kind": "webdataset", "paths": [name]}}]}
    path = write_recipe(tmp_path, recipe)
    result = CliRunner().invoke(app, ["curate", "run", str(path), "--output", str(tmp_path / "out")])
    assert isinstance(result.exception, RecipeError)
    assert "gzip" in str(result.exception) and name in str(result.exception)
    assert not (tmp_path / "out" / "columns").exists()
