"""The doctor as a command: on this machine, with a folder that it cannot write, and its table."""

import shutil
from pathlib import Path

import pytest

from qvl.training.commands.doctor.command import print_checks
from qvl.training.commands.doctor.machine import machine
from qvl.training.commands.doctor.packages import installed
from qvl.training.commands.doctor.programs import tesseract
from tests.training.commands.doctor.running import doctor


def test_the_doctor_on_this_machine_finds_what_the_base_needs(tmp_path: Path) -> None:
    code, found = doctor("--folder", str(tmp_path / "not" / "yet"))
    assert code == 0 and found["ok"]
    checks = {(check["part"], check["name"]): check for check in found["checks"]}
    assert all((check["state"] == "missing") == (check["repair"] is not None) for check in found["checks"])
    for name in ("Python", "packages: curation, text, grounding", "memory", "disk", "write test"):
        assert checks["base", name]["needed"] and checks["base", name]["state"] == "ok"
    assert checks["model", "PyTorch"]["found"].startswith(str(installed("torch")))
    for name, program in (("Chromium", "chromium"), ("Tesseract", "tesseract")):
        assert (checks["ocr", name]["state"] == "ok") == (shutil.which(program) is not None)
    isolation = checks["ocr", "Chromium: isolation"]
    assert (isolation["state"], isolation["found"] == "network namespace") in (("ok", True), ("none", False))
    assert list(tmp_path.iterdir()) == []


def test_doctor_table_says_how_to_fix_what_is_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    print_checks([*tesseract(), *machine(Path())])
    printed = capsys.readouterr().out
    assert "Tesseract (optional): not installed\n  apt-get install -y tesseract-ocr tesseract-ocr-chi-sim" in printed
