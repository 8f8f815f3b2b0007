"""Small whole runs in this process: what is refused, what is kept, what audit and trace find."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
import pytest
import yaml

from qvl.pipeline.base.errors import ContractError, DataError, QvlError, StaleError
from qvl.pipeline.base.pool import SerialPool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import read_manifest
from qvl.pipeline.curate.plan import StagesDone, make_plan
from qvl.pipeline.curate.run import run
from qvl.pipeline.finished.audit import AuditResult, audit
from qvl.pipeline.finished.trace import ShardPosition, trace_row, trace_sample
from qvl.pipeline.recipe.recipe import load_recipe
from qvl.pipeline.shards.manifests import DatasetManifest
from tests.pipeline.samples import jpeg, write_img2dataset

ROWS = 12


def content(**more: Any) -> dict[str, Any]:
    return {
        "name": "small",
        "sources": [
            {"name": "web", "read": {"kind": "webdataset", "paths": ["web/*.tar"]}},
            {
                "name": "disk",
                "priority": 1,
                "read": {
                    **{"kind": "table", "paths": ["disk/t.jsonl"], "image_folder": "disk"},
                    "columns": {"caption": "text", "path": "file"},
                },
            },
        ],
        "filters": {"image_size": {"minimum_side": 20}, "text_length": {"minimum": 6}},
        "pack": {"shard_rows": 7, "window_units": 2},
        "tolerance": {"unreadable_rows": 0.3, "unreadable_units": 0.5},
        **more,
    }


def make_data(folder: Path) -> None:
    """Two tars and a table: thirty-two rows, among them failures, short captions and duplicates."""
    for tar in range(2):
        rows: list[dict[str, Any]] = [
            {
                "key": f"{tar}{i:02d}",
                "caption": f"a red dog number {tar} {i}",
                "url": f"u{i}",
                "image": jpeg(tar * 50 + i),
            }
            for i in range(ROWS)
        ]
        rows[3]["image"] = None
        rows[5]["caption"] = "dog"
        write_img2dataset(folder / "web", f"{tar:05d}", rows, count=ROWS + 1)
    (folder / "disk").mkdir()
    lines = []
    for i in range(6):
        (folder / "disk" / f"{i}.jpg").write_bytes(jpeg(i if i < 2 else 200 + i))
        lines.append({"text": f"a blue cat with number {i}", "file": f"{i}.jpg"})
    (folder / "disk" / "t.jsonl").write_text("\n".join(map(json.dumps, lines)))


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data and a finished run over them, to be copied."""
    folder = tmp_path_factory.mktemp("original")
    make_data(folder / "data")
    curate(folder / "data", folder / "out")
    return folder


@pytest.fixture
def data(original: Path, tmp_path: Path) -> Path:
    """A copy of the data."""
    return Path(shutil.copytree(original / "data", tmp_path / "data"))


@pytest.fixture
def out(original: Path, tmp_path: Path) -> Path:
    """A copy of the finished run."""
    return Path(shutil.copytree(original / "out", tmp_path / "out"))


def curate(data: Path, out: Path, fresh: bool = False, **more: Any) -> DatasetManifest:
    (data / "recipe.yaml").write_text(yaml.safe_dump(content(**more)))
    with RunProgress() as progress:
        return run(load_recipe(data / "recipe.yaml"), out, SerialPool(), progress, fresh)


