"""Checks of this machine: cores, memory, disk, what commits need of a folder, open files, shared memory for Ray."""

import fcntl
import os
import resource
import shutil
import uuid
from pathlib import Path

from qvl.training.commands.doctor.check import Check

GIB = 1 << 30
LEAST_MEMORY, LEAST_DISK, LEAST_SHARED, LEAST_FILES = 2.0, 2.0, 1.0, 1024


def machine(folder: Path) -> list[Check]:
    """All checks of the machine. ``folder``: where results will go."""
    return [cores(), memory(), disk(folder), writable(folder), open_files(), shared_memory()]


def cores() -> Check:
    """The cores that this process may use."""
    return Check("base", "cores", "ok", str(len(os.sched_getaffinity(0))), None, True)


def memory() -> Check:
    """Available and total memory."""
    lines = Path("/proc/meminfo").read_text("utf-8").splitlines()
    facts = {name: int(rest.split()[0]) / (1 << 20) for name, _, rest in (line.partition(":") for line in lines)}
    free, total = facts["MemAvailable"], facts["MemTotal"]
    enough = free >= LEAST_MEMORY
    fix = None if enough else "end other programs, or use a machine with more memory"
    return Check("base", "memory", "ok" if enough else "missing", f"{free:.1f} of {total:.1f} GiB free", fix, True)


def disk(folder: Path) -> Check:
    """Free space where results will go."""
    usage = shutil.disk_usage(_existing(folder))
    free, enough = usage.free / GIB, usage.free / GIB >= LEAST_DISK
    fix = None if enough else f"free space on the disk of {folder}, or give another --folder"
    found = f"{free:.1f} of {usage.total / GIB:.1f} GiB free at {folder}"
    return Check("base", "disk", "ok" if enough else "missing", found, fix, True)


def writable(folder: Path) -> Check:
    """Whether the folder supports the operations of a commit: write, flush, rename, link and lock. Leaves nothing behind."""
    parent = _existing(folder)
    private = parent / f".qvl-doctor-{uuid.uuid4().hex}"
    try:
        private.mkdir()
        written, final, linked = private / "written", private / "final", private / "linked"
        with written.open("wb") as file:
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        written.replace(final)
        linked.hardlink_to(final)
        whole = linked.read_bytes() == b"x" * 4096
    except OSError as error:
        fix = f"give --folder on a local disk that you may write to ({error.strerror})"
        return Check("base", "write test", "missing", f"{parent}: {error.strerror}", fix, True)
    finally:
        shutil.rmtree(private, ignore_errors=True)
    if not whole:
        return Check(
            "base",
            "write test",
            "missing",
            f"{parent}: the bytes read back are not those that were written",
            "check the disk",
            True,
        )
    return Check("base", "write test", "ok", f"{parent}: write, rename, link, lock", None, True)


def open_files() -> Check:
    """The limit of open files. Readers keep up to 256 shards open, and Ray's processes keep many sockets open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = soft >= LEAST_FILES or soft == resource.RLIM_INFINITY
    fix = None if enough else f"ulimit -n {min(hard, 65536) if hard != resource.RLIM_INFINITY else 65536}"
    return Check("base", "open files", "ok" if enough else "missing", f"up to {soft:,}", fix)


def shared_memory() -> Check:
    """Shared memory, which holds Ray's object store and the loader's batches."""
    folder = Path("/dev/shm")
    if not folder.is_dir():
        return Check("cluster", "shared memory", "missing", "no /dev/shm", "mount -t tmpfs tmpfs /dev/shm")
    usage = shutil.disk_usage(folder)
    enough = usage.total / GIB >= LEAST_SHARED
    fix = None if enough else "mount -o remount,size=4G /dev/shm  (in a container: --shm-size=4g)"
    return Check("cluster", "shared memory", "ok" if enough else "missing", f"{usage.total / GIB:.1f} GiB", fix)


def _existing(folder: Path) -> Path:
    """The folder, or its nearest parent that exists."""
    folder = folder.absolute()
    return next(path for path in (folder, *folder.parents) if path.is_dir())
