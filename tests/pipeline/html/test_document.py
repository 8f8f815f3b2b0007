"""The page shell: one file, scripts allowed by their hash alone, nothing loaded from elsewhere."""

import base64
import hashlib
import re

from qvl.pipeline.html.document import Page, document
from qvl.pipeline.html.sections import header, section

HOSTILE = "</title><script>alert(1)</script>"


def page(script: str = "", library: str = "") -> str:
    parts = [section("first", "First", "A lead.", "content"), section("second", HOSTILE, "")]
    return document(Page(HOSTILE, HOSTILE, header("Report", HOSTILE, ()), parts, script, library))


def scripts(text: str) -> list[str]:
    return re.findall(r"<script>(.*?)</script>", text, re.DOTALL)


def test_every_script_of_a_page_is_allowed_by_its_hash_and_no_other() -> None:
    text = page("const x = 1;\r\n", "const library = 2;")
    found = scripts(text)
    assert len(found) == 2 and found[0] == "const library = 2;" and found[1].startswith("const x = 1;\n")
    allowed = re.findall(r"sha256-([A-Za-z0-9+/=]+)", text)
    assert allowed == [base64.b64encode(hashlib.sha256(each.encode()).digest()).decode() for each in found]
    assert "default-src &#x27;none&#x27;" in text and "unsafe-eval" not in text


def test_a_page_without_charts_has_one_script_and_loads_nothing() -> None:
    text = page()
    assert len(scripts(text)) == 1 and "Plotly" not in text
    assert not re.search(r'(src|href)="(?!#|data:)', text) and "@import" not in text and "url(" not in text


def test_hostile_titles_stay_text() -> None:
    text = page()
    assert HOSTILE not in text and text.count("&lt;script&gt;alert(1)") == 5


def test_the_same_page_has_the_same_bytes() -> None:
    assert page() == page()