def files(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def test_every_row_has_one_verdict_and_the_sums_agree(data: Path, tmp_path: Path) -> None:
    dataset = curate(data, tmp_path / "out")
    web = {
        "download:failed_to_download": 2,
        "download:unaccounted": 2,
        "duplicate_image": 2,
        "keep": 18,
        "text_length": 2,
    }
    assert dataset.verdicts == {"disk": {"keep": 6}, "web": web}
    assert (dataset.samples, dataset.rows) == (24, 32)
    assert [shard.samples for shard in dataset.shards] == [7, 7, 7, 3]
    assert audit(tmp_path / "out") == AuditResult(
        rows=32, kept=24, dropped=8, shards=4, hash=dataset.hash, revoked=0, discrepancy=None
    )


def test_a_second_run_changes_nothing(data: Path, out: Path) -> None:
    before = files(out)
    assert curate(data, out) == read_manifest(Layout(out).dataset, DatasetManifest)
    assert files(out) == before


def test_bytes_are_the_same_wherever_the_data_lies(data: Path, out: Path, tmp_path: Path) -> None:
    moved = data.rename(tmp_path / "elsewhere")
    curate(moved, tmp_path / "second")
    assert files(out) == files(tmp_path / "second")
    curate(moved, out)


LOST = [
    *("manifests/select/judged-*", "manifests/pack/*-000001*", "manifests/pack/*", "manifests/select.json"),
    *("manifests/scan.json", "shards/dataset.json", "manifests/*.json"),
]


@pytest.mark.parametrize("lost", LOST)
def test_what_lost_its_manifest_is_made_again_alike(data: Path, out: Path, lost: str) -> None:
    before = files(out)
    gone = list(out.glob(lost))
    assert gone
    for path in gone:
        path.unlink()
    curate(data, out)
    after = files(out)
    assert after == {name: data for name, data in before.items() if name in after}
    assert set(before) - set(after) <= {str(path.relative_to(out)) for path in gone if "judged" in path.name}


CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "filter": ({"filters": {"image_size": {"minimum_side": 25}}}, "minimum_side"),
    "dedup": ({"dedup": {"image": False}}, "dedup.image"),
    "seed": ({"pack": {"shard_rows": 7, "window_units": 2, "seed": 1}}, "pack.seed"),
    "cleaning": ({"clean": {"html": False}}, "clean"),
    "name": ({"name": "other"}, "name"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_recipe_is_refused_by_name_until_fresh(data: Path, out: Path, tmp_path: Path, change: str) -> None:
    more, word = CHANGES[change]
    before = files(out)
    with pytest.raises(StaleError, match=word) as caught:
        curate(data, out, **more)
    assert "--fresh" in str(caught.value)
    assert files(out) == before
    fresh = curate(data, out, fresh=True, **more)
    elsewhere = curate(data, tmp_path / "elsewhere", **more)
    assert fresh == elsewhere
    assert audit(out).discrepancy is None


def test_fresh_scans_only_what_changed(data: Path, out: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (out / "columns").iterdir()}
    curate(data, out, fresh=True, filters={"text_length": {"minimum": 1}})
    assert {path: path.stat().st_mtime_ns for path in (out / "columns").iterdir()} == before


@pytest.mark.parametrize(
    "more", [{"tolerance": {"unreadable_rows": 0.9}}, {"table2": True}], ids=["tolerance", "table2"]
)
def test_what_alters_no_data_may_change(data: Path, out: Path, more: dict[str, Any]) -> None:
    if "table2" in more:
        sources = content()["sources"]
        sources[0]["table2"] = {"dataset": "LAION-en", "original": 2, "cleaned": 1}
        more = {"sources": sources}
    before = read_manifest(Layout(out).dataset, DatasetManifest)
    assert curate(data, out, **more) == before


def change_input(data: Path) -> None:
    (data / "web" / "00000.tar").write_bytes((data / "web" / "00001.tar").read_bytes())


def remove_input(data: Path) -> None:
    for path in (data / "web").glob("00001*"):
        path.unlink()


def add_input(data: Path) -> None:
    write_img2dataset(data / "web", "00002", [{"key": "0", "caption": "a new dog", "url": "", "image": jpeg(99)}])


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (change_input, "00000.tar: input changed"),
        (remove_input, "00001.tar no longer exists"),
        (add_input, "00002.tar: new input"),
    ],
)
def test_changed_inputs_are_refused_by_name_until_fresh(
    data: Path, out: Path, tmp_path: Path, act: Callable[[Path], None], words: str
) -> None:
    act(data)
    with pytest.raises(StaleError, match=words):
        curate(data, out)
    assert curate(data, out, fresh=True) == curate(data, tmp_path / "elsewhere")
    assert audit(out).discrepancy is None


