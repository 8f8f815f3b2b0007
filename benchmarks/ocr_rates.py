"""Rates of whole, verified samples on one core (JPEG included), and how tight the boxes are.

usage: python benchmarks/ocr_rates.py [scene|pdf|html ...]   # prints Markdown for benchmarks/results/ocr.md
Scene lines are checked by an independent measure: the same scene is drawn a second time without its text (equal random
numbers), and what differs on the final image is the ink.
"""

import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
import simplejpeg

from qvl.pipeline.base.verdicts import KEEP
from qvl.synth_ocr.build.recipe import load_recipe
from qvl.synth_ocr.page.evidence import text_change
from qvl.synth_ocr.page.geometry import Bools, Points, area, iou
from qvl.synth_ocr.page.rules import encode_page
from qvl.synth_ocr.scene import draw
from qvl.synth_ocr.scene.render import render_scene

DEMO = Path(__file__).parents[1] / "examples" / "ocr_demo.yaml"
SCENES, MEASURED, PAGES, SCREENS, ROUNDS = 40, 60, 60, 40, 5
# saved pages of packages in addition to the demo's, from `ocr_packages.sh full`
SAVED = {
    "handbook_en": ("/usr/share/doc/debian-handbook/html", "en-US/*.html"),
    "handbook_zh": ("/usr/share/doc/debian-handbook/html", "zh-CN/*.html"),
    "help_en": ("/usr/share/libreoffice/help", "en-US/text/swriter/guide/*.html"),
    "help_zh": ("/usr/share/libreoffice/help", "zh-CN/text/swriter/guide/*.html"),
}


def generator(index: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence((1, index))))


def reader(name: str, **changes: Any) -> Any:
    """A demo source, with SynthDoG's own layout where it is a scene."""
    return next(s.read for s in load_recipe(DEMO).sources if s.name == name).model_copy(update=changes)


def scenes(language: str) -> str:
    from qvl.synth_ocr.scene.settings import TextLayout

    cv2.setNumThreads(1)
    stock = reader(f"scene_{language}", layout=TextLayout()).stock()
    for index in range(4):
        encode_page("k", render_scene(stock, generator(1000 + index)), stock.rules)
    started, lines = time.process_time(), 0
    for index in range(SCENES):
        page = render_scene(stock, generator(index))
        simplejpeg.encode_jpeg(np.ascontiguousarray(page.image), page.quality, colorsubsampling="420", fastdct=False)
        lines += len(page.lines)
    rate = SCENES / (time.process_time() - started)
    tight, agree = differential(stock, MEASURED)
    return (
        f"| scene {language} | {rate:.2f} images per CPU second | {lines / SCENES:.1f} lines each | ink/box median "
        f"{np.median(tight):.3f}, p1 {np.percentile(tight, 1):.3f} | IoU >= 0.9 on {np.mean(np.array(agree) >= 0.9):.1%} of "
        f"{len(agree)} lines, p1 {np.percentile(agree, 1):.3f} |"
    )


def differential(stock: Any, count: int) -> tuple[list[float], list[float]]:
    """Per line: area of the ink's bounds over the box, and their IoU, from two renderings without noise and blur."""
    calm = {"noise_scale": (0.0, 0.0), "gaussian_blur": (0.0, 0.0), "motion_blur": 0.0, "elastic_alpha": (0.0, 0.0)}
    still = type(stock)(**{**vars(stock), "effects": stock.effects.model_copy(update=calm)})
    tight, agree = [], []
    for index in range(count):
        page = render_scene(still, generator(index))
        with patch.object(draw, "BLEND", False):
            without = render_scene(still, generator(index))
        change = text_change(np.ascontiguousarray(page.image), np.ascontiguousarray(without.image))
        for line in page.lines:
            mask = np.zeros(change.shape, np.uint8)
            grown = line.quad + np.sign(line.quad - line.quad.mean(axis=0)) * 2
            cv2.fillConvexPoly(mask, np.round(grown).astype(np.int32), 1)
            ink = (change > 0.35 * max(change[mask > 0].max(initial=1), 1)) & (mask > 0)
            if ink.any():
                found = ink_bounds(ink, line.quad)
                tight.append(min(abs(area(found)) / abs(area(line.quad)), 1.0))
                agree.append(iou(found, line.quad))
    return tight, agree


def ink_bounds(ink: Bools, quad: Points) -> Points:
    """The smallest parallelogram around ink pixels along the quad's own two axes.

    A rectangle would not do: seen from the side, the box of one character leans, and a rectangle around it is wider.
    """
    axes = np.array([quad[1] + quad[2] - quad[0] - quad[3], quad[2] + quad[3] - quad[0] - quad[1]])
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    rows, columns = np.nonzero(ink)
    inside = np.stack([columns + 0.5, rows + 0.5], axis=1) @ np.linalg.inv(axes)
    half = 0.5 if set(np.abs(axes).ravel().tolist()) == {0.0, 1.0} else 0.35
    (x0, y0), (x1, y1) = inside.min(axis=0) - half, inside.max(axis=0) + half
    return np.asarray(np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)]) @ axes)


