"""Pages of WARC files."""

import io
from pathlib import Path

import pytest

from qvl.synth_ocr.html.isolation import executable
from qvl.synth_ocr.html.render import read_page
from qvl.synth_ocr.html.warc import read_jobs
from tests.synth_ocr.html.rendering import LAX, VIEW, texts

pytestmark = pytest.mark.skipif(executable() is None, reason="no chromium: sh scripts/ocr_packages.sh")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # warcio leaves a file open
def test_warc_page_loads_resources_of_its_own_file(tmp_path: Path) -> None:
    from warcio.statusandheaders import StatusAndHeaders
    from warcio.warcwriter import WARCWriter

    answers = {
        "http://site.test/": (
            "text/html",
            b"<link rel=stylesheet href=/s.css><p style='font-size:20px'>From a WARC file",
        ),
        "http://site.test/s.css": ("text/css", b"p{text-transform:uppercase}"),
    }
    with (tmp_path / "a.warc.gz").open("wb") as file:
        writer = WARCWriter(file, gzip=True)
        for url, (kind, body) in answers.items():
            head = StatusAndHeaders("200 OK", [("Content-Type", kind)], protocol="HTTP/1.1")
            writer.write_record(writer.create_warc_record(url, "response", payload=io.BytesIO(body), http_headers=head))
    (only,) = read_jobs(str(tmp_path / "a.warc.gz"))
    assert texts(read_page(only, VIEW, LAX)) == ["FROM A WARC FILE"]