@pytest.mark.parametrize("side", ["00000.parquet", "00000_stats.json"])
def test_a_changed_status_file_is_a_changed_input(data: Path, out: Path, tmp_path: Path, side: str) -> None:
    path = data / "web" / side
    if side.endswith("json"):
        path.write_text('{"count": 40}')
    else:
        path.unlink()
    with pytest.raises(StaleError, match=r"00000\.tar: beside changed"):
        curate(data, out)


def test_an_image_that_changed_after_scan_is_noticed(data: Path, out: Path, tmp_path: Path) -> None:
    for path in [*(out / "manifests" / "pack").iterdir(), Layout(out).dataset]:
        path.unlink()
    path = data / "disk" / "3.jpg"
    path.write_bytes(path.read_bytes()[:-9] + b"\0\0\0\0\0\0\0\xff\xd9")  # of the same size: no plan sees it
    with pytest.raises(DataError, match="changed since it was scanned; choose another --output"):
        curate(data, out)
    assert curate(data, tmp_path / "another").samples == 24


def test_an_image_that_is_gone_after_scan_is_noticed(data: Path, out: Path) -> None:
    with pytest.raises(StaleError, match=r"disk/t.jsonl: beside changed"):
        (data / "disk" / "3.jpg").unlink()
        curate(data, out)


def test_more_damage_than_tolerated_stops_the_run_and_is_named(data: Path, tmp_path: Path) -> None:
    (data / "web" / "00000.tar").write_bytes((data / "web" / "00000.tar").read_bytes()[:20_000])
    with pytest.raises(DataError, match=r"unreadable:after_the_cut"):
        curate(data, tmp_path / "a", tolerance={"unreadable_rows": 0.01, "unreadable_units": 1.0})
    with pytest.raises(DataError, match=r"00000\.tar \(.*truncated_tar"):
        curate(data, tmp_path / "b", tolerance={"unreadable_rows": 1.0, "unreadable_units": 0.1})
    dataset = curate(data, tmp_path / "a", tolerance={"unreadable_rows": 1.0, "unreadable_units": 1.0})
    assert audit(tmp_path / "a").discrepancy is None
    assert dataset.verdicts["web"]["unreadable:truncated_tar"] == 1


def test_a_unit_that_cannot_be_opened_is_a_verdict_not_a_crash(data: Path, tmp_path: Path) -> None:
    (data / "web" / "00002.tar").mkdir()
    dataset = curate(data, tmp_path / "out")
    assert dataset.verdicts["web"]["unreadable:unit:IsADirectoryError"] == 1


def test_nothing_kept_is_a_dataset_of_nothing(data: Path, tmp_path: Path) -> None:
    dataset = curate(data, tmp_path / "out", filters={"text_length": {"minimum": 999}})
    assert (dataset.samples, dataset.shards) == (0, ())
    assert audit(tmp_path / "out").discrepancy is None


# ---- audit


def tamper_ledger_verdict(layout: Layout) -> None:
    path = next((layout.out / "ledger").glob("disk-*"))
    table = pq.read_table(path)
    words = ["emoji", *table["verdict"].to_pylist()[1:]]
    at = table.schema.get_field_index("verdict")
    column = type(table["verdict"].chunk(0)).from_arrays(range(len(words)), words)
    pq.write_table(table.set_column(at, "verdict", column), path)


def change_columns(layout: Layout) -> None:
    path = next((layout.out / "columns").glob("disk-*"))
    pq.write_table(pq.read_table(path).slice(1), path)


def flip_image_byte(layout: Layout) -> None:
    path = layout.shard("small-000001")
    data = bytearray(path.read_bytes())
    data[pq.read_table(layout.index("small-000001"))["image_offsets"][2].as_py()[0] + 5] ^= 1
    path.write_bytes(data)


def cut_shard(layout: Layout) -> None:
    layout.shard("small-000000").write_bytes(layout.shard("small-000000").read_bytes()[:-1])


def remove_shard(layout: Layout) -> None:
    layout.shard("small-000002").unlink()


def swap_index(layout: Layout) -> None:
    layout.index("small-000000").write_bytes(layout.index("small-000001").read_bytes())


def add_shard(layout: Layout) -> None:
    layout.shard("small-000009").write_bytes(bytes(1_024))


