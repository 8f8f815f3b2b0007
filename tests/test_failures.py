"""How commands end: one line, the documented status, and never a traceback unless it is asked for."""

import os
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from qvl.failures import exit_status, one_line
from qvl.pipeline.base.errors import DataError
from tests.docs.pages import ROOT
from tests.shared import HANG

QVL = [sys.executable, "-m", "qvl"]
FULL = Path("/dev/full")


def run(
    *arguments: str, stdout: int | IO[str] = subprocess.PIPE, stderr: int | IO[str] = subprocess.PIPE
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*QVL, *arguments], stdout=stdout, stderr=stderr, text=True, check=False, cwd=ROOT, timeout=HANG
    )


def raising(error: BaseException) -> int:
    def command() -> None:
        raise error

    return exit_status(command, [])


def test_error_of_ours_when_raised_is_one_line_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert raising(DataError("a\nb \x1b[31mred\x07")) == 2
    assert capsys.readouterr().err == "error: a b \\x1b[31mred\\x07\n"


def test_messages_of_libraries_when_they_quote_data_cannot_control_the_terminal() -> None:
    text = "\\x1b[31m\\u202ered https://me:word@host/a.tar?sig=token"
    script = (
        "import logging, warnings; from qvl.failures import exit_status; "
        f"exit_status(lambda: (warnings.warn('{text}'), logging.getLogger('library').warning('{text}')), [])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stderr.count("\\x1b[31m\\u202ered https://host/a.tar\n") == 2
    assert "token" not in done.stderr.replace("sig=token')", "")
    assert "\x1b" not in done.stderr


def test_unforeseen_error_when_raised_is_one_line_and_status_70(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("QVL_TRACEBACK", raising=False)
    assert raising(TypeError("many\nlines")) == 70
    error = capsys.readouterr().err
    assert error.startswith("error: unforeseen TypeError: many lines (test_failures.py:")
    assert error.count("\n") == 1
    assert "QVL_TRACEBACK=1" in error
    assert "Traceback" not in error


def test_unforeseen_error_when_its_traceback_is_asked_for_shows_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QVL_TRACEBACK", "1")
    assert raising(TypeError("x")) == 70
    error = capsys.readouterr().err
    assert error.startswith("Traceback (most recent call last):")
    assert "error: unforeseen TypeError: x" in error


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (PermissionError(13, "Permission denied", "/data/x"), "error: /data/x: Permission denied"),
        (IsADirectoryError(21, "Is a directory", b"/data/\xff"), "error: /data/\\udcff: Is a directory"),
        (MemoryError(), "error: out of memory"),
        (ModuleNotFoundError("x", name="open_clip"), "error: open_clip is not installed; pip install 'qvl[clip]'"),
    ],
)
def test_error_of_the_machine_when_raised_is_one_line_and_status_2(
    error: Exception, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert raising(error) == 2
    assert capsys.readouterr().err.startswith(line)


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt(), 130), (SystemExit(1), 1), (SystemExit(), 0)])
def test_command_when_it_ends_by_itself_keeps_its_status(error: BaseException, status: int) -> None:
    assert raising(error) == status


def test_message_when_too_long_is_cut_in_the_middle() -> None:
    line = one_line("a" * 5_000 + "b" * 5_000)
    assert len(line) < 2_100
    assert line.startswith("aaa") and line.endswith("bbb")


@pytest.mark.parametrize(
    "arguments", [("recipes",), ("recipes", "qwen_vl_stage1"), ("--version",), ("model", "info", "tiny")]
)
def test_standard_output_when_full_is_one_line_and_status_2(arguments: tuple[str, ...]) -> None:
    with FULL.open("w") as full:
        result = run(*arguments, stdout=full)
    assert result.stderr == "error: standard output: No space left on device\n"
    assert result.returncode == 2


@pytest.mark.parametrize("arguments", [("recipes",), ("recipes", "qwen_vl_stage1"), ("model", "info", "tiny")])
def test_standard_output_when_nobody_reads_it_ends_quietly(arguments: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        result = run(*arguments, stdout=writer)
    finally:
        os.close(writer)
    assert (result.returncode, result.stderr) == (141, "")


@pytest.mark.parametrize("closed", ["1", "2"])
def test_stream_when_closed_before_the_start_changes_nothing_but_what_is_printed(closed: str, tmp_path: Path) -> None:
    line = f'exec {closed}>&-; exec "$0" -m qvl recipes missing'
    result = subprocess.run(
        ["bash", "-c", line, sys.executable], capture_output=True, text=True, check=False, cwd=ROOT, timeout=HANG
    )
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert result.stderr.startswith("error: missing: no such recipe") == (closed == "1")


def test_standard_error_when_full_leaves_the_status(tmp_path: Path) -> None:
    with FULL.open("w") as full:
        assert run("recipes", "missing", stderr=full).returncode == 2


def test_name_when_not_utf8_is_shown_escaped(tmp_path: Path) -> None:
    folder = os.fsdecode(bytes(tmp_path) + b"/\xff")
    result = run("curate", "audit", folder)
    assert result.returncode == 2
    assert "\\udcff" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_standard_output_when_a_command_flushes_has_arrived(unbuffered: str) -> None:
    flush = not unbuffered
    code = f"""
import time
from qvl.failures import exit_status
exit_status(lambda: (print("ready", flush={flush}), time.sleep(600)), [])
"""
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
        finally:
            process.kill()
