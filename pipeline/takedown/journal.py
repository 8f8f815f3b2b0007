"""The journal of a takedown: which staged file replaces which, so that an interrupted takedown can be finished.

Everything that writes into an output calls ``finish_takedown`` first, under the output's lock.
"""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import orjson

from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.storage.atomic import replace_file, sync
from qvl.pipeline.storage.paths import AnyPath


@dataclass(frozen=True, slots=True)
class Move:
    """A file that replaces ``target``, a path below the output, or deletes it if ``staged`` is None."""

    staged: str | None
    target: str


def write_journal(path: Path, moves: Iterable[Move]) -> None:
    """Create the journal in one step: from then on the takedown will be finished."""
    replace_file(path, orjson.dumps([[move.staged, move.target] for move in moves]))
    sync(path.parent)


def finish_takedown(out: AnyPath) -> None:
    """Apply the moves of a journal that are not applied yet; without a journal, remove what was staged.

    Takedowns work on local disks only: on a store there is nothing to finish.
    """
    if not isinstance(out, Path):
        return
    journal = Layout(out).takedown
    if journal.is_file():
        for move in (Move(*entry) for entry in orjson.loads(journal.read_bytes())):
            target = out / move.target
            if move.staged is None:
                target.unlink(missing_ok=True)
            elif (journal.parent / move.staged).is_file():
                (journal.parent / move.staged).replace(target)
                sync(target.parent)
        journal.unlink()
    shutil.rmtree(journal.parent, ignore_errors=True)
