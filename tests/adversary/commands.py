"""The commands as a user starts them, in this process: hundreds of them must not cost a start of Python each."""

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from unittest.mock import patch

from qvl.command import main


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit status and what it printed."""

    status: int
    out: str
    err: str


def qvl(*arguments: str) -> Ended:
    """Run ``qvl ARGUMENTS`` to its end."""
    out, err = io.StringIO(), io.StringIO()
    with patch.object(sys, "argv", ["qvl", *arguments]), redirect_stdout(out), redirect_stderr(err):
        try:
            main()
        except SystemExit as ending:
            status = ending.code if isinstance(ending.code, int) else int(bool(ending.code))
    return Ended(status, out.getvalue(), err.getvalue())
