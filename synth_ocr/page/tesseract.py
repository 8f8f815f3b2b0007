"""The Tesseract that is installed: its version, and the one thread that it may use."""

import os


def tesseract_version() -> str | None:
    """The installed version, or None if there is none."""
    import pytesseract  # type: ignore[import-untyped]

    try:
        return str(pytesseract.get_tesseract_version())
    except pytesseract.TesseractNotFoundError:
        return None


def limit_tesseract_threads() -> None:
    """One thread per Tesseract process, unless the user set a number: its threads block each other on busy cores."""
    os.environ.setdefault("OMP_THREAD_LIMIT", "1")
