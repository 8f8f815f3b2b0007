"""Takedowns from real outputs: what is removed, what keeps its bytes, the record, kills, and later runs."""

import hashlib
import io
import json
import shutil
import tarfile
from pathlib import Path

import pytest

import qvl.pipeline.commands.curate
from qvl.pipeline.base.errors import DataError, QvlError
from qvl.pipeline.finished.audit import audit
from qvl.pipeline.finished.trace import trace_sample
from qvl.pipeline.shards.reader import open_dataset
from qvl.pipeline.shards.sample import SampleRecord
from qvl.pipeline.shards.scan import scan_dataset
from qvl.pipeline.takedown.journal import finish_takedown
from qvl.pipeline.takedown.requests import TakedownList, read_list
from qvl.pipeline.takedown.revoke import find_home, find_records, revoke, stage_takedown, with_cleared_files
from tests.pipeline.samples import jpeg
from tests.pipeline.takedown.kills import DAY, kill_takedowns, run_takedown, spread, stopped_after

RECIPE = """
name: pairs
sources: [{name: photos, read: {kind: webdataset, paths: ['*.tar']}}]
filters: {text_length: {minimum: 3, maximum: 1000}, characters: {}}
pack: {shard_rows: 8, window_units: 2}
"""


def write_tar(path: Path, first: int, rows: int) -> None:
    with tarfile.open(path, "w") as tar:
        for row in range(first, first + rows):
            picture = jpeg(seed=0 if row in (3, 4) else row, width=60 + row)
            meta = json.dumps({"url": f"https://example.org/{row}.jpg"}).encode()
            text = f"A photograph of the house number {row} in the street".encode()
            for ending, data in (("jpg", picture), ("txt", text), ("json", meta)):
                member = tarfile.TarInfo(f"{row:05d}.{ending}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    for unit in range(3):
        write_tar(folder / f"{unit:05d}.tar", 14 * unit, 14)
    (folder / "recipe.yaml").write_text(RECIPE)
    return folder / "recipe.yaml"


def run(recipe: Path, out: Path, fresh: bool = False) -> None:
    qvl.pipeline.commands.curate.run(
        recipe=recipe, output=str(out), workers="serial", address=None, fresh=fresh, as_json=False
    )


@pytest.fixture(scope="module")
def finished(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("finished") / "out"
    run(recipe, out)
    return out


@pytest.fixture
def out(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "out"))


def contents(out: Path) -> dict[str, bytes]:
    """Every file of an output except its lock."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def listed(tmp_path: Path, *lines: str) -> TakedownList:
    (tmp_path / "list.txt").write_text("\n".join(["# takedowns", "", *lines]) + "\n")
    return read_list(tmp_path / "list.txt")


def samples(out: Path) -> dict[str, tuple[str, SampleRecord, bytes]]:
    """Shard, record and image of every sample."""
    return {s.key: (s.shard.name, s.record(), s.image(0)) for s in scan_dataset(open_dataset(str(out)))}


def test_revoke_takes_samples_down_by_address_hash_and_id(out: Path, tmp_path: Path) -> None:
    before, files = samples(out), contents(out)
    by_url = {record.origin.url: key for key, (_, record, _) in before.items()}
    keys = [by_url[f"https://example.org/{row}.jpg"] for row in (5, 17, 20, 31)]
    hashes = [before[key][1].origin.sha for key in keys]
    sha256, md5 = hashlib.sha256(before[keys[2]][2]), hashlib.md5(before[keys[3]][2])
    lines = ["https://example.org/5.jpg", hashes[1].upper(), sha256.hexdigest(), f"md5:{md5.hexdigest()}", "no-such-id"]
    found = revoke(out, listed(tmp_path, *lines), DAY)
    assert {record.id for record in found.records} == set(keys)
    assert found.nothing_on == ("id:no-such-id",)
    after = samples(out)
    assert after == {key: value for key, value in before.items() if key not in keys}
    concerned = {before[key][0] for key in keys}
    now = contents(out)
    assert b"data:image" in files.pop("report.html") and "report.html" not in now
    for name, data in files.items():
        touched = Path(name).stem in concerned and ("shards/" in name or "manifests/pack" in name)
        assert (now[name] == data) != (touched or name == "shards/dataset.json"), name
    assert now.keys() - files.keys() == {"revoked.jsonl"}
    for record in map(json.loads, now["revoked.jsonl"].splitlines()):
        assert (
            record["also"] == ["report.html"]
            and record["shard"] == before[record["id"]][0]
            and record["date"] == DAY
            and record["url"]
            and record["sha"]
        )
    for shard in concerned:
        with tarfile.open(out / "shards" / f"{shard}.tar") as tar:
            assert [n for n in tar.getnames() if n.endswith(".json")] == [
                f"{key}.json" for key in after if after[key][0] == shard
            ]


def test_audit_and_trace_after_a_takedown_report_it(out: Path, tmp_path: Path) -> None:
    whole = audit(out)
    key = next(iter(samples(out)))
    revoke(out, listed(tmp_path, key), DAY)
    found = audit(out)
    assert found.discrepancy is None
    assert (found.rows, found.kept, found.revoked) == (whole.rows, whole.kept, 1)
    assert found.dropped == whole.dropped
    traced = trace_sample(out, key)
    assert traced.verdict == "keep" and traced.content()["shard"] == {"taken down": f"{DAY}, by id:{key}"}
    (out / "revoked.jsonl").unlink()
    assert "its samples are not those" in str(audit(out).discrepancy)


def test_audit_when_a_sample_is_on_record_but_still_in_its_shard_fails(out: Path) -> None:
    key = next(iter(samples(out)))
    (out / "revoked.jsonl").write_text(json.dumps({"id": key, "by": f"id:{key}", "date": DAY}) + "\n")
    assert "its samples are not those" in str(audit(out).discrepancy)


def test_run_after_a_takedown_does_not_bring_samples_back(recipe: Path, out: Path, tmp_path: Path) -> None:
    before = (out / "report.html").read_text()
    keys = [key for key in samples(out) if key in before][:2]
    revoke(out, listed(tmp_path, *keys), DAY)
    taken = contents(out)
    run(recipe, out)
    report = (out / "report.html").read_text()
    assert len(keys) == 2 and "taken down" not in before and "taken down" in report  # instead of their pictures
    assert {n: d for n, d in contents(out).items() if n.startswith(("shards/", "manifests/pack"))} == {
        n: d for n, d in taken.items() if n.startswith(("shards/", "manifests/pack"))
    }
    run(recipe, out, fresh=True)  # packed again from the sources: the same bytes as the takedown wrote
    assert {n: d for n, d in contents(out).items() if n.startswith("shards/")} == {
        n: d for n, d in taken.items() if n.startswith("shards/")
    }
    assert audit(out).discrepancy is None


def test_revoke_when_repeated_for_a_whole_shard_removes_each_sample_once(out: Path, tmp_path: Path) -> None:
    before = samples(out)
    shard = next(iter(before.values()))[0]
    gone = [key for key, (name, _, _) in before.items() if name == shard]
    revoke(out, listed(tmp_path, gone[0]), DAY)
    revoke(out, listed(tmp_path, *gone), DAY)
    again = revoke(out, listed(tmp_path, *gone), DAY)
    assert again.samples == 0 and again.nothing_on == () and again.hash[0] == again.hash[1]
    assert samples(out).keys() == before.keys() - set(gone)
    assert len((out / "revoked.jsonl").read_text().splitlines()) == len(gone)
    dataset = json.loads((out / "shards" / "dataset.json").read_text())
    assert dataset["revoked"] == len(gone) and dataset["samples"] == len(before) - len(gone)
    assert audit(out).discrepancy is None


def test_revoke_when_dry_changes_nothing(out: Path, tmp_path: Path) -> None:
    before = contents(out)
    assert revoke(out, listed(tmp_path, next(iter(samples(out)))), DAY, dry=True).samples == 1
    assert contents(out) == before


def test_revoke_when_a_shard_was_damaged_changes_nothing(out: Path, tmp_path: Path) -> None:
    key, (name, _, _) = next(iter(samples(out).items()))
    shard = out / "shards" / f"{name}.tar"
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    before = contents(out)
    with pytest.raises(DataError, match="its bytes are not those that were committed; restore it"):
        revoke(out, listed(tmp_path, key), DAY)
    finish_takedown(out)
    assert contents(out) == before


def test_revoke_in_a_bare_folder_of_shards_removes_the_sample(out: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(out / "shards", tmp_path / "copied"))
    key = list(samples(out))[-1]
    revoke(folder, listed(tmp_path, key), DAY)
    assert key not in samples(folder) and len(samples(folder)) == len(samples(out)) - 1
    assert json.loads((folder / "revoked.jsonl").read_text())["id"] == key


def test_revoke_when_an_earlier_takedown_stopped_after_any_rename_finishes_it(out: Path, tmp_path: Path) -> None:
    wanted = listed(tmp_path, *list(samples(out))[::9])
    straight = Path(shutil.copytree(out, tmp_path / "straight"))
    revoke(straight, wanted, DAY)
    home = find_home(out)
    dataset = open_dataset(str(out))
    records = with_cleared_files(home, find_records(dataset, wanted, DAY), {})
    assert all(record.also == ("report.html",) for rows in records.values() for record in rows.values())
    stage_takedown(home, dataset, records, {})
    moves = json.loads(home.layout.takedown.read_bytes())
    assert len(moves) > 8
    for done in range(len(moves) + 1):
        stopped = stopped_after(moves[:done], out, tmp_path / f"stopped-{done}")
        assert "was interrupted" in str(audit(stopped).discrepancy), done
        revoke(stopped, wanted, DAY)
        assert contents(stopped) == contents(straight), done
    finish_takedown(out)
    assert contents(out) == contents(straight)


def test_run_when_a_takedown_was_interrupted_finishes_it_first(recipe: Path, out: Path, tmp_path: Path) -> None:
    """With other shards, the paths in the journal would no longer exist: the run must apply the journal first."""
    keys = list(samples(out))[::9]
    wanted, home, dataset = listed(tmp_path, *keys), find_home(out), open_dataset(str(out))
    other = recipe.with_name("other.yaml")
    other.write_text(RECIPE.replace("shard_rows: 8", "shard_rows: 5"))
    stage_takedown(home, dataset, find_records(dataset, wanted, DAY), {})
    moves = json.loads(home.layout.takedown.read_bytes())
    for done in range(0, len(moves), 4):
        stopped = Path(shutil.copytree(out, tmp_path / f"stopped-{done}"))
        for name, target in moves[:done]:
            (stopped / ".revoke" / name).replace(stopped / target)
        run(other, stopped, fresh=True)
        assert not (stopped / ".revoke").exists()
        assert samples(stopped).keys() == samples(out).keys() - set(keys)
        assert audit(stopped).discrepancy is None


@pytest.mark.parametrize("kills", [6, pytest.param(80, marks=pytest.mark.long)])
def test_revoke_when_an_earlier_takedown_was_killed_at_any_call_finishes_it(
    out: Path, tmp_path: Path, kills: int
) -> None:
    wanted = listed(tmp_path, *list(samples(out))[::7])
    straight = Path(shutil.copytree(out, tmp_path / "straight"))
    calls = run_takedown(straight, tmp_path / "list.txt")
    expected, kept = contents(straight), samples(straight).keys()
    copies = [Path(shutil.copytree(out, tmp_path / f"killed-{number}")) for number in range(kills)]
    kill_takedowns(tmp_path / "list.txt", dict(zip(copies, spread(calls, kills), strict=True)))
    journals = [(target / ".revoke" / "journal.json").exists() for target in copies]
    assert set(journals) == {False, True}  # some were killed before the journal existed, some after
    for target, has_journal in zip(copies, journals, strict=True):
        assert has_journal or samples(target).keys() >= kept
        revoke(target, wanted, DAY)
        assert contents(target) == expected
        assert not (target / ".revoke").exists()


def test_revoke_when_the_output_cannot_be_used_raises(out: Path, tmp_path: Path) -> None:
    with pytest.raises(QvlError, match="needs the shards on a disk"):
        find_home(Path("s3://bucket/out"))
    key = next(iter(samples(out)))
    tar = out / "shards" / "pairs-000001.tar"
    tar.write_bytes(tar.read_bytes()[:-1024])
    with pytest.raises(DataError, match=r"pairs-000001\.tar: \d+ bytes, dataset\.json says"):
        revoke(out, listed(tmp_path, key), DAY)
    (out / "revoked.jsonl").write_text("{}\n")
    with pytest.raises(DataError, match="would come back"):
        audit_or_raise(out)


def audit_or_raise(out: Path) -> None:
    """The audit's first discrepancy as an error."""
    found = audit(out).discrepancy
    if found:
        raise DataError(found)
