"""The first of several processes wins, also where the system refuses hard links and exclusive renames."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SCRIPT = """
import sys
from pathlib import Path
from qvl.pipeline.storage.exclusive import take_name
folder, number = Path(sys.argv[1]), sys.argv[2]
for name in range(100):
    written = folder / f"{name}.{number}"
    written.write_text(number)
    try:
        take_name(written, folder / str(name))
        print(name)
    except FileExistsError:
        pass
    written.unlink(missing_ok=True)
"""
REFUSED = {
    "nothing": [],
    "links": ["-e", "inject=link,linkat:error=EPERM"],
    "links and renames": ["-e", "inject=link,linkat:error=EPERM", "-e", "inject=renameat2:error=EINVAL"],
}


@pytest.mark.parametrize("refused", REFUSED)
def test_take_name_when_processes_race_has_one_winner_per_name(tmp_path: Path, refused: str) -> None:
    if REFUSED[refused] and shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    calls = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=link,linkat,renameat2", *REFUSED[refused]]
    program = [*(calls if REFUSED[refused] else []), sys.executable, "-c", SCRIPT, str(tmp_path)]
    racing = [subprocess.Popen([*program, str(n)], cwd=ROOT, stdout=subprocess.PIPE, text=True) for n in range(3)]
    won = [process.communicate()[0].split() for process in racing]
    assert [process.returncode for process in racing] == [0, 0, 0]
    assert sorted(int(name) for names in won for name in names) == list(range(100))
    for number, names in enumerate(won):
        assert {(tmp_path / name).read_text() for name in names} <= {str(number)}
    assert len(list(tmp_path.iterdir())) == 100
