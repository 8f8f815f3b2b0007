"""The recipe and the commands of the README run, and its figures are those of benchmarks/results."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from qvl.command import app
from qvl.pipeline.recipe.recipe import load_recipe
from tests.docs.pages import ROOT, blocks, page
from tests.pipeline.samples import jpeg, tar_bytes

README = page("README.md")
# long commands, and the test or CI step that runs them
LONG = {
    "make demo": "tests/end_to_end/test_demo_parts.py",
    "make test": ".ci/run",
    "qvl train plan": "tests/training/plan/test_plan.py",
    "qvl train run": "tests/training/loop/test_run.py",
    "qvl train report": "tests/training/pages/report/test_page.py",
    "qvl eval run": "tests/training/evaluation/test_run.py",
    "qvl view": "tests/end_to_end/test_view.py",
}
SHORT = (
    "qvl curate plan",
    "qvl curate run",
    "qvl curate audit",
    "qvl curate trace",
    "duckdb -c",
    ". .venv/bin/activate",
)


def commands() -> list[str]:
    """The command lines in the README's blocks, without comments."""
    starts = ("make ", "qvl ", "duckdb ", ". ")
    lines = [line for block in blocks(README, "") for line in block.splitlines() if line.startswith(starts)]
    return [re.sub(r"\s+", " ", line.split(" #")[0]).strip() for line in lines]


@pytest.mark.parametrize("line", commands())
def test_command_of_the_readme_when_classified_runs_here_or_elsewhere(line: str) -> None:
    here = [word for word in SHORT if line.startswith(word)]
    elsewhere = [word for word in LONG if line.startswith(word)]
    assert len(here) + len(elsewhere) == 1
    assert all((ROOT / LONG[word]).is_file() for word in elsewhere)


@pytest.mark.parametrize("target", ["demo", "test"])
def test_make_target_when_looked_up_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert f"make {target}" in commands()
    assert "make test" in (ROOT / ".ci/run").read_text()


@pytest.fixture
def pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The README's first recipe next to small data in its formats, in the current folder."""
    (text,) = blocks(README, "yaml")
    (tmp_path / "pairs.yaml").write_text(text)
    members = []
    for number, score in enumerate((0.4, 0.1)):
        meta = json.dumps({"text": "x", "clip_similarity_vitb32": score}).encode()
        caption = b"a red fox beside the old stone wall"
        members += [(f"{number}.jpg", jpeg(number, 300, 240)), (f"{number}.txt", caption), (f"{number}.json", meta)]
    (tmp_path / "coyo-700m").mkdir()
    (tmp_path / "coyo-700m" / "00000.tar").write_bytes(tar_bytes(members))
    (tmp_path / "mine" / "images").mkdir(parents=True)
    (tmp_path / "mine" / "images" / "a.jpg").write_bytes(jpeg(7, 300, 240))
    (tmp_path / "mine" / "all.tsv").write_text("text\tfile\nthe harbour in the evening light\ta.jpg\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_first_recipe_when_its_commands_run_gives_the_expected_verdicts(pairs: Path) -> None:
    assert [source.name for source in load_recipe(pairs / "pairs.yaml").sources] == ["coyo", "mine"]
    for line in (line for line in commands() if line.startswith("qvl curate")):
        words = shlex.split(line)[1:]
        if "SAMPLE_ID" in words or "FILE" in words:
            kept = next(row for row in ledger(pairs) if row["verdict"] == "keep")
            named = {"SAMPLE_ID": kept["id"], "FILE": "coyo/00000.tar", "ROW": "1"}
            words = [named.get(word, word) for word in words]
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, (line, result.output, result.exception)
    assert sorted(row["verdict"] for row in ledger(pairs)) == ["clip", "keep", "keep"]
    (query,) = [shlex.split(line)[2] for line in commands() if line.startswith("duckdb")]
    assert duckdb.sql(query).fetchall() == [("keep", 2), ("clip", 1)]


def ledger(folder: Path) -> list[dict[str, str]]:
    columns = ["id", "verdict"]
    rows: list[dict[str, str]] = []
    for path in sorted((folder / "out" / "ledger").glob("*.parquet")):
        rows += pq.read_table(path, columns=columns).to_pylist()
    return rows


def figures() -> list[tuple[str, str, str]]:
    """The stage, the figure and the results page for every figure in the table of rates."""
    found = []
    for line in README.splitlines():
        match = re.match(r"\| (.+?) \|(.*)\| \[[^]]+\]\((benchmarks/results/\w+\.md)\) \|$", line)
        if match:
            numbers = re.findall(r"(?<![\w.^-])\d+(?:,\d{3})*(?:\.\d+)?[x%]?", match[2])
            found += [(match[1], number, match[3]) for number in numbers]
    return found


@pytest.mark.parametrize(("stage", "number", "results"), figures())
def test_figure_of_the_readme_when_searched_is_on_its_results_page(stage: str, number: str, results: str) -> None:
    """A dimension such as 224 pixels counts as a figure too, because it is also in the results."""
    assert re.search(rf"(?<![\d.,]){re.escape(number)}(?![\d])", page(results)), (
        f"{stage}: {number} is not in {results}"
    )


def test_table_of_rates_when_parsed_is_a_single_table() -> None:
    lines = README[README.index("## How fast") :].splitlines()
    rows = [number for number, line in enumerate(lines) if line.startswith("|")]
    assert rows == list(range(rows[0], rows[-1] + 1))
    assert len({lines[number].count("|") for number in rows}) == 1
    assert len(figures()) >= len(rows)


def test_version_when_printed_is_that_of_pyproject_and_changelog() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from qvl.command import main; main()", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    version = re.search(r'^version = "(.+)"$', page("pyproject.toml"), re.MULTILINE)
    assert version is not None
    assert done.stdout == f"qvl {version[1]}\n"
    assert f"## {version[1]} (" in page("CHANGELOG.md")
