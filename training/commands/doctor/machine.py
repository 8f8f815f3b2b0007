"""This machine: memory, disk, a folder that can be written as commits need it, open files, shared memory for Ray."""

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
    """``folder``: where results would go."""
    return [cores(), memory(), disk(folder), writable(folder), open_files(), shared_memory()]


def cores() -> Check:
    """Those that this process may use."""
    return Check("base", "cores", "ok", str(len(os.sched_getaffinity(0))), None, True)


def memory() -> Check:
    """Available, and all."""
    lines = Path("/proc/meminfo").read_text("utf-8").splitlines()
    facts = {name: int(rest.split()[0]) / (1 << 20) for name, _, rest in (line.partition(":") for line in lines)}
    free, every = facts["MemAvailable"], facts["MemTotal"]
    enough = free >= LEAST_MEMORY
    mend = None if enough else "end other programs, or use a machine with more memory"
    return Check("base", "memory", "ok" if enough else "missing", f"{free:.1f} of {every:.1f} GiB free", mend, True)


def disk(folder: Path) -> Check:
    """Free space where results go."""
    usage = shutil.disk_usage(_existing(folder))
    free, enough = usage.free / GIB, usage.free / GIB >= LEAST_DISK
    mend = None if enough else f"make room on the disk of {folder}, or give --folder elsewhere"
    found = f"{free:.1f} of {usage.total / GIB:.1f} GiB free at {folder}"
    return Check("base", "disk", "ok" if enough else "missing", found, mend, True)


def writable(folder: Path) -> Check:
    """What a commit does: write, flush, rename, create by link, lock. Leaves nothing behind."""
    place = _existing(folder)
    private = place / f".qvl-doctor-{uuid.uuid4().hex}"
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
        mend = f"give --folder on a local disk that you may write to ({error.strerror})"
        return Check("base", "write test", "missing", f"{place}: {error.strerror}", mend, True)
    finally:
        shutil.rmtree(private, ignore_errors=True)
    if not whole:
        return Check("base", "write test", "missing", f"{place}: reads back other bytes", "look at the disk", True)
    return Check("base", "write test", "ok", f"{place}: write, rename, link, lock", None, True)


def open_files() -> Check:
    """Readers keep up to 256 shards open, and Ray's processes many sockets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = soft >= LEAST_FILES or soft == resource.RLIM_INFINITY
    mend = None if enough else f"ulimit -n {min(hard, 65536) if hard != resource.RLIM_INFINITY else 65536}"
    return Check("base", "open files", "ok" if enough else "missing", f"up to {soft:,}", mend)


def shared_memory() -> Check:
    """Ray's object store and the loader's batches lie there."""
    place = Path("/dev/shm")
    if not place.is_dir():
        return Check("cluster", "shared memory", "missing", "no /dev/shm", "mount -t tmpfs tmpfs /dev/shm")
    usage = shutil.disk_usage(place)
    enough = usage.total / GIB >= LEAST_SHARED
    mend = None if enough else "mount -o remount,size=4G /dev/shm  (a container: --shm-size=4g)"
    return Check("cluster", "shared memory", "ok" if enough else "missing", f"{usage.total / GIB:.1f} GiB", mend)


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    folder = folder.absolute()
    return next(place for place in (folder, *folder.parents) if place.is_dir())
