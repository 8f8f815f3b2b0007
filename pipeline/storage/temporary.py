"""Names of temporary files: each says which process writes it, so that those of dead processes can be removed.

A file is written under such a name next to its final one and then takes the final name. A kill in between leaves it there;
the next run over the same output removes it, and no other: a file of a living process, or of another machine, stays.
"""

import os
import re
import uuid
from pathlib import Path

import xxhash

NAME = re.compile(r"\..+\.([0-9a-f]{16})-(\d+)-(\d*)-[0-9a-f]{32}\.qvl-tmp")


def temporary_name(path: Path) -> Path:
    """A private name next to ``path`` that names this process."""
    process = os.getpid()
    return path.with_name(f".{path.name}.{_machine_hash()}-{process}-{started(process)}-{uuid.uuid4().hex}.qvl-tmp")


def remove_abandoned(folder: Path) -> None:
    """Remove the temporary files below a folder whose processes ran on this machine and have ended."""
    here = _machine_hash()
    for root, _, names in os.walk(folder):
        for name in names:
            found = NAME.fullmatch(name) if name.startswith(".") else None
            if found is not None and found[1] == here and started(int(found[2])) != found[3]:
                Path(root, name).unlink(missing_ok=True)


def machine() -> str:
    """This machine since it booted, and its namespace of process ids; empty if the system does not report them."""
    try:
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def started(process: int) -> str:
    """When a process of this machine started, which tells apart two processes with one id; empty if there is none."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return ""
    state, *rest = stat.rpartition(")")[2].split()
    return "" if state == "Z" else rest[18]


def _machine_hash() -> str:
    return xxhash.xxh3_64_hexdigest(machine().encode())
