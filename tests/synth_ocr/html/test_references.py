"""A saved page loads what it names, and nothing else of its folder."""

from pathlib import Path

import pytest

from qvl.synth_ocr.html.browser import ORIGIN
from qvl.synth_ocr.html.capture import View
from qvl.synth_ocr.html.isolation import executable
from qvl.synth_ocr.html.references import named_files
from qvl.synth_ocr.html.render import read_page
from qvl.synth_ocr.html.responses import Job
from tests.synth_ocr.html.rendering import LAX, texts


def write(folder: Path, **files: str) -> None:
    for name, content in files.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def test_files_that_markup_and_style_sheets_name_are_found_to_any_depth(tmp_path: Path) -> None:
    write(
        tmp_path,
        a_dot_html="<LINK rel=stylesheet href='a_files/one.css?v=2'><img srcset='p1.png 1x, p2.png 2x' src=\"p%20 0.png\">"
        "<style>@import 'two.css';</style><p style='background: url(p3.png)'><img data-src=p4.png src=&#112;5.png>"
        "<iframe src=a_files/inner.html></iframe><script src=//elsewhere.example/x.js></script><a href=b.html>next</a>",
        a_files__one_dot_css="@import url('three.css'); p { background: url( ../p6.png ) }",
        a_files__three_dot_css="@font-face { src: url(f.woff2) format('woff2'), url('g.woff') }",
        a_files__inner_dot_html="<img src=deep.png><a href=../b.html>",
        b_dot_html="<img src=unnamed.png>", secret_dot_txt="secret",
    )  # fmt: skip
    names = named_files(f"{ORIGIN}a.html", tmp_path)
    assert {"/a.html", "/a_files/one.css", "/two.css", "/a_files/three.css", "/a_files/f.woff2", "/a_files/g.woff",
            "/a_files/inner.html", "/a_files/deep.png", *(f"/p{n}.png" for n in range(1, 7))} <= names  # fmt: skip
    assert not {"/b.html", "/unnamed.png", "/secret.txt", "/x.js"} & names


def test_names_are_relative_to_the_base_that_the_page_declares(tmp_path: Path) -> None:
    write(
        tmp_path,
        a_dot_html="<base href='sub/'><img src=p.png>",
        b_dot_html="<base href='http://other.example/'><img src=p.png>",
    )
    assert "/sub/p.png" in named_files(f"{ORIGIN}a.html", tmp_path)
    assert named_files(f"{ORIGIN}b.html", tmp_path) == {"/b.html"}


@pytest.mark.skipif(executable() is None, reason="no chromium: sh scripts/ocr_packages.sh")
def test_hostile_page_reads_what_it_names_but_no_sibling(tmp_path: Path) -> None:
    script = """<body style='font:20px DejaVu Sans'><p id=r></p><link rel=preload as=fetch href=named.txt><script>
    const read = (name) => fetch(name).then((answer) => answer.text()).catch(() => 'refused');
    const frame = (name) => new Promise((done) => { const made = document.createElement('iframe'); made.src = name;
      made.onload = () => done(made.contentDocument ? made.contentDocument.body.textContent || 'empty' : 'closed');
      document.body.append(made); });
    Promise.all([read('named.txt'), read('secret.txt'), read('other.html'), frame('other.html'), frame('secret.txt')])
      .then((all) => { r.textContent = all.join(' '); });
    let n = 0; (function wait() { if (r.textContent || n++ > 2000) return;
      const i = new Image(); i.onerror = wait; i.src = 'w' + n; })()</script><a href=other.html>"""
    write(tmp_path, a_dot_html=script, named_dot_txt="open", secret_dot_txt="SECRET", other_dot_html="<p>SIBLING</p>")
    page = read_page(Job("k", f"{ORIGIN}a.html", str(tmp_path)), View(900, 700, 1.0, 20.0, True), LAX)
    assert texts(page)[0] == "open refused refused empty empty"
    assert not any("SECRET" in text or "SIBLING" in text for text in texts(page))
