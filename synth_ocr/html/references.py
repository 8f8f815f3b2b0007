"""The files that a saved page names: all that it can load.

A page's scripts could ask for any file whose name they know. What the page was saved with is named in its markup and style
sheets; the rest of the folder, and other pages in particular, is refused. Names are found by patterns and not by a parser:
finding one too many is harmless (the page could have named it), and one too few changes what the page looks like.
"""

import html
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path, PurePosixPath
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

VALUE = r"(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'<>]+))"
BASE = re.compile(rf"<base\s[^>]*?href\s*=\s*{VALUE}", re.IGNORECASE)
ATTRIBUTE = re.compile(rf"(?:src|srcset|href|poster|data|background)\s*=\s*{VALUE}", re.IGNORECASE)
IN_STYLE = re.compile(
    r"url\(\s*(?:\"([^\"]*)\"|'([^']*)'|([^\"')\s]+))\s*\)|@import\s+(?:\"([^\"]*)\"|'([^']*)')", re.IGNORECASE
)
PAGES = (".html", ".htm", ".xhtml", ".xht", ".shtml")
READ = (*PAGES, ".css", ".svg")  # files that can name others
# the folder of a saved page's files is called like the page, with one of these (browsers translate the ending)
ENDINGS = ("_files", ".files", "-Dateien", "_fichiers", "_archivos", "_arquivos", "_bestanden")
MAX_NAMES = 20_000  # a page that names more is not shown the rest


def file_path(url: str, root: Path) -> Path | None:
    """The file of a URL, if it is below the root."""
    path = (root / unquote(urlsplit(url).path).lstrip("/")).resolve()
    return path if path.is_relative_to(root) and path.is_file() else None


@lru_cache(maxsize=2)
def named_files(page: str, root: Path) -> frozenset[str]:
    """URL paths, not quoted, of the page, of what it names, and of what its style sheets, pictures and frames name."""
    site = urlsplit(page)
    own = _folders(unquote(site.path))
    found = {unquote(site.path)}
    waiting = [page]
    while waiting and len(found) < MAX_NAMES:
        url = waiting.pop()
        path = file_path(url, root)
        if path is None:
            continue
        for each in _names(path.read_bytes().decode("utf-8", "replace"), url):
            name = unquote(each.path)
            is_page = name.lower().endswith(PAGES)
            if each[:2] != site[:2] or name in found or (is_page and not name.startswith(own)):
                continue
            found.add(name)
            if name.lower().endswith(READ):
                waiting.append(each.geturl())
    return frozenset(found)


def _folders(page: str) -> tuple[str, ...]:
    """Where a browser saves the frames of a page with this path."""
    stem = str(PurePosixPath(page).with_suffix(""))
    return tuple(f"{stem}{ending}/" for ending in ENDINGS)


def _names(text: str, url: str) -> Iterator[SplitResult]:
    """Everything that a page, picture or style sheet names, as absolute URLs."""
    base = BASE.search(text)
    url = urljoin(url, html.unescape("".join(filter(None, base.groups())))) if base else url
    values = {"".join(filter(None, found)) for pattern in (ATTRIBUTE, IN_STYLE) for found in pattern.findall(text)}
    for value in values:
        whole = html.unescape(value).strip()
        for each in {whole, *(part.strip().partition(" ")[0] for part in whole.split(","))}:  # srcset
            try:
                yield urlsplit(urljoin(url, each))
            except ValueError:
                continue  # not a URL
