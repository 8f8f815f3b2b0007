"""The engine that reads PDF files: MuPDF if it is installed, else PDFium. Other modules see only these two protocols."""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Literal, Protocol

from qvl.pipeline.base.errors import RecipeError
from qvl.synth_ocr.page.extracted import ExtractedWord
from qvl.synth_ocr.page.page import Pixels

Engine = Literal["mupdf", "pdfium"]
MODULES: dict[Engine, str] = {"mupdf": "pymupdf", "pdfium": "pypdfium2"}


class PdfPage(Protocol):
    """A page as it is shown, in points: ``width`` and ``height`` include its rotation, crop box and user unit."""

    @property
    def width(self) -> float: ...

    @property
    def height(self) -> float: ...

    def render(self, zoom: float) -> Pixels:
        """The page at ``zoom`` pixels per point, without annotations: [height, width, 3], RGB."""

    def words(self, zoom: float) -> list[ExtractedWord]:
        """Every word in content order, in pixels at ``zoom``, without annotations."""

    def remove_text(self) -> None:
        """Remove all text and nothing else, so that ``render`` shows the rest. Raises PageRejected if some text stays."""

    def is_scan(self) -> bool:
        """Whether one image covers most of the page."""

    def fonts(self) -> list[str]:
        """Names of the page's fonts, sorted."""


class PdfFile(Protocol):
    """An open document of ``count`` pages. ``faults`` are the errors that the engine raises for broken pages."""

    count: int

    @property
    def faults(self) -> tuple[type[Exception], ...]: ...

    def pages(self, numbers: list[int]) -> Iterator[PdfPage]:
        """The pages with these numbers; only one is open at a time."""

    def close(self) -> None:
        """Release its memory."""


def engine_of(requested: Engine | None) -> Engine:
    """The requested engine, else the first that is installed. Raises RecipeError if it is not installed."""
    names: list[Engine] = [requested] if requested else ["mupdf", "pdfium"]
    for name in names:
        if find_spec(MODULES[name]):
            return name
    raise RecipeError(f"no PDF engine is installed: pip install {' or '.join(MODULES[name] for name in names)}")


def engine_version(engine: Engine) -> list[str]:
    """The engine's name, its version and the version of its Python package: output bytes depend on all three."""
    if engine == "mupdf":
        import pymupdf

        return [engine, *(str(version) for version in pymupdf.version[:2])]
    import pypdfium2  # type: ignore[import-untyped]

    return [engine, str(pypdfium2.PYPDFIUM_INFO), str(pypdfium2.PDFIUM_INFO)]


def open_file(data: bytes, engine: Engine) -> PdfFile:
    """The opened document. Raises PageRejected for one that is broken or encrypted or has no pages."""
    if engine == "mupdf":
        from qvl.synth_ocr.pdf.mupdf import MuFile

        return MuFile(data)
    from qvl.synth_ocr.pdf.pdfium import PdfiumFile

    return PdfiumFile(data)
