"""Responses to a page's requests."""

from pathlib import Path

import pytest

from qvl.synth_ocr.html.browser import ORIGIN
from qvl.synth_ocr.html.responses import Job, find_response, is_static
from tests.synth_ocr.html.rendering import job


def test_response_when_the_file_is_outside_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "a page.txt").write_text("open")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    outside = ("../secret.txt", "%2e%2e/secret.txt", "..%2fsecret.txt", "link.txt", "none.txt", "")
    markup = "".join(f"<img src='{path}'>" for path in ("a page.txt", *outside))  # naming a file is not enough
    (folder / "a.html").write_text(markup)
    inside = Job("k", f"{ORIGIN}a.html", str(folder))
    assert find_response(f"{ORIGIN}a%20page.txt#part", inside) == ("text/plain; charset=utf-8", b"open")
    for path in outside:
        assert find_response(ORIGIN + path, inside) is None
    assert find_response("http://other.invalid/a%20page.txt", inside) is None
    assert find_response("file:///etc/passwd", inside) is None


@pytest.mark.parametrize(
    "body",
    [
        "<script>1</script>", "<noscript>a</noscript>", "<p OnClick = 'x()'>a</p>", "<img/onerror=x()>",
        "<a href='JavaScript:x()'>",
        "<iframe srcdoc=a>", "<object data=a>", "<meta http-equiv='refresh' content=1>", "<svg onload=x()>",
    ],
)  # fmt: skip
def test_page_when_it_may_run_something_is_not_static(body: str) -> None:
    assert not is_static(job(body)) and is_static(job("<p>once = 1, on and on</p>"))
