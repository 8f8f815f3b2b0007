"""The lock of an output on a disk: one process at a time."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from qvl.pipeline.base.errors import QvlError
from qvl.pipeline.commit.lock import output_lock

HOLD = """
import sys, pathlib
from qvl.pipeline.commit.lock import output_lock
with output_lock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_refused_until_the_first_one_ends(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-c", HOLD, str(out)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(QvlError, match=rf"process {holder.pid}\)"), output_lock(out):
            pass
        holder.kill()
    with output_lock(out):
        assert (out / ".lock").read_text() == str(os.getpid())


def test_the_lock_is_released_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), output_lock(tmp_path):
        raise RuntimeError
    with output_lock(tmp_path):
        pass


@pytest.mark.parametrize("how", ["moved", "deleted"])
def test_output_lock_when_the_output_is_moved_or_deleted_says_so(tmp_path: Path, how: str) -> None:
    out = tmp_path / "out"
    with (
        pytest.raises(QvlError, match="the output folder was moved or deleted while this run wrote to it"),
        output_lock(out),
    ):
        out.rename(tmp_path / "elsewhere") if how == "moved" else shutil.rmtree(out)
        (out / "columns.parquet").read_bytes()


def test_output_lock_when_the_output_is_gone_at_the_end_says_so(tmp_path: Path) -> None:
    with pytest.raises(QvlError, match="moved or deleted"), output_lock(tmp_path / "out") as check:
        check()
        shutil.rmtree(tmp_path / "out")


def test_output_lock_removes_temporary_files_whose_writers_are_dead(tmp_path: Path) -> None:
    folder = tmp_path / "manifests" / "pack"
    folder.mkdir(parents=True)
    script = "import sys; from pathlib import Path; from qvl.pipeline.storage.temporary import temporary_name as name"
    subprocess.run([sys.executable, "-c", f"{script}; name(Path(sys.argv[1])).touch()", folder / "m.json"], check=True)
    assert len(list(folder.iterdir())) == 1
    with output_lock(tmp_path):
        assert list(folder.iterdir()) == []
