"""Pages of a WARC file with the resources in the same file."""

from typing import Any

from qvl.pipeline.storage.reader import Storage
from qvl.synth_ocr.html.responses import Job

MAX_BYTES = 5_000_000  # of one response
MAX_TOTAL = 1_000_000_000  # of one file's responses in memory


def read_jobs(path: str) -> list[Job]:
    """One job per HTML response with status 200, in file order. Each may load every response of the file."""
    from warcio.archiveiterator import ArchiveIterator  # type: ignore[import-untyped]

    responses: dict[str, tuple[str, bytes]] = {}
    pages: list[str] = []
    total = 0
    with Storage().local(path) as local, local.open("rb") as file:
        for record in ArchiveIterator(file):
            found = _response(record)
            if found is None or total + len(found[2]) > MAX_TOTAL:
                continue
            url, kind, body = found
            total += len(body)
            if url not in responses and kind.startswith(("text/html", "application/xhtml")):
                pages.append(url)
            responses.setdefault(url, (kind, body))
    return [Job(f"w{number:05d}", url, "", responses) for number, url in enumerate(pages)]


def _response(record: Any) -> tuple[str, str, bytes] | None:
    """URL, content type and body of a response that can be replayed; None for other records."""
    if record.rec_type != "response" or record.http_headers is None or record.http_headers.get_statuscode() != "200":
        return None
    url = record.rec_headers.get_header("WARC-Target-URI") or ""
    kind = record.http_headers.get_header("Content-Type") or "application/octet-stream"
    body = record.content_stream().read(MAX_BYTES + 1)
    return (url, kind, body) if url and len(body) <= MAX_BYTES else None
