"""The doctor on this machine, and on machines that lack something: an empty PATH, other metadata, unwritable folders."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from qvl.training.commands.doctor.command import print_checks
from qvl.training.commands.doctor.engines import gpus, run_python
from qvl.training.commands.doctor.machine import machine, writable
from qvl.training.commands.doctor.packages import installed, packages, required
from qvl.training.commands.doctor.programs import chromium, fonts, output_of, tesseract

ROOT = Path(__file__).parents[4]
GPU = "#!/bin/sh\necho 'NVIDIA Test, 81559 MiB, 550.1'\n"


def doctor(*arguments: str, **environment: str) -> tuple[int, dict[str, Any]]:
    """Run the command in a process of its own."""
    command = [sys.executable, "-c", "from qvl.command import main; main()", "doctor", "--json", *arguments]
    path = os.pathsep.join([environment.pop("PYTHONPATH", ""), str(ROOT)])
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **environment, "PYTHONPATH": path}
    )
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, json.loads(done.stdout)


def test_the_doctor_on_this_machine_finds_what_the_base_needs(tmp_path: Path) -> None:
    code, found = doctor("--folder", str(tmp_path / "not" / "yet"))
    assert code == 0 and found["ok"]
    checks = {(check["part"], check["name"]): check for check in found["checks"]}
    assert all((check["state"] == "missing") == (check["mend"] is not None) for check in found["checks"])
    for name in ("Python", "packages: curation, text, grounding", "memory", "disk", "write test"):
        assert checks["base", name]["needed"] and checks["base", name]["state"] == "ok"
    assert checks["model", "PyTorch"]["found"].startswith(str(installed("torch")))
    for name, program in (("Chromium", "chromium"), ("Tesseract", "tesseract")):
        assert (checks["ocr", name]["state"] == "ok") == (shutil.which(program) is not None)
    isolation = checks["ocr", "Chromium: isolation"]
    assert (isolation["state"], isolation["found"] == "network namespace") in (("ok", True), ("none", False))
    assert list(tmp_path.iterdir()) == []


def test_programs_that_are_not_installed_are_missing_with_their_fix(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    checks = [chromium(), *fonts(), *tesseract()]
    assert [check.state for check in checks] == ["missing"] * 3
    assert [check.mend for check in checks] == [
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


def test_a_gpu_that_pytorch_cannot_use_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "nvidia-smi").write_text(GPU)
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    driver, torch = gpus()
    assert (driver.state, driver.found) == ("ok", "NVIDIA Test, 81559 MiB, 550.1")
    assert torch.state == "missing" and "cannot use the GPUs" in torch.found and "pip install" in str(torch.mend)


def test_packages_that_are_missing_or_too_old_end_the_command_with_1(tmp_path: Path) -> None:
    info = tmp_path / "qvl-9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: qvl\nVersion: 9\nProvides-Extra: view\nProvides-Extra: train\nProvides-Extra: model\n"
        "Requires-Dist: numpy>=999\nRequires-Dist: no-such-package>=1\nRequires-Dist: starlette>=0.1; extra == 'view'\n"
        "Requires-Dist: torch>=2; extra == 'model'\nRequires-Dist: qvl[model]; extra == 'train'\n"
        "Requires-Dist: no-such-engine; extra == 'train'\n"
    )
    code, found = doctor("--folder", str(tmp_path), PYTHONPATH=str(tmp_path))
    assert code == 1 and not found["ok"]
    checks = {check["name"]: check for check in found["checks"]}
    base = checks["packages: curation, text, grounding"]
    assert "no-such-package>=1" in base["found"] and f"numpy>=999 (is {installed('numpy')})" in base["found"]
    assert base["mend"] == "pip install qvl"
    assert checks["packages: the app"]["state"] == "ok" and checks["packages: the model"]["state"] == "ok"
    assert checks["packages: training"]["found"] == "no-such-engine"
    assert checks["packages: training"]["mend"] == "pip install 'qvl[train]'"
    assert checks["packages: OCR pages"]["found"] == "the installed qvl is older than this code"


def test_a_folder_that_cannot_be_written_ends_the_command_with_1(tmp_path: Path) -> None:
    check = writable(Path("/proc"))
    assert check.needed and check.state == "missing" and "--folder" in str(check.mend)
    assert doctor("--folder", "/proc")[0] == 1
    assert writable(tmp_path / "a" / "b").state == "ok" and list(tmp_path.iterdir()) == []


def test_doctor_table_says_how_to_fix_what_is_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    print_checks([*tesseract(), *machine(Path())])
    printed = capsys.readouterr().out
    assert "Tesseract (optional): not installed\n  apt-get install -y tesseract-ocr tesseract-ocr-chi-sim" in printed


def test_a_program_that_fails_or_hangs_gives_a_reason() -> None:
    assert run_python("raise SystemExit(3)") == (None, "exit 3")
    assert run_python("import no_such_module") == (None, "ModuleNotFoundError: No module named 'no_such_module'")
    assert run_python("print('noise'); print('[1]')") == ([1], "")
    assert run_python("import time; time.sleep(60)", seconds=0.5) == (None, "no answer in 0.5 s")


def test_required_when_the_extra_is_empty_gives_the_packages_of_the_project() -> None:
    names = {requirement.name for requirement in required("")}
    assert {"duckdb", "pyarrow", "ray", "typer"} <= names and "torch" not in names
    assert packages()[0].found == ".".join(map(str, sys.version_info[:3]))
