"""The end of a takedown that was interrupted. All that writes into an output does this first, under the output's lock."""

import shutil
from pathlib import Path

import orjson

from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.storage.atomic import sync
from qvl.pipeline.storage.paths import AnyPath


def finish_takedown(out: AnyPath) -> None:
    """Put the files of a journal in their places, those that are not there yet; without a journal, clear up.

    Takedowns work on disks alone: on a store there is nothing to finish.
    """
    if not isinstance(out, Path):
        return
    journal = Layout(out).takedown
    if journal.is_file():
        for name, target in orjson.loads(journal.read_bytes()):
            final = out / target
            if name is None:
                final.unlink(missing_ok=True)
            elif (journal.parent / name).is_file():
                (journal.parent / name).replace(final)
                sync(final.parent)
        journal.unlink()
    shutil.rmtree(journal.parent, ignore_errors=True)
