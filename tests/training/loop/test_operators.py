"""Locks of compiled operators: those of dead processes are removed, those of live ones stay."""

import subprocess
import sys
from pathlib import Path

from torch.utils.file_baton import FileBaton

from qvl.training.loop.operators import clear_dead_locks, dead_locks

HOLD = """
import sys, time
from torch.utils.file_baton import FileBaton
baton = FileBaton(sys.argv[1])
assert baton.try_acquire()
print("held", flush=True)
time.sleep(600)
"""


def test_the_lock_of_a_killed_process_is_removed_and_that_of_a_live_one_stays(tmp_path: Path) -> None:
    lock = tmp_path / "py311_cpu" / "cpu_adam" / "lock"
    lock.parent.mkdir(parents=True)
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(lock)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    try:
        assert dead_locks(tmp_path) == [] and clear_dead_locks(tmp_path) == [] and lock.exists()
    finally:
        process.kill()
        process.communicate()
    assert lock.exists() and dead_locks(tmp_path) == [lock]
    assert clear_dead_locks(tmp_path) == [lock]
    assert FileBaton(str(lock)).try_acquire()


def test_a_folder_that_does_not_exist_has_no_locks(tmp_path: Path) -> None:
    assert clear_dead_locks(tmp_path / "nowhere") == []
