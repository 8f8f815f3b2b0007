"""The versions of the browser and of the fonts, on which output bytes depend."""

import subprocess
from functools import cache
from pathlib import Path
from shutil import which

import xxhash

from qvl.pipeline.base.errors import RecipeError
from qvl.synth_ocr.html.isolation import executable


def missing_programs() -> list[str]:
    """A message for each program that is not installed."""
    return ([] if executable() else ["chromium is not installed"]) + (
        [] if which("fc-list") else ["fontconfig (fc-list) is not installed"]
    )


@cache
def versions() -> dict[str, str]:
    """The browser's version and a hash of the installed fonts' names and versions. Raises RecipeError without a browser."""
    path = executable()
    if path is None:
        raise RecipeError("chromium is not installed: sh scripts/ocr_packages.sh")
    command = [path, "--version", "--no-sandbox"]
    browser = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()
    fonts = subprocess.run(
        ["fc-list", "-f", "%{family} %{style} %{fontversion}\n"], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    listed = "\n".join(sorted(set(fonts.split("\n"))))
    return {"browser": f"{Path(path).name} {browser}", "fonts": xxhash.xxh3_64_hexdigest(listed.encode())}
