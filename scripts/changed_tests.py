"""Test files of the modules that have changed since a commit (default: HEAD), one a line. Tests mirror the tree.

python scripts/changed_tests.py [COMMIT]
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PARTS = ("pipeline", "synth_ocr", "grounding_builder", "model", "training")
ALWAYS = "tests/contracts"


def changed(commit: str) -> list[str]:
    """Files that differ from the commit, and files that git does not track yet."""
    commands = (["git", "diff", "--name-only", commit], ["git", "ls-files", "--others", "--exclude-standard"])
    listed = [subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True) for command in commands]
    return sorted({name for result in listed for name in result.stdout.splitlines()})


def tests_of(name: str) -> Iterator[str]:
    """The test file of a module; where it has none, the tests of its room."""
    path = Path(name)
    if path.parts[0] == "tests" and path.name.startswith("test_") and path.suffix == ".py":
        yield name
    elif path.parts[0] in PARTS:
        mirrored = Path("tests") / path.parent / f"test_{path.stem}.py"
        room = mirrored.parent
        if (ROOT / mirrored).is_file():
            yield str(mirrored)
        else:
            yield from (str(each.relative_to(ROOT)) for each in sorted((ROOT / room).glob("test_*.py")))


def main() -> None:
    names = changed(sys.argv[1] if len(sys.argv) > 1 else "HEAD")
    found = {test for name in names for test in tests_of(name) if (ROOT / test).is_file()}
    sys.stdout.write("\n".join([ALWAYS, *sorted(found)]) + "\n")


if __name__ == "__main__":
    main()
