"""Locks that PyTorch leaves behind when a process is killed while it builds or loads compiled operators.

Such a lock is a file that its owner holds open. Whoever wants the operator next waits until it is gone: for ever, if its
owner is dead. DeepSpeed loads an operator whenever it starts on a CPU, so a kill at that moment would block all later runs.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

SHARED = ("nfs", "cifs", "smb", "lustre", "gpfs", "beegfs", "ceph", "fuse")
"""File systems on which the owner may run on another machine; there a lock counts as dead after ABANDONED seconds."""
ABANDONED = 1800


def operators_folder() -> Path:
    """Where PyTorch keeps compiled operators."""
    return Path(os.environ.get("TORCH_EXTENSIONS_DIR", Path.home() / ".cache" / "torch_extensions"))


def dead_locks(folder: Path) -> list[Path]:
    """Locks that nobody holds."""
    found = []
    for lock in sorted(folder.glob("**/lock")):
        try:
            age = time.time() - lock.stat().st_mtime
        except FileNotFoundError:  # its owner is done
            continue
        if not _held(lock) and (age > ABANDONED or not _shared(folder)):
            found.append(lock)
    return found


def clear_dead_locks(folder: Path) -> list[Path]:
    """Remove them, one process at a time: what another one has removed and taken anew is held, and stays."""
    if not folder.is_dir():
        return []
    with (folder / ".clearing").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        locks = dead_locks(folder)
        for lock in locks:
            lock.unlink(missing_ok=True)
    return locks


def _held(lock: Path) -> bool:
    wanted = str(lock.resolve())
    return any(target == wanted for target in _open_files())


def _open_files() -> Iterator[str]:
    """Files that processes of this machine hold open, as far as we may look."""
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            yield str(link.readlink())
        except OSError:  # the process ended, or is another user's
            continue


def _shared(folder: Path) -> bool:
    """Whether other machines may see the folder; without Linux's list of mounts, yes."""
    mounts = Path("/proc/self/mounts")
    if not mounts.is_file():
        return True
    here = folder.resolve()
    found = [line.split()[1:3] for line in mounts.read_text().splitlines()]
    return max((len(place), kind) for place, kind in found if here.is_relative_to(place))[1].startswith(SHARED)
