"""Balance in real runs: exact counts over groups and partitions, receipts, resumption, the same bytes on Ray."""

import subprocess
import sys
import urllib.parse
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from qvl.pipeline.base.errors import RecipeError, StaleError
from qvl.pipeline.base.pool import SerialPool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.curate.run import run
from qvl.pipeline.curate.selection.ledger import read_ledger
from qvl.pipeline.finished.audit import audit
from qvl.pipeline.finished.trace import trace_sample
from qvl.pipeline.recipe.recipe import load_recipe
from qvl.pipeline.report.page import write_report
from tests.pipeline.curate.small_run import curate, files
from tests.shared import ROOT

CAP: dict[str, Any] = {"name": "addresses", "cap": {"per": ["url"], "count": 1}}
SIZES: dict[str, Any] = {"name": "per_source", "cap": {"per": ["source"], "count": 4, "by": "characters"}}
LEFT_OUT = ("report.html", "report.json", ".lock")


def rows(out: Path) -> list[dict[str, Any]]:
    return [row for _, table in read_ledger(out, ["id", "source", "url", "verdict"]) for row in table.to_pylist()]


def test_balance_when_run_keeps_at_most_the_count_and_every_row_has_one_verdict(data: Path, tmp_path: Path) -> None:
    plain, out = tmp_path / "plain", tmp_path / "out"
    curate(data, plain)
    curate(data, out, balance=[CAP, SIZES])
    before, after = rows(plain), rows(out)
    kept = Counter(row["url"] for row in before if row["verdict"] == "keep" and row["url"])
    assert max(kept.values()) == 2
    verdicts = Counter(row["verdict"] for row in after)
    assert verdicts["balanced:addresses"] == sum(count - 1 for count in kept.values())
    assert Counter(row["source"] for row in after if row["verdict"] == "keep") == {"web": 4, "disk": 4}
    assert verdicts.total() == len(before)
    for old, new in zip(before, after, strict=True):
        assert old["verdict"] == new["verdict"] or (old["verdict"] == "keep" and new["verdict"].startswith("balanced:"))
    assert audit(out).discrepancy is None


def test_example_over_the_demo_corpus_when_run_keeps_what_its_steps_allow(tmp_path: Path) -> None:
    out, recipe = tmp_path / "out", load_recipe(ROOT / "examples" / "balance.yaml")
    with RunProgress() as progress:
        run(recipe, out, SerialPool(), progress)
    verdicts = Counter(row["verdict"] for row in rows(out))
    assert verdicts["keep"] == 240
    assert min(verdicts[step.reason] for step in recipe.balance) > 0
    reached = Counter(
        domain_of(row) for row in rows(out) if row["verdict"] in ("keep", "balanced:longest", "balanced:drawn")
    )
    assert max(count for domain, count in reached.items() if domain) == 150
    assert audit(out).discrepancy is None


def domain_of(row: dict[str, Any]) -> str:
    return (urllib.parse.urlsplit(row["url"] or "").hostname or "").removeprefix("www.")


def test_balance_in_the_report_is_a_step_of_the_funnel_and_a_trace_names_the_step(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    curate(data, out, balance=[CAP, SIZES])
    with RunProgress() as progress:
        write_report(out, progress)
    assert b"balanced:addresses" in (out / "report.json").read_bytes()
    dropped = next(row["id"] for row in rows(out) if row["verdict"] == "balanced:per_source")
    assert trace_sample(out, dropped).verdict == "balanced:per_source"


def test_balance_when_it_changes_repeats_select_but_not_the_scan(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    curate(data, out, balance=[CAP])
    columns = {name: content for name, content in files(out).items() if name.startswith("columns/")}
    with pytest.raises(StaleError, match=r"balance\.0\.cap\.count: 1 -> 2"):
        curate(data, out, balance=[{**CAP, "cap": {"per": ["url"], "count": 2}}])
    curate(data, out, fresh=True)
    assert columns.items() <= files(out).items()
    curate(data, tmp_path / "plain")
    assert {n: c for n, c in files(out).items() if n.startswith(("shards/", "ledger/"))} == {
        n: c for n, c in files(tmp_path / "plain").items() if n.startswith(("shards/", "ledger/"))
    }


def test_balance_when_stopped_after_any_of_its_arrays_is_finished_to_the_same_bytes(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    curate(data, out, balance=[CAP, SIZES])
    whole, layout = files(out), Layout(out)
    steps = ("offered-addresses", "balanced-addresses", "offered-per_source", "balanced-per_source", "ledger")
    for done in range(len(steps)):
        for step in steps[done:]:
            layout.group_manifest(step, 0).unlink()
            layout.work(step, 0).unlink(missing_ok=True)
        layout.stage_manifest("select").unlink()
        layout.dataset.unlink()
        curate(data, out, balance=[CAP, SIZES])
        assert files(out) == whole, steps[done]


def test_balance_on_ray_gives_the_bytes_of_a_serial_run(data: Path, tmp_path: Path) -> None:
    curate(data, tmp_path / "serial", balance=[CAP, SIZES])
    command = ["curate", "run", str(data / "recipe.yaml"), "--output", str(tmp_path / "ray"), "--workers", "ray"]
    done = subprocess.run(
        [sys.executable, "-m", "qvl", *command], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    serial, ray = files(tmp_path / "serial"), files(tmp_path / "ray")
    assert {name: ray[name] for name in serial if name not in LEFT_OUT} == {
        name: content for name, content in serial.items() if name not in LEFT_OUT
    }


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"name": "s", "cap": {"per": ["nothing"], "count": 1}}, "balance.s: there is no column nothing"),
        ({"name": "s", "top": {"by": "caption", "share": 0.5}}, "`by` needs numbers"),
    ],
)
def test_balance_when_a_column_is_unsuitable_is_refused(
    data: Path, tmp_path: Path, step: dict[str, Any], message: str
) -> None:
    with pytest.raises(RecipeError, match=message):
        curate(data, tmp_path / "out", balance=[step])
