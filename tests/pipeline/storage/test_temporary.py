"""Temporary files of processes that have ended are removed; those of living ones stay."""

import subprocess
import sys
from pathlib import Path

from qvl.pipeline.storage.temporary import remove_abandoned, temporary_name


def test_remove_abandoned_removes_only_files_of_processes_that_have_ended(tmp_path: Path) -> None:
    script = "import sys; from pathlib import Path; from qvl.pipeline.storage.temporary import temporary_name as name"
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    subprocess.run([sys.executable, "-c", f"{script}; name(Path(sys.argv[1])).touch()", folder / "m.json"], check=True)
    (dead,) = folder.iterdir()
    mine = temporary_name(folder / "m.json")
    elsewhere = folder / dead.name.replace(dead.name.split(".")[3].split("-")[0], "0" * 16)
    users = [folder / ".m.json.1234.tmp", folder / "m.json"]
    for path in (mine, elsewhere, *users):
        path.touch()
    remove_abandoned(tmp_path)
    assert set(folder.iterdir()) == {mine, elsewhere, *users}
