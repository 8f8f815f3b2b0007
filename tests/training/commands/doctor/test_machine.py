"""Folders that can and cannot be written."""

from pathlib import Path

from qvl.training.commands.doctor.machine import writable
from tests.training.commands.doctor.running import doctor


def test_a_folder_that_cannot_be_written_ends_the_command_with_1(tmp_path: Path) -> None:
    check = writable(Path("/proc"))
    assert check.needed and check.state == "missing" and "--folder" in str(check.repair)
    assert doctor("--folder", "/proc")[0] == 1
    assert writable(tmp_path / "a" / "b").state == "ok" and list(tmp_path.iterdir()) == []