def change_dataset(layout: Layout) -> None:
    content = orjson.loads(layout.dataset.read_bytes())
    content["hash"] = "0" * 32
    layout.dataset.write_bytes(orjson.dumps(content))


def forget_a_shard(layout: Layout) -> None:
    content = orjson.loads(layout.dataset.read_bytes())
    content["shards"].pop()
    layout.dataset.write_bytes(orjson.dumps(content))


def remove_scan_manifest(layout: Layout) -> None:
    next((layout.out / "manifests" / "scan").glob("disk-*")).unlink()


@pytest.mark.parametrize(
    ("tamper", "words"),
    [
        (tamper_ledger_verdict, "ledger/disk-.*was changed after it was committed"),
        (change_columns, "columns/disk-.*was changed after it was committed"),
        (flip_image_byte, r"small-000001\.tar"),
        (cut_shard, r"small-000000\.tar was changed"),
        (remove_shard, r"small-000002\.tar is missing"),
        (swap_index, r"small-000000\.parquet"),
        (add_shard, r"small-000009\.tar belongs to no manifest"),
        (change_dataset, "hash"),
        (forget_a_shard, "dataset.json lists 3 shards, but 4 follow from it"),
        (remove_scan_manifest, "scan manifest is missing"),
    ],
)
def test_audit_finds_what_does_not_add_up(out: Path, tamper: Callable[[Layout], None], words: str) -> None:
    tamper(Layout(out))
    assert re.search(words, audit(out).discrepancy or "nothing found")


def test_audit_of_nothing_says_so(tmp_path: Path) -> None:
    with pytest.raises(QvlError, match="no finished run"):
        audit(tmp_path)


# ---- trace and plan


def test_trace_goes_both_ways(data: Path, out: Path) -> None:
    found = trace_row(out, "t.jsonl", 4)
    assert (found.verdict, found.file, found.row) == ("keep", "t.jsonl", 4)
    assert trace_sample(out, found.id) == found
    position = found.shard
    assert isinstance(position, ShardPosition)
    tar = (out / position.tar).read_bytes()
    offset, size = position.image_offsets[0], position.image_sizes[0]
    assert tar[offset : offset + size] == (data / "disk" / "4.jpg").read_bytes()
    assert json.loads(tar[position.json_offset : position.json_offset + position.json_size])["id"] == found.id
    assert position.tar.startswith("shards/small-00000")


def test_trace_names_what_a_row_lost_to_and_what_it_fails(data: Path, out: Path) -> None:
    lost = trace_row(out, "web/00000.tar", 0)
    assert lost.verdict == "duplicate_image"
    keeper = lost.lost_to
    assert keeper is not None
    assert (keeper.file, keeper.row, keeper.verdict) == ("t.jsonl", 0, "keep")
    rows = [trace_row(out, str(data / "web" / "00000.tar"), i) for i in range(ROWS + 1)]
    short = [row for row in rows if row.verdict == "text_length"]
    assert [(row.failed, row.columns["caption"]) for row in short] == [(["text_length"], "dog")]
    assert all("shard" not in row.content() and row.shard is None for row in short)


def test_trace_of_what_does_not_exist(out: Path, tmp_path: Path) -> None:
    for act in (
        lambda: trace_sample(out, "nonsense"),
        lambda: trace_sample(out, "web-000000000000-0000001"),
        lambda: trace_sample(out, "x-y"),
        lambda: trace_row(out, "none.tar", 0),
        lambda: trace_row(out, "t.jsonl", 6),
        lambda: trace_row(out, "t.jsonl", -1),
        lambda: trace_sample(tmp_path / "nothing", "web-000000000000-0000001"),
    ):
        with pytest.raises(QvlError):
            act()


