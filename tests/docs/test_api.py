"""The code of docs/api.md runs from top to bottom, and prints what the page shows; its table lists the public names."""

import contextlib
import io
import re
from pathlib import Path
from typing import Any

import pytest

import qvl
from tests.docs.pages import ROOT, page

TEXT = page("docs/api.md")
PARTS = re.findall(r"```(python)?\n(.*?)```", TEXT, re.DOTALL)


def run(code: str, names: dict[str, Any]) -> str:
    """What the code prints; the value of a last expression is printed as in a notebook."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        lines = code.rstrip().splitlines()
        if lines[-1].startswith("run.ledger("):
            lines[-1] = f"print({lines[-1]})"
        exec(compile("\n".join(lines), "docs/api.md", "exec"), names)
    return printed.getvalue()


def test_code_of_the_page_when_run_prints_what_the_page_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    shown, compared = "", 0
    for language, text in PARTS:
        if language:
            shown = run(text, names)
            continue
        pattern = ".*".join(map(re.escape, text.rstrip().split("...")))
        assert re.fullmatch(pattern, shown.rstrip(), re.DOTALL), f"{shown}\nis not\n{text}"
        compared += 1
    assert compared == TEXT.count("\n```\n\n```\n")


def test_table_of_names_lists_only_public_names_and_all_that_users_call() -> None:
    listed = set(re.findall(r"^\| `qvl\.(\w+)`", TEXT, re.MULTILINE))
    assert listed <= set(qvl.__all__)
    assert set(qvl.__all__) - listed == {"ReadSample", "WhatIf", "Workspace"}  # given to users by methods


def test_public_names_when_used_are_what_they_say() -> None:
    for name in qvl.__all__:
        assert getattr(qvl, name).__doc__
    assert set(qvl.__all__) <= set(dir(qvl))
    with pytest.raises(AttributeError, match="no attribute 'missing'"):
        getattr(qvl, "missing")  # noqa: B009
