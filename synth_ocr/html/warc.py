"""Pages of a WARC file, with the resources that the same file holds."""

from typing import Any

from qvl.pipeline.storage.reader import Storage
from qvl.synth_ocr.html.answers import Job

MAX_BYTES = 5_000_000  # of one response
MAX_TOTAL = 1_000_000_000  # of one file's responses in memory


def jobs(path: str) -> list[Job]:
    """One job per HTML response with status 200, in the order of the file; later ones may use all its responses."""
    from warcio.archiveiterator import ArchiveIterator  # type: ignore[import-untyped]

    responses: dict[str, tuple[str, bytes]] = {}
    pages: list[str] = []
    held = 0
    with Storage().local(path) as local, local.open("rb") as file:
        for record in ArchiveIterator(file):
            found = _response(record)
            if found is None or held + len(found[2]) > MAX_TOTAL:
                continue
            url, kind, body = found
            held += len(body)
            if url not in responses and kind.startswith(("text/html", "application/xhtml")):
                pages.append(url)
            responses.setdefault(url, (kind, body))
    return [Job(f"w{number:05d}", url, "", responses) for number, url in enumerate(pages)]


def _response(record: Any) -> tuple[str, str, bytes] | None:
    """URL, content type and body of a response that can be replayed."""
    if record.rec_type != "response" or record.http_headers is None or record.http_headers.get_statuscode() != "200":
        return None
    url = record.rec_headers.get_header("WARC-Target-URI") or ""
    kind = record.http_headers.get_header("Content-Type") or "application/octet-stream"
    body = record.content_stream().read(MAX_BYTES + 1)
    return (url, kind, body) if url and len(body) <= MAX_BYTES else None
