"""The demo over the shipped corpus: every planted row gets the verdict that it was planted for."""

import json
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
import webdataset

from qvl.pipeline.filters import FILTER_NAMES
from tests.end_to_end.conftest import CORPUS, ROOT, qvl
from tests.shared import demo_output

PLANTED = json.loads((CORPUS / "planted.json").read_text(encoding="utf-8"))
OTHER_WORDS = {"keep", "duplicate_image", "duplicate_pair", "near_duplicate", "repeated_text", "longest_caption"}


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return demo_output(tmp_path_factory) / "demo"


@pytest.fixture(scope="session")
def verdicts(demo: Path) -> dict[str, tuple[str, int]]:
    """Verdict and failed bits by url of the planted rows."""
    query = f"select url, verdict, failed from '{demo}/ledger/*.parquet' where url like 'planted://%'"
    return {url: (verdict, failed) for url, verdict, failed in duckdb.sql(query).fetchall()}


@pytest.mark.parametrize("row", PLANTED, ids=[row["url"].removeprefix("planted://") for row in PLANTED])
def test_planted_row(row: dict[str, str], verdicts: dict[str, tuple[str, int]]) -> None:
    verdict, failed = verdicts[row["url"]]
    words = [word for bit, word in enumerate(FILTER_NAMES) if failed >> bit & 1]
    assert verdict == row["expected"], f"all failed rules: {words}"


def test_every_planted_row_is_in_the_table(verdicts: dict[str, tuple[str, int]]) -> None:
    assert set(verdicts) == {row["url"] for row in PLANTED}


def test_every_input_row_has_one_verdict_from_the_known_words(demo: Path) -> None:
    counts = duckdb.sql(f"select verdict, count(*) from '{demo}/ledger/*.parquet' group by 1").fetchall()
    dataset = json.loads((demo / "shards" / "dataset.json").read_text())
    assert sum(count for _, count in counts) == dataset["lineage"]["rows"]
    for word, _ in counts:
        assert word in OTHER_WORDS | set(FILTER_NAMES) or word.startswith(("unreadable:", "download:")), word
    ids = duckdb.sql(f"select count(*), count(distinct id) from '{demo}/ledger/*.parquet'").fetchall()[0]
    assert ids[0] == ids[1] == dataset["lineage"]["rows"]


def test_the_audit_agrees(demo: Path) -> None:
    result = qvl("curate", "audit", str(demo), "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["discrepancy"] is None


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # webdataset leaves its files open
def test_the_shards_open_with_webdataset(demo: Path) -> None:
    shards = sorted(str(path) for path in (demo / "shards").glob("*.tar"))
    samples = list(webdataset.WebDataset(shards, shardshuffle=False, empty_check=False))
    dataset = json.loads((demo / "shards" / "dataset.json").read_text())
    assert len(samples) == dataset["samples"] > 300
    for sample in samples:
        content = json.loads(sample["json"])
        assert sample["__key__"] == content["id"]
        assert len({"jpg", "png", "webp"} & set(sample)) == 1
        assert content["turns"][0]["text"].startswith("<img>0</img>Generate the caption in ")


def test_kept_captions_are_clean_and_bilingual(demo: Path) -> None:
    query = f"select caption, language from '{demo}/ledger/*.parquet' where verdict = 'keep'"
    rows = duckdb.sql(query).fetchall()
    assert {language for _, language in rows} == {"en", "zh"}
    assert all(caption == " ".join(caption.split()) and "<b>" not in caption for caption, _ in rows)


def test_the_index_finds_every_image(demo: Path) -> None:
    index = demo / "shards" / "demo-000000.parquet"
    data = index.with_suffix(".tar").read_bytes()
    for row in pq.read_table(index).to_pylist():
        start, size = row["image_offsets"][0], row["image_sizes"][0]
        assert data[start : start + 2] in (b"\xff\xd8", b"\x89P", b"RI")
        assert json.loads(data[row["json_offset"] : row["json_offset"] + row["json_size"]])["id"] == row["key"]
        assert data[row["offset"] : row["offset"] + len(row["key"])].decode() == row["key"]
        assert size > 0


def test_trace_goes_both_ways(demo: Path) -> None:
    sample = duckdb.sql(
        f"select id from '{demo}/ledger/*.parquet' where verdict = 'keep' order by id limit 1"
    ).fetchall()
    forward = json.loads(qvl("curate", "trace", str(demo), sample[0][0], "--json").stdout)
    assert forward["verdict"] == "keep"
    assert (demo / forward["shard"]["tar"]).is_file()
    back = json.loads(qvl("curate", "trace", str(demo), "--row", forward["file"], str(forward["row"]), "--json").stdout)
    assert back == forward


def test_trace_follows_a_duplicate_to_its_keeper(demo: Path) -> None:
    query = f"select id, dup_of from '{demo}/ledger/*.parquet' where verdict = 'duplicate_image' order by id limit 1"
    sample, keeper = duckdb.sql(query).fetchall()[0]
    content = json.loads(qvl("curate", "trace", str(demo), sample, "--json").stdout)
    assert content["lost_to"]["id"] == keeper
    assert content["columns"]["image_hash"] == content["lost_to"]["columns"]["image_hash"]


def test_plan_says_that_nothing_is_left_to_do(demo: Path) -> None:
    recipe = str(ROOT / "examples" / "demo.yaml")
    plan = json.loads(qvl("curate", "plan", recipe, "--output", str(demo), "--json").stdout)
    assert all(plan["stages"].values())
    assert plan["stale"] is None