def alternately(works: Mapping[str, Callable[[], int]]) -> tuple[dict[str, int], dict[str, list[float]]]:
    """Run each work in turn, ROUNDS times. The last result of each, and its CPU seconds in every round."""
    results: dict[str, int] = {}
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(ROUNDS):
        for name, work in works.items():
            started = time.process_time()
            results[name] = work()
            seconds[name].append(time.process_time() - started)
    return results, seconds


def pdf(language: str) -> str:
    """Verified pages of each engine, and MuPDF's own render and words of the same pages; best of ROUNDS, side by side."""
    import pymupdf

    from qvl.pipeline.builders.builder import BuildUnit
    from qvl.synth_ocr.build.sample import built_row
    from qvl.synth_ocr.pdf.document import DocumentTask, choose_pages, read_document

    cv2.setNumThreads(1)
    source = reader(f"pdf_{language}")
    data, unit = Path(source.paths[0]).read_bytes(), BuildUnit("u", "s", "n")

    def samples(engine: Any) -> int:
        task = DocumentTask(data, PAGES, 0, "benchmark", source.long_side, source.rules, engine)
        pages = [each for each in read_document(task) if not isinstance(each, list)]
        return sum(bool(built_row(page, unit, "pdf", row, 1790).samples) for row, page in enumerate(pages))

    def plain() -> int:
        with pymupdf.open(stream=data, filetype="pdf") as document:
            for number in choose_pages(document.page_count, PAGES, 0, "benchmark"):
                page = document[number]
                zoom = source.long_side / max(page.rect.width, page.rect.height)
                page.get_pixmap(matrix=pymupdf.Matrix(zoom, zoom), alpha=False)
                page.get_text("words")
        return PAGES

    kept, seconds = alternately(
        {"mupdf": lambda: samples("mupdf"), "pdfium": lambda: samples("pdfium"), "plain": plain}
    )
    rate = {name: PAGES / min(each) for name, each in seconds.items()}
    middle = {name: PAGES / float(np.median(each)) for name, each in seconds.items()}
    return (
        f"| pdf {language} | {rate['mupdf']:.1f} pages per CPU second (median {middle['mupdf']:.1f}) | "
        f"{kept['mupdf']} of {PAGES} kept | PyMuPDF alone {rate['plain']:.1f} (median {middle['plain']:.1f}): "
        f"{rate['mupdf'] / rate['plain']:.0%} of it | PDFium {rate['pdfium']:.1f} ({kept['pdfium']} kept) |"
    )


def html(name: str) -> str:
    """Verified screens: by the clock, and by the CPU time of this process, the browser and its driver together."""
    from qvl.pipeline.builders.builder import BuildUnit
    from qvl.synth_ocr.html.browser import shared_browser
    from qvl.synth_ocr.html.render import PagesTask, render_pages
    from qvl.synth_ocr.html.source import Html

    if name in SAVED:
        root, pages = SAVED[name]
        source: Any = Html(paths=(f"{root}/{pages}",), root=root, count=12)
    else:
        source = reader(name, count=SCREENS)
    unit = BuildUnit("t", "benchmark", "pages", (0, SCREENS)) if source.templates else source.units("s")[0]
    jobs = [(job, source._view(job.url, 0)) for job in source._jobs(unit, 0)]
    list(render_pages(PagesTask(tuple(jobs[:5]), source.rules)))
    started, used = time.perf_counter(), family_seconds()
    outcomes = list(render_pages(PagesTask(tuple(jobs), source.rules)))
    rate, cost = len(jobs) / (time.perf_counter() - started), (family_seconds() - used) / len(jobs)
    shared_browser().close()
    kept = sum(outcome.verdict == KEEP for outcome in outcomes)
    return (
        f"| {name} | {rate:.2f} screens/s by the clock | {cost:.2f} CPU seconds a screen in all processes | "
        f"{kept} of {len(jobs)} kept | |"
    )


def family_seconds() -> float:
    """CPU seconds of this process and of all below it, ended ones included."""
    total, parents = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        number = int(stat.parent.name)
        parents[number], total[number] = int(fields[1]), sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    family = {os.getpid()}
    while more := {number for number, parent in parents.items() if parent in family} - family:
        family |= more
    return sum(total[number] for number in family)


WORKS = {
    "scene": (scenes, ("en", "zh")), "pdf": (pdf, ("en", "zh")),
    "html": (html, ("template_en", "template_zh", "html_en", "html_zh", *SAVED)),
}  # fmt: skip

if __name__ == "__main__":
    for kind in sys.argv[1:] or WORKS:
        work, parts = WORKS[kind]
        for part in parts:
            print(work(part), flush=True)
    if "html" in (sys.argv[1:] or WORKS):
        from qvl.synth_ocr.html.versions import versions

        print(versions()["browser"])
