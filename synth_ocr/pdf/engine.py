"""What reads PDF files: MuPDF where it is installed, else PDFium. The rest of the package sees these two protocols."""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Literal, Protocol

from qvl.pipeline.base.errors import RecipeError
from qvl.synth_ocr.page.layout import Piece
from qvl.synth_ocr.page.page import Pixels

Engine = Literal["mupdf", "pdfium"]
MODULES: dict[Engine, str] = {"mupdf": "pymupdf", "pdfium": "pypdfium2"}


class PdfPage(Protocol):
    """A page in points as it is shown: its rotation, crop box and user unit are in ``width`` and ``height``."""

    @property
    def width(self) -> float: ...

    @property
    def height(self) -> float: ...

    def render(self, zoom: float) -> Pixels:
        """The page at ``zoom`` pixels per point, without annotations: [height, width, 3], RGB."""

    def pieces(self, zoom: float) -> list[Piece]:
        """Every word in the order of the content, in pixels at ``zoom``. Annotations are left out."""

    def remove_text(self) -> None:
        """Take all text away and nothing else: what ``render`` shows afterwards. Raises PageRejected where some stays."""

    def is_scan(self) -> bool:
        """Whether one image covers most of the page."""

    def fonts(self) -> list[str]:
        """Names of the page's fonts, sorted."""


class PdfFile(Protocol):
    """An open document of ``count`` pages; ``faults`` are the errors that its engine has for broken pages."""

    count: int

    @property
    def faults(self) -> tuple[type[Exception], ...]: ...

    def pages(self, numbers: list[int]) -> Iterator[PdfPage]:
        """These pages; one at a time is open."""

    def close(self) -> None:
        """Give its memory back."""


def engine_of(asked: Engine | None) -> Engine:
    """The asked engine, else the first that is installed. Raises RecipeError where there is none."""
    names: list[Engine] = [asked] if asked else ["mupdf", "pdfium"]
    for name in names:
        if find_spec(MODULES[name]):
            return name
    raise RecipeError(f"no PDF engine: pip install {' or '.join(MODULES[name] for name in names)}")


def engine_version(engine: Engine) -> list[str]:
    """The engine's name, its version and that of its Python package: bytes differ across them."""
    if engine == "mupdf":
        import pymupdf

        return [engine, *(str(version) for version in pymupdf.version[:2])]
    import pypdfium2  # type: ignore[import-untyped]

    return [engine, str(pypdfium2.PYPDFIUM_INFO), str(pypdfium2.PDFIUM_INFO)]


def open_file(data: bytes, engine: Engine) -> PdfFile:
    """Raises PageRejected (broken, encrypted, no pages)."""
    if engine == "mupdf":
        from qvl.synth_ocr.pdf.mupdf import MuFile

        return MuFile(data)
    from qvl.synth_ocr.pdf.pdfium import PdfiumFile

    return PdfiumFile(data)
