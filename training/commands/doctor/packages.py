"""Checks of Python packages by extra: whether those that the installed metadata requires are there and new enough."""

import sys
from importlib.metadata import PackageNotFoundError, metadata, requires, version

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from qvl.training.commands.doctor.check import Check

PROJECT = "qvl"
EXTRAS = {
    "": ("base", "curation, text, grounding"),
    "ocr": ("ocr", "OCR pages"),
    "clip": ("curate", "CLIP scores"),
    "view": ("view", "the app"),
    "s3": ("curate", "outputs and sources on S3"),
    "model": ("model", "the model"),
    "train": ("train", "training"),
}
SHOWN = ("duckdb", "pyarrow", "pillow", "ray", "playwright", "open-clip-torch", "torch", "transformers", "deepspeed", "peft",
         "starlette", "s3fs")  # fmt: skip


def packages() -> list[Check]:
    """Python itself, and one check for each extra."""
    python = ".".join(map(str, sys.version_info[:3]))
    recent = sys.version_info >= (3, 11)
    return [
        Check(
            "base",
            "Python",
            "ok" if recent else "missing",
            python,
            None if recent else "install Python 3.11 or newer",
            True,
        ),
        *(_extra(extra, *names) for extra, names in EXTRAS.items()),
    ]


def _extra(extra: str, part: str, purpose: str) -> Check:
    name, fix = f"packages: {purpose}", f"pip install '{PROJECT}[{extra}]'" if extra else f"pip install {PROJECT}"
    try:
        wanted = required(extra)
    except PackageNotFoundError:
        return Check(part, name, "missing", f"{PROJECT} itself is not installed", "pip install -e .", not extra)
    if extra and extra not in (metadata(PROJECT).get_all("Provides-Extra") or ()):
        return Check(part, name, "missing", f"the installed {PROJECT} is older than this code", "pip install -e .")
    held = {requirement.name: installed(requirement.name) for requirement in wanted}
    lacking = [
        f"{requirement.name}{requirement.specifier}" + (f" (is {found})" if found else "")
        for requirement in wanted
        if not (found := held[requirement.name]) or not requirement.specifier.contains(found, prereleases=True)
    ]
    if lacking:
        return Check(part, name, "missing", ", ".join(lacking), fix, not extra)
    shown = [f"{package} {found}" for package, found in held.items() if canonicalize_name(package) in SHOWN]
    return Check(part, name, "ok", ", ".join(shown) or f"{len(held)} packages", None, not extra)


def required(extra: str) -> list[Requirement]:
    """What an extra requires on this machine, with our own extras in it resolved. ``""`` is the base."""
    found: dict[str, Requirement] = {}
    for line in requires(PROJECT) or []:
        requirement = Requirement(line)
        in_base = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        in_extra = requirement.marker is not None and requirement.marker.evaluate({"extra": extra})
        if in_base if not extra else (in_extra and not in_base):
            if canonicalize_name(requirement.name) == PROJECT:
                found |= {each.name: each for inner in requirement.extras for each in required(inner)}
            else:
                found[requirement.name] = requirement
    return list(found.values())


def installed(name: str) -> str | None:
    """The version of a package, or None if it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None
