"""Files of an image folder that a table names: names are data of others and must not lead out of the folder.

Whether the folder's links may lead out of it is for the user to say. In the cache of the Hugging Face Hub each file of a
snapshot is such a link, to ``../../blobs/HASH``.
"""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from qvl.pipeline.base.addresses import below

BAD_PATH = "bad_path"
LINK_OUTSIDE = "link_outside"


@dataclass(frozen=True, slots=True)
class NamedFile:
    """Where a file that a table names is, which need not exist; or why the name cannot be used (``fault``)."""

    path: str | None = None
    fault: str | None = None


def file_in(folder: str, name: str) -> NamedFile:
    """The file of a folder or below an address, after all links. A link that leads out of the folder is a fault."""
    found = linked_file_in(folder, name)
    if found.path is None or "://" in found.path:
        return found
    target = _resolved(Path(found.path))
    if target is None:
        return NamedFile(fault=BAD_PATH)
    return NamedFile(str(target)) if target.is_relative_to(_local(folder).resolve()) else NamedFile(fault=LINK_OUTSIDE)


def linked_file_in(folder: str, name: str) -> NamedFile:
    """The file of a folder or below an address, wherever links of the folder lead. The name itself must not lead out."""
    if not name or "\0" in name or "\\" in name or ".." in PurePosixPath(name).parts or "://" in name:
        return NamedFile(fault=BAD_PATH)
    if "://" in folder.removeprefix("file://"):
        return NamedFile(fault=BAD_PATH) if name.startswith("/") else NamedFile(below(folder, name))
    root = _local(folder)
    path = root / name
    if name.startswith("/") and not path.is_relative_to(root):
        target = _resolved(path)
        if target is None or not target.is_relative_to(root.resolve()):
            return NamedFile(fault=BAD_PATH)
    return NamedFile(str(path))


def _local(folder: str) -> Path:
    return Path(folder.removeprefix("file://"))


def _resolved(path: Path) -> Path | None:
    """The path after all links; None for a cycle of them."""
    try:
        return path.resolve()
    except RuntimeError:
        return None
