"""Fills the folders that synth_ocr/recipes/qwen_vl_ocr.yaml names with open inputs of `ocr_packages.sh full`.

usage: python scripts/ocr_open_inputs.py synth_ocr/recipes/data [PAGES]      # PAGES in each WARC file, by default 200
They stand in for the paper's inputs: 43 English font families, 11 Chinese fonts, running text in both languages,
photographs, PDF documents, and saved pages as WARC files. Inputs that are not installed are named and left out.
"""

import io
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

FONTS = Path("/usr/share/fonts")
ENGLISH = (
    "truetype/croscore", "opentype/urw-base35", "truetype/crosextra", "opentype/bwht", "truetype/sjfonts",
    "truetype/rufscript", "truetype/breip", "truetype/femkeklaver", "truetype/fifthhorseman", "truetype/humor-sans",
    "truetype/kristi", "opentype/lobster", "truetype/leckerli-one", "opentype/kaushanscript", "opentype/dancingscript",
    "opentype/yanone-kaffeesatz", "truetype/clear-sans", "opentype/cantarell", "opentype/b612", "truetype/hermit",
    "truetype/agave", "truetype/mononoki", "truetype/cardo", "opentype/stix-word", "opentype/havana", "truetype/dejavu",
)  # fmt: skip
# families whose names end like this are weights of others
WEIGHTS = ("Light", "Thin", "Medium", "Condensed", "Black", "Bold", "ExtraLight", "Demi", "D050000L", "PS")
CHINESE = (
    "truetype/smiley-sans/*", "truetype/wqy/wqy-microhei.ttc", "truetype/wqy/wqy-zenhei.ttc", "truetype/arphic/ukai.ttc",
    "truetype/arphic/uming.ttc", "truetype/arphic-gbsn00lp/*.ttf", "truetype/arphic-gkai00mp/*.ttf",
)  # fmt: skip
FANDOL = Path("/usr/share/texlive/texmf-dist/fonts/opentype/public/fandol")
HELP = Path("/usr/share/libreoffice/help")
HANDBOOK = Path("/usr/share/doc/debian-handbook/html")
PHOTOGRAPHS = ("/usr/share/backgrounds/mate/nature/*.jpg",)
DOCUMENTS = ("/usr/share/debian-reference/*.pdf", "/usr/share/doc/texlive-doc/*/*/*.pdf")
PAGES = 200
HAN = re.compile("[\u4e00-\u9fff]")
SITE = "http://help.invalid/"
KINDS = {".html": "text/html; charset=utf-8", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml",
         ".png": "image/png", ".ico": "image/x-icon"}  # fmt: skip


class Text(HTMLParser):
    """Collects paragraphs, headings and list items as lines."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.depth = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("p", "h1", "h2", "h3", "li"):
            self.depth += 1
            self.lines.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("p", "h1", "h2", "h3", "li"):
            self.depth = max(0, self.depth - 1)

    def handle_data(self, data: str) -> None:
        if self.depth and self.lines:
            self.lines[-1] += data


def regular_faces(folders: tuple[str, ...]) -> list[Path]:
    """One file for each font family in the folders: its regular face, or else its first."""
    best: dict[str, tuple[bool, Path]] = {}
    for folder in folders:
        for path in sorted((FONTS / folder).glob("*.[ot]tf")):
            described = subprocess.run(
                ["fc-scan", "-f", "%{family[0]}\t%{style[0]}", str(path)], capture_output=True, text=True, check=True
            ).stdout
            family, _, style = described.partition("\t")
            if family.endswith(WEIGHTS):
                continue
            found = style in ("Regular", "Book", "Roman", "Medium"), path
            if family not in best or found[0] > best[family][0]:
                best[family] = found
    return [path for _, path in best.values()]


def link(paths: list[Path], folder: Path) -> int:
    """Link the files into a folder. A name that is already taken is prefixed with the name of the file's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in paths:
        target = folder / path.name
        target = target if not target.exists() else folder / f"{path.parent.name}_{path.name}"
        if not target.exists():
            target.symlink_to(path)
    return len(paths)


def matching(patterns: tuple[str, ...], root: Path = Path("/")) -> list[Path]:
    """All files that match the patterns, pattern by pattern."""
    return [path for pattern in patterns for path in sorted(root.glob(pattern.lstrip("/")))]


def running_text(pages: list[Path], target: Path, chinese: bool) -> int:
    """Write the paragraphs of saved pages that are in the language, one per line: translations are incomplete."""
    lines: dict[str, None] = {}
    for page in pages:
        parser = Text()
        parser.feed(page.read_text("utf-8", "replace"))
        texts = [text for line in parser.lines if len(text := " ".join(line.split())) > 20]
        lines.update((text, None) for text in texts if (len(HAN.findall(text)) > 0.3 * len(text)) == chinese)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("\n".join(lines), "utf-8")
    return len(lines)


def records(language: str, most: int) -> Iterator[tuple[str, str, bytes]]:
    """URL, content type and body of a language's help pages and of the files that they load."""
    pages = sorted((HELP / language / "text").rglob("*.html"))
    shared = [*HELP.glob("*.css"), *HELP.glob("*.js"), *(HELP / language).glob("*.js")]
    media = list((HELP / "media").glob("*/*.*"))
    for path in [*pages[:: max(1, len(pages) // most)][:most], *shared, *media]:
        if path.suffix in KINDS:
            yield SITE + path.relative_to(HELP).as_posix(), KINDS[path.suffix], path.read_bytes()


def write_warc(language: str, target: Path, most: int) -> int:
    """Write help pages and their files as a WARC file. Returns the number of records."""
    target.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with target.open("wb") as file:
        writer = WARCWriter(file, gzip=True)
        for url, kind, body in records(language, most):
            head = StatusAndHeaders("200 OK", [("Content-Type", kind)], protocol="HTTP/1.1")
            writer.write_record(writer.create_warc_record(url, "response", payload=io.BytesIO(body), http_headers=head))
            count += 1
    return count


def main(folder: Path, most: int) -> None:
    """Replace everything in ``folder``."""
    if folder.exists():
        shutil.rmtree(folder)
    counts = {
        "fonts/en": link(regular_faces(ENGLISH), folder / "fonts/en"),
        "fonts/zh": link(
            matching(CHINESE, FONTS)
            + sorted(set(FANDOL.glob("*-Regular.otf")) - {FANDOL / "FandolBraille-Regular.otf"}),
            folder / "fonts/zh",
        ),
        "coco/train2017": link(matching(PHOTOGRAPHS), folder / "coco/train2017"),
        "pdf": link(matching(DOCUMENTS), folder / "pdf"),
    }
    for language, code, book in (("en", "en-US", "en-US"), ("zh", "zh-CN", "zh-CN")):
        pages = [*sorted((HELP / code / "text").rglob("*.html")), *sorted((HANDBOOK / book).glob("*.html"))]
        counts[f"text/{language}wiki.txt"] = running_text(pages, folder / f"text/{language}wiki.txt", language == "zh")
        counts[f"warc/{code}.warc.gz"] = write_warc(code, folder / f"warc/{code}.warc.gz", most)
    for name, count in counts.items():
        line = f"{count:7,} {name}" if count else f"nothing for {name}: sh scripts/ocr_packages.sh full"
        sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else PAGES)