def test_plan_before_between_and_after(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (data / "recipe.yaml").write_text(yaml.safe_dump(content()))
    recipe = load_recipe(data / "recipe.yaml")
    before = make_plan(recipe, out)
    assert not out.exists()
    assert {name: (s.units, s.reused) for name, s in before.sources.items()} == {"web": (2, 0), "disk": (1, 0)}
    assert before.sources["web"].bytes == sum(p.stat().st_size for p in (data / "web").glob("*.tar"))
    curate(data, out)
    after = make_plan(recipe, out)
    assert {name: (s.reused, s.rows) for name, s in after.sources.items()} == {"web": (2, 26), "disk": (1, 6)}
    assert after.stages == StagesDone(scan=True, select=True, pack=True)
    assert after.stale is None
    (data / "recipe.yaml").write_text(yaml.safe_dump(content(dedup={"image": False})))
    assert "dedup.image" in str(make_plan(load_recipe(data / "recipe.yaml"), out).stale)


def test_a_nondeterministic_attempt_is_an_alarm(data: Path, out: Path) -> None:
    path = next((out / "manifests" / "pack").iterdir())
    manifest = orjson.loads(path.read_bytes())
    Layout(out).dataset.unlink()
    path.write_bytes(orjson.dumps({**manifest, "samples": 1}))
    with pytest.raises(ContractError):
        curate(data, out)


@pytest.mark.parametrize("unlinked", [0, 1, 2])
def test_a_fresh_run_killed_while_it_discards_still_ends_in_the_right_dataset(
    unlinked: int, data: Path, out: Path, tmp_path: Path
) -> None:
    """After any part of discarding, nothing that belongs to the old input is used again."""
    short = [{"key": f"0{i:02d}", "caption": "dog", "url": f"u{i}", "image": jpeg(i)} for i in range(ROWS)]
    write_img2dataset(data / "web", "00000", short, count=ROWS)
    layout = Layout(out)
    unit = next(
        m["unit"]
        for m in map(read_manifest, (out / "manifests" / "scan").glob("*.json"))
        if m and m["name"] == "00000.tar"
    )
    gone = [layout.unit_manifest(unit), layout.stage_manifest("scan"), layout.stage_manifest("select")]
    for path in gone[: unlinked + 1]:
        path.unlink()
    expected = curate(data, tmp_path / "clean")
    try:
        found = curate(data, out)
    except StaleError:
        found = curate(data, out, fresh=True)
    assert found.hash == expected.hash
    assert audit(out).discrepancy is None


@pytest.mark.parametrize("lost", ["shards/small-000001.tar", "shards/small-000000.parquet", "ledger", "columns"])
def test_what_was_deleted_by_hand_is_made_again_by_the_same_command(lost: str, data: Path, out: Path) -> None:
    before = audit(out).hash
    path = out / lost
    victim = sorted(path.iterdir())[0] if path.is_dir() else path
    victim.unlink()
    assert audit(out).discrepancy is not None
    assert curate(data, out).hash == before
    assert audit(out).discrepancy is None


def test_the_order_of_sources_in_the_recipe_changes_nothing(data: Path, tmp_path: Path) -> None:
    turned = content()
    turned["sources"].reverse()
    assert curate(data, tmp_path / "a").hash == curate(data, tmp_path / "b", sources=turned["sources"]).hash


def test_a_damaged_manifest_is_named_and_its_work_done_again(data: Path, out: Path) -> None:
    path = Layout(out).stage_manifest("select")
    path.write_bytes(b"")
    with pytest.raises(DataError, match=r"select.json is corrupted; delete it"):
        curate(data, out)
    path.unlink()
    curate(data, out)
    assert audit(out).discrepancy is None


@pytest.mark.parametrize("change", ["added", "replaced", "removed"])
def test_changed_images_beside_a_table_are_refused_until_fresh(change: str, data: Path, tmp_path: Path) -> None:
    hidden = (data / "disk" / "5.jpg").read_bytes()
    if change == "added":
        (data / "disk" / "5.jpg").unlink()
    curate(data, tmp_path / "o")
    if change == "removed":
        (data / "disk" / "5.jpg").unlink()
    else:
        (data / "disk" / "5.jpg").write_bytes(hidden if change == "added" else jpeg(77, 90, 60))
    with pytest.raises(StaleError, match=r"disk/t.jsonl: beside changed"):
        curate(data, tmp_path / "o")
    found = curate(data, tmp_path / "o", fresh=True)
    assert found.hash == curate(data, tmp_path / "clean").hash
