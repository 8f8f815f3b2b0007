"""Files of an image folder that a table names: names are data of others and must not lead out of the folder."""

from pathlib import Path, PurePosixPath

from qvl.pipeline.base.addresses import below


def file_in(folder: str, name: str) -> str | None:
    """The path of a file in a folder or below an address; None if there is no name or if it leads out of the folder."""
    if not name or "\0" in name or "\\" in name:
        return None
    if ".." in PurePosixPath(name).parts or "://" in name:
        return None
    folder = folder.removeprefix("file://")
    if "://" in folder:
        return below(folder, name) if not name.startswith("/") else None
    root = Path(folder).resolve()
    try:
        target = (root / name).resolve()
    except RuntimeError:  # a cycle of symbolic links
        return None
    return str(target) if target.is_relative_to(root) else None
