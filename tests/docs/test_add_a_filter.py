"""The edits of docs/add_a_filter.md are made in a copy of the code; the new filter passes its tests and curates."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.docs.pages import ROOT, blocks, page
from tests.pipeline.samples import jpeg

TEXT = page("docs/add_a_filter.md")
COPIED = ("pipeline", "tests", "docs", "README.md", "ARCHITECTURE.md", "qvl")
LINKED = ("grounding_builder", "synth_ocr", "model", "training", "examples", "pyproject.toml")


def edited(text: str, edit: str) -> str:
    """The text after a diff without line numbers has been applied."""
    lines = edit.splitlines()
    before = "\n".join(line[1:] for line in lines if not line.startswith("+"))
    after = "\n".join(line[1:] for line in lines if not line.startswith("-"))
    assert text.count(before) == 1, f"not found exactly once: {before}"
    return text.replace(before, after)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code with the edits of the page."""
    folder = tmp_path_factory.mktemp("copy")
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    for name in LINKED:
        (folder / name).symlink_to(ROOT / name)
    for edit in blocks(TEXT, "diff"):
        head, body = edit.split("\n", 1)
        target = folder / head.removeprefix("--- ")
        target.write_text(edited(target.read_text("utf-8"), body), "utf-8")
    for path, text in re.findall(r"^`([\w/.]+)`:\n\n```python\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE):
        (folder / path).write_text(text, "utf-8")
    return folder


def run(copy: Path, *arguments: str) -> str:
    """The output of Python with these arguments, run in the copy."""
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=copy, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_filter_tests_when_the_page_is_followed_pass(copy: Path) -> None:
    names = ("tests/contracts/test_filters.py", "tests/contracts/test_columns.py", "tests/docs/test_filters.py")
    out = run(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", *names, "tests/pipeline/filters/test_digits.py")
    assert " passed" in out
    run(copy, "-m", "ruff", "check", "--no-cache", "pipeline/filters", "tests/pipeline/filters")


def test_recipe_of_the_page_when_curated_drops_by_the_new_filter(copy: Path) -> None:
    recipe = copy / "few_digits.yaml"
    (text,) = blocks(TEXT, "yaml")
    recipe.write_text(text)
    rows = [{"caption": f"a fox with {tail}", "image": jpeg(i)} for i, tail in enumerate(("no number", "SKU 29384729"))]
    pq.write_table(pa.Table.from_pylist(rows), copy / "emoji.parquet")
    main = "from qvl.command import main; main()"
    shown = run(copy, "-c", main, "curate", "run", str(recipe), "--output", "out")
    assert re.search(r"- digits +│ +1 ", shown)
    ledger = pq.read_table(next((copy / "out" / "ledger").glob("*.parquet"))).to_pylist()
    assert [(row["digits"], row["verdict"]) for row in ledger] == [(0, "keep"), (8, "digits")]
    answer = json.loads(run(copy, "-c", main, "curate", "whatif", "out", "digits.maximum=8", "--json"))
    assert (answer["kept_before"], answer["kept_after"]) == (1, 2)
