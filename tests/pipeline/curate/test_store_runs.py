"""Small runs and builds whose output is a store inside this process: equal bytes, resume, changes, questions."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
import yaml

from qvl.pipeline.base.errors import DataError, StaleError
from qvl.pipeline.base.pool import SerialPool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.builders.build import build
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import read_manifest
from qvl.pipeline.curate.plan import make_plan
from qvl.pipeline.curate.run import run
from qvl.pipeline.finished.audit import audit
from qvl.pipeline.finished.changes import apply_changes
from qvl.pipeline.finished.stored_columns import StoredColumns
from qvl.pipeline.finished.trace import trace_row, trace_sample
from qvl.pipeline.finished.whatif import whatif
from qvl.pipeline.recipe.recipe import load_recipe
from qvl.pipeline.shards.manifests import DatasetManifest
from qvl.pipeline.storage.paths import AnyPath, StorePath, parse_path
from tests.pipeline.builders.numbers import Numbers
from tests.pipeline.curate.small_run import content, make_data

PRIVATE = (".lock", ".attempts")


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    filesystem = fsspec.filesystem("memory")
    yield filesystem
    filesystem.rm("/", recursive=True)


@pytest.fixture
def out(memory: fsspec.AbstractFileSystem) -> StorePath:
    result = parse_path("memory://store/out")
    assert isinstance(result, StorePath)
    return result


@pytest.fixture
def data(tmp_path: Path) -> Path:
    make_data(tmp_path / "data")
    return tmp_path / "data"


def curate(data: Path, out: AnyPath, fresh: bool = False, **more: Any) -> DatasetManifest:
    (data / "recipe.yaml").write_text(yaml.safe_dump(content(score={"phash": {}}, **more)))
    with RunProgress() as progress:
        return run(load_recipe(data / "recipe.yaml"), out, SerialPool(), progress, fresh)


def stored(memory: fsspec.AbstractFileSystem) -> dict[str, bytes]:
    found = {path.removeprefix("/store/out/"): memory.cat_file(path) for path in memory.find("/store/out")}
    return {name: data for name, data in found.items() if not name.startswith(PRIVATE)}


def local(out: Path) -> dict[str, bytes]:
    found = {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    return {name: data for name, data in found.items() if not name.startswith(PRIVATE)}


def test_a_run_has_the_files_of_a_local_run(
    data: Path, out: StorePath, memory: fsspec.AbstractFileSystem, tmp_path: Path
) -> None:
    near = {"dedup": {"near_duplicate": {"radius": 3}, "repeated_text": 1}}
    assert curate(data, out, **near) == curate(data, tmp_path / "out", **near)
    assert stored(memory) == local(tmp_path / "out")
    assert audit(out) == audit(tmp_path / "out")
    before = stored(memory)
    curate(data, out, **near)
    assert stored(memory) == before


@pytest.mark.parametrize(
    "lost",
    [
        "manifests/select/judged-.*",
        "manifests/pack/.*-000001.*",
        "manifests/.*",
        "shards/.*tar",
        "ledger/.*",
        "select/.*",
    ],
)
def test_what_is_lost_is_made_again(lost: str, data: Path, out: StorePath, memory: fsspec.AbstractFileSystem) -> None:
    curate(data, out)
    before = stored(memory)
    gone = [name for name in before if re.fullmatch(lost, name)]
    assert gone
    for name in gone:
        (out / name).unlink()
    curate(data, out)
    # what select wrote on the way to the ledger is not needed once the ledger is there
    assert {name for name in before if not re.match("(manifests/)?select/", name)} <= set(stored(memory))
    assert {name: data for name, data in stored(memory).items() if before[name] != data} == {}
    assert audit(out).discrepancy is None


def test_another_recipe_is_refused_and_fresh_keeps_what_did_not_change(
    data: Path, out: StorePath, memory: fsspec.AbstractFileSystem, tmp_path: Path
) -> None:
    curate(data, out)
    before = stored(memory)
    changed = {"pack": {"shard_rows": 30, "window_units": 2}}
    with pytest.raises(StaleError, match="shard_rows: 7 -> 30"):
        curate(data, out, **changed)
    assert "shard_rows: 7 -> 30" in str(make_plan(load_recipe(data / "recipe.yaml"), out).stale)
    assert stored(memory) == before
    curate(data, out, fresh=True, **changed)
    curate(data, tmp_path / "out", **changed)
    assert stored(memory) == local(tmp_path / "out")


def test_a_damaged_file_is_found(data: Path, out: StorePath) -> None:
    curate(data, out)
    path = Layout(out).shard("small-000001")
    good = path.read_bytes()
    path.write_bytes(good[:700] + bytes([good[700] ^ 1]) + good[701:])
    assert "small-000001.tar was changed after it was committed" in str(audit(out).discrepancy)
    path.unlink()
    assert "small-000001.tar is missing" in str(audit(out).discrepancy)
    curate(data, out)
    assert path.read_bytes() == good
    (out / "shards" / "small-000099.tar").write_bytes(good)
    assert "small-000099.tar belongs to no manifest" in str(audit(out).discrepancy)


def test_questions_have_the_answers_of_a_local_run(data: Path, out: StorePath, tmp_path: Path) -> None:
    places: list[AnyPath] = [out, tmp_path / "out"]
    for where in places:
        curate(data, where)
    there, here = ([trace_row(where, "00001.tar", 7), trace_row(where, "t.jsonl", 0)] for where in places)
    assert there == here
    assert trace_sample(out, here[0].id) == here[0]
    assert here[0].content()["shard"]["tar"].startswith("shards/small-")
    for _ in range(2):  # the second time from the cache of twins
        answers = []
        for where in places:
            finished = StoredColumns.open(where)
            changed = apply_changes(finished.recipe, ["image_size.minimum_side=35"])
            answers.append(whatif(finished, changed).counts())
        assert answers[0] == answers[1]
    plans = [make_plan(load_recipe(data / "recipe.yaml"), where) for where in places]
    assert plans[0] == plans[1]
    with pytest.raises(DataError, match="no output of"):
        trace_sample(out / "elsewhere", "a-b-1")


def test_a_build_has_the_files_of_a_local_build(
    out: StorePath, memory: fsspec.AbstractFileSystem, tmp_path: Path
) -> None:
    def made(where: AnyPath, builder: Numbers, fresh: bool = False) -> DatasetManifest:
        return build(builder, where, SerialPool(), RunProgress(), shard_rows=7, seed=0, fresh=fresh)

    assert made(out, Numbers()) == made(tmp_path / "out", Numbers())
    assert stored(memory) == local(tmp_path / "out")
    assert audit(out) == audit(tmp_path / "out")
    with pytest.raises(StaleError, match="numbers-0003 is missing"):
        made(out, Numbers(count=3))
    assert made(out, Numbers(count=3), fresh=True) == made(tmp_path / "out", Numbers(count=3), fresh=True)
    assert stored(memory) == local(tmp_path / "out")
    assert read_manifest(Layout(out).dataset, DatasetManifest) == read_manifest(
        Layout(tmp_path / "out").dataset, DatasetManifest
    )
