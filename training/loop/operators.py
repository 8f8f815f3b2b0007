"""Removes the locks that PyTorch leaves behind when a process is killed while it builds or loads compiled operators.

Such a lock is a file that its owner holds open. The next process that needs the operator waits until the file is gone: for
ever, if the owner is dead. DeepSpeed loads an operator whenever it starts on a CPU, so a kill at that moment would block
all later runs.
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
    """The folder in which PyTorch keeps compiled operators."""
    return Path(os.environ.get("TORCH_EXTENSIONS_DIR", Path.home() / ".cache" / "torch_extensions"))


def dead_locks(folder: Path) -> list[Path]:
    """Locks that no process holds."""
    found = []
    for lock in sorted(folder.glob("**/lock")):
        try:
            age = time.time() - lock.stat().st_mtime
        except FileNotFoundError:  # its owner has finished
            continue
        if not _held(lock) and (age > ABANDONED or not _shared(folder)):
            found.append(lock)
    return found


def clear_dead_locks(folder: Path) -> list[Path]:
    """Remove dead locks, one process at a time, and return them.

    A lock that another process has removed and taken again is held by then, so it stays.
    """
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
    """Files that processes of this machine hold open, as far as permissions allow."""
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            yield str(link.readlink())
        except OSError:  # the process has ended or belongs to another user
            continue


def _shared(folder: Path) -> bool:
    """Whether other machines may see the folder. Without Linux's list of mounts the answer is yes."""
    mounts = Path("/proc/self/mounts")
    if not mounts.is_file():
        return True
    here = folder.resolve()
    found = [line.split()[1:3] for line in mounts.read_text().splitlines()]
    return max((len(mount), kind) for mount, kind in found if here.is_relative_to(mount))[1].startswith(SHARED)
