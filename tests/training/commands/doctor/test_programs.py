"""Programs that are not installed, and programs that fail."""

from pathlib import Path

import pytest

from qvl.training.commands.doctor.programs import chromium, fonts, output_of, tesseract


def test_programs_that_are_not_installed_are_missing_with_their_fix(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    checks = [chromium(), *fonts(), *tesseract()]
    assert [check.state for check in checks] == ["missing"] * 3
    assert [check.repair for check in checks] == [
        "apt-get install -y chromium", "apt-get install -y fontconfig",
        "apt-get install -y tesseract-ocr tesseract-ocr-chi-sim",
    ]  # fmt: skip
    assert not any(check.needed for check in checks)


def test_programs_that_fail_are_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, script in (
        ("chromium-headless-shell", 'case "$*" in *--version*) echo Chromium 1;; *) exit 1;; esac'),
        ("tesseract", 'case "$*" in *list*) echo eng;; *) echo tesseract 9;; esac'),
        ("fc-list", "true"),
    ):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert (chromium().state, chromium().found) == ("missing", "Chromium 1 does not start")
    assert [(check.name, check.state) for check in tesseract()] == [
        ("Tesseract", "ok"), ("Tesseract: eng", "ok"), ("Tesseract: chi_sim", "missing"),
    ]  # fmt: skip
    assert [check.found for check in fonts()] == ["0 families", "0 families"]
    assert output_of("tesseract", "--version") == "tesseract 9\n"
