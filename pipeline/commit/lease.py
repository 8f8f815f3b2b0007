"""The lock of an output on a store: numbered owner files, created only if they do not exist, and renewed while a run lives.

``OUT/.lock/00000007.json`` is the seventh owner; the highest number holds the output. Another run may take over if that
owner has released the output, if it was a process of this machine that has ended, or if it has not renewed its lease for
``LEASE`` seconds by the clock of the store. It takes over by creating the file with the next number, which only one run
can do.

A run that lost the output to another one (it was suspended, or could not reach the store) notices this at the next result
of its workers and stops. What its workers still commit does no harm: manifests are never replaced, and equal work gives
equal bytes. No library serves: distributed locks (etcd, Consul, Redis, ZooKeeper) need a server
of their own, and this needs only a store with conditional writes.
"""

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

from qvl.pipeline.base.errors import QvlError, RecipeError
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.records import decode, encode
from qvl.pipeline.storage.paths import StorePath
from qvl.pipeline.storage.temporary import machine, started

LEASE = 60.0  # seconds without renewal after which an owner counts as dead
RENEWAL = 10.0  # seconds between renewals


@dataclass(frozen=True, slots=True)
class Owner:
    """An owner file: a process, when it started, its machine since that booted, and whether it has released the output."""

    machine: str
    process: int
    started: str
    host: str
    run: str
    renewals: int = 0
    released: bool = False

    @classmethod
    def this_process(cls) -> Self:
        process = os.getpid()
        return cls(machine(), process, started(process), socket.gethostname(), uuid.uuid4().hex)


@dataclass
class Lease:
    """An owner file of this run, until the run has ``lost`` it."""

    path: StorePath
    owner: Owner
    lost: bool = False
    renewed: float = 0.0  # monotonic seconds

    def check(self) -> None:
        """Raise QvlError if another run has taken over the output, or if the store cannot be reached to find out."""
        if not self.lost and time.monotonic() - self.renewed > LEASE:
            self.renew()
        if self.lost:
            raise QvlError(
                f"{self.path.parent.parent}: another run took over while this one could not renew its lease; this run stops"
            )

    def renew(self) -> None:
        """Write the owner file again, unless it no longer has the highest number."""
        began = time.monotonic()
        if owners(self.path.parent)[-1:] != [self.path]:
            self.lost = True
            return
        self.owner = replace(self.owner, renewals=self.owner.renewals + 1)
        self.path.write_bytes(encode(self.owner))
        self.renewed = began

    def release(self) -> None:
        """Leave the output to the next run."""
        if not self.lost:
            self.path.write_bytes(encode(replace(self.owner, released=True)))


@contextmanager
def hold(out: StorePath) -> Iterator[Callable[[], None]]:
    """Hold an output for one run. Yields a check that raises QvlError once the lease is lost.

    Raises QvlError at once if another run holds it, and RecipeError if the store lacks what outputs need.
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
        except QvlError:  # the store cannot be reached: ``check`` counts the seconds
            continue


def owners(folder: StorePath) -> list[StorePath]:
    """Owner files, sorted by number; the last one is the owner."""
    return sorted(folder.glob("*.json"), key=str)


def _acquire(folder: StorePath) -> Lease:
    me = Owner.this_process()
    data, now = encode(me), _store_time(folder)
    while True:
        before, began = owners(folder), time.monotonic()
        try:
            if before:
                _refuse_living(before[-1], (now - before[-1].modified()).total_seconds())
        except FileNotFoundError:  # another run took over and removed it
            continue
        mine = folder / f"{int(before[-1].stem) + 1 if before else 1:08d}.json"
        if mine.create(data) != data:
            continue
        if owners(folder)[-1] != mine:  # other runs took over and ended meanwhile, so that our number was free again
            mine.unlink(missing_ok=True)
            continue
        for owner in before:
            owner.unlink(missing_ok=True)
        return Lease(mine, me, renewed=began)


def _refuse_living(path: StorePath, age: float) -> None:
    """Raise QvlError unless the owner has released the output, is known to be dead, or let its lease expire."""
    owner = decode(Owner, path.read_bytes(), str(path))
    here = owner.machine == machine() != ""
    dead = here and started(owner.process) != owner.started
    if not (owner.released or dead or age > LEASE):
        raise QvlError(
            f"{path.parent.parent}: another run (process {owner.process} on {owner.host}) is writing here; wait "
            f"for it or choose another --output. If it is dead, its lease expires in {max(0.0, LEASE - age):.0f} seconds"
        )


def _store_time(folder: StorePath) -> datetime:
    """The time by the clock of the store. Raises RecipeError if the store ignores conditional writes."""
    probe = folder / f"probe-{uuid.uuid4().hex}"
    try:
        if probe.create(b"first") != b"first" or probe.create(b"second") != b"first":
            raise RecipeError(
                f"{folder.parent}: this store ignores conditional writes (If-None-Match), which commits rely on; "
                "choose another store or a local --output"
            )
        now = probe.modified()
    except FileNotFoundError:
        raise RecipeError(f"{folder.parent}: there is no such bucket; create it first") from None
    except PermissionError as error:
        raise RecipeError(
            f"{folder.parent}: the store refuses access ({error}); docs/cluster.md says how to log in"
        ) from None
    probe.unlink(missing_ok=True)
    return now
