"""The lock of an output on a disk: one process at a time."""

import os
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
