"""The doctor as a process, and what it reports."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[4]


def doctor(*arguments: str, **environment: str) -> tuple[int, dict[str, Any]]:
    """Run the command in a process of its own."""
    command = [sys.executable, "-c", "from qvl.command import main; main()", "doctor", "--json", *arguments]
    path = os.pathsep.join([environment.pop("PYTHONPATH", ""), str(ROOT)])
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **environment, "PYTHONPATH": path}
    )
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, json.loads(done.stdout)
