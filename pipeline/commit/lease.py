"""The lock of an output on a store: numbered owner files, each created only where there is none, and kept alive by renewal.

``OUT/.lock/00000007.json`` is the seventh owner; the highest number holds the output. A run takes over when that owner has
released it, when it was a process of this machine that is gone, or when it has not renewed its lease for ``LEASE`` seconds
by the store's own clock. Taking over is the creation of the next number, which only one run can win.

A run that lost the output to another (it slept, or could not reach the store) notices at the next result of its workers and
stops. What its workers still commit cannot do harm: manifests are created, never replaced, and equal work gives equal bytes.
"""

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from qvl.pipeline.base.errors import QvlError, RecipeError
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.storage.paths import StorePath

LEASE = 60.0  # seconds without renewal after which an owner counts as dead
RENEWAL = 10.0  # seconds between renewals


@dataclass
class Lease:
    """An owner file that is ours, until it is ``lost``."""

    path: StorePath
    content: dict[str, Any]
    lost: bool = False
    renewed: float = 0.0  # monotonic seconds

    def check(self) -> None:
        """Raise QvlError once another run has taken the output over, or where the store cannot tell."""
        if not self.lost and time.monotonic() - self.renewed > LEASE:
            self.renew()
        if self.lost:
            raise QvlError(
                f"{self.path.parent.parent}: another run took over while this one could not renew its lease; this one stops"
            )

    def renew(self) -> None:
        """Write the owner file again, unless it is no longer the highest."""
        began = time.monotonic()
        if owners(self.path.parent)[-1:] != [self.path]:
            self.lost = True
            return
        self.content["renewals"] += 1
        self.path.write_bytes(orjson.dumps(self.content))
        self.renewed = began

    def release(self) -> None:
        """Leave the output to the next run."""
        if not self.lost:
            self.path.write_bytes(orjson.dumps({**self.content, "released": True}))


@contextmanager
def hold(out: StorePath) -> Iterator[Callable[[], None]]:
    """Hold an output for one run; yields a check that raises QvlError once it is lost.

    Raises QvlError at once where another run holds it, RecipeError where the store does not do what outputs need.
    """
    lease = _acquire(Layout(out).lock)
    ended = threading.Event()
    keeper = threading.Thread(target=_keep, args=(lease, ended), name="lease", daemon=True)
    keeper.start()
    try:
        yield lease.check
    finally:
        ended.set()
        keeper.join()
        lease.release()


def _keep(lease: Lease, ended: threading.Event) -> None:
    while not lease.lost and not ended.wait(RENEWAL):
        try:
            lease.renew()
        except QvlError:  # the store stays out of reach: ``check`` counts the seconds
            continue


def owners(folder: StorePath) -> list[StorePath]:
    """Owner files by number; the last one counts."""
    return sorted(folder.glob("*.json"), key=str)


def _acquire(folder: StorePath) -> Lease:
    me = {"machine": _machine(), "process": os.getpid(), "started": _started(os.getpid()), "host": socket.gethostname()}
    content: dict[str, Any] = {**me, "run": uuid.uuid4().hex, "renewals": 0}
    data, now = orjson.dumps(content), _store_time(folder)
    while True:
        before, began = owners(folder), time.monotonic()
        try:
            if before:
                _refuse_living(before[-1], (now - before[-1].modified()).total_seconds())
        except FileNotFoundError:  # another run took over and swept it away
            continue
        mine = folder / f"{int(before[-1].stem) + 1 if before else 1:08d}.json"
        if mine.create(data) != data:
            continue
        if owners(folder)[-1] != mine:  # others took over and went meanwhile, so that our number was free again
            mine.unlink(missing_ok=True)
            continue
        for owner in before:
            owner.unlink(missing_ok=True)
        return Lease(mine, content, renewed=began)


def _refuse_living(owner: StorePath, age: float) -> None:
    """Raise QvlError unless the owner has ended, is known to be dead, or has let its lease run out."""
    content = orjson.loads(owner.read_bytes())
    here = content["machine"] == _machine() != ""
    dead = here and _started(content["process"]) != content["started"]
    if not (content.get("released") or dead or age > LEASE):
        raise QvlError(
            f"{owner.parent.parent}: another run (process {content['process']} on {content['host']}) is writing here; wait "
            f"for it or choose another --output. If it is dead: its lease ends in {max(0.0, LEASE - age):.0f} seconds"
        )


def _store_time(folder: StorePath) -> Any:
    """What time it is on the store's clock. Raises RecipeError where the store replaces a file that it must not."""
    probe = folder / f"probe-{uuid.uuid4().hex}"
    try:
        if probe.create(b"first") != b"first" or probe.create(b"second") != b"first":
            raise RecipeError(
                f"{folder.parent}: this store ignores conditional writes (If-None-Match), on which commits rest; "
                "choose another store or a local --output"
            )
        now = probe.modified()
    except FileNotFoundError:
        raise RecipeError(f"{folder.parent}: no such bucket; create it first") from None
    except PermissionError as error:
        raise RecipeError(f"{folder.parent}: the store refuses ({error}); docs/cluster.md says how to log in") from None
    probe.unlink(missing_ok=True)
    return now


def _machine() -> str:
    """This machine since its start, and the space that process ids are of; empty where the system does not tell."""
    try:
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _started(process: int) -> str:
    """When a process of this machine started, so that a number used twice is told apart; empty where there is none."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return ""
    state, *rest = stat.rpartition(")")[2].split()
    return "" if state == "Z" else rest[18]
