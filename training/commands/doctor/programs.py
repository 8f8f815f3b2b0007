"""Checks of the system programs that OCR pages need: Chromium, fonts, Tesseract and its languages. Each is run once."""

import shutil
import subprocess

from qvl.synth_ocr.html.isolation import Isolation, executable, unshare_options
from qvl.training.commands.doctor.check import Check, first_line

PAGE = "data:text/html,<p>the page</p>"
LANGUAGES = {"eng": "tesseract-ocr", "chi_sim": "tesseract-ocr-chi-sim"}
FONTS = {"en": ("fonts-liberation fonts-dejavu", 3), "zh-cn": ("fonts-noto-cjk fonts-wqy-microhei", 1)}
SECONDS = 60


def programs() -> list[Check]:
    """All checks of programs."""
    return [chromium(), chromium_isolation(), *fonts(), *tesseract()]


def output_of(*command: str) -> str | None:
    """The output of a program, or None if it is not installed, fails or hangs."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=SECONDS)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired, OSError):
        return None
    return done.stdout or done.stderr


def install(*packages: str) -> str:
    """The command that installs system packages."""
    return f"apt-get install -y {' '.join(packages)}"


def chromium() -> Check:
    """Whether Chromium is installed and renders a page."""
    path = executable()
    if path is None:
        return Check("ocr", "Chromium", "missing", "not installed", install("chromium"))
    version = first_line(output_of(path, "--version", "--no-sandbox") or "")
    rendered = output_of(
        path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--dump-dom", PAGE
    )
    if rendered is None or "<p>the page</p>" not in rendered:
        return Check(
            "ocr", "Chromium", "missing", f"{version or path} does not start", install("--reinstall", "chromium")
        )
    return Check("ocr", "Chromium", "ok", version)


def chromium_isolation() -> Check:
    """What keeps untrusted pages off the network. Whether settings do is checked only when the browser starts to render."""
    if unshare_options() is not None:
        return Check("ocr", "Chromium: isolation", "ok", Isolation.NAMESPACE)
    found = f"no {Isolation.NAMESPACE} allowed; {Isolation.SETTINGS}, or else untrusted pages are refused"
    return Check("ocr", "Chromium: isolation", "none", found)


def fonts() -> list[Check]:
    """The number of font families that fontconfig has for each language of the pages."""
    if shutil.which("fc-list") is None:
        return [Check("ocr", "fonts", "missing", "no fontconfig (fc-list)", install("fontconfig"))]
    found = []
    for language, (packages, least) in FONTS.items():
        listed = output_of("fc-list", f":lang={language}", "family") or ""
        families = {line.partition(",")[0].strip() for line in listed.splitlines() if line.strip()}
        state, fix = ("ok", None) if len(families) >= least else ("missing", install(packages))
        found.append(Check("ocr", f"fonts: {language}", state, f"{len(families)} families", fix))  # type: ignore[arg-type]
    return found


def tesseract() -> list[Check]:
    """Tesseract and the languages in which pages are read back."""
    version = output_of("tesseract", "--version")
    if version is None:
        return [Check("ocr", "Tesseract", "missing", "not installed", install(*LANGUAGES.values()))]
    known = set((output_of("tesseract", "--list-langs") or "").split())
    checks = [Check("ocr", "Tesseract", "ok", first_line(version))]
    for language, package in LANGUAGES.items():
        installed = language in known
        checks.append(
            Check("ocr", f"Tesseract: {language}", "ok" if installed else "missing", "installed" if installed else "no data",
                  None if installed else install(package))
        )  # fmt: skip
    return checks
