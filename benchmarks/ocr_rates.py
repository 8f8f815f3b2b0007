"""Rates of whole, verified samples on one core (JPEG included), and how tight the boxes are.

usage: python benchmarks/ocr_rates.py [scene|pdf|html ...]   # prints Markdown for benchmarks/results/ocr.md
Scene lines are checked by an independent measure: the same scene is drawn a second time without its text (equal random
numbers), and what differs on the final image is the ink.
"""

import sys
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
import simplejpeg

from synth_ocr.geometry import area, heading, iou, tight_quad
from synth_ocr.pdf.visible import change_of
from synth_ocr.recipe import load_recipe
from synth_ocr.rules import finish
from synth_ocr.scene import draw
from synth_ocr.scene.render import scene

DEMO = Path(__file__).parents[1] / "examples" / "ocr_demo.yaml"
SCENES, PAGES, SCREENS = 40, 60, 20


def generator(index: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence((1, index))))


def reader(name: str, **changes: Any) -> Any:
    """A demo source, with SynthDoG's own layout where it is a scene."""
    return next(s.read for s in load_recipe(DEMO).sources if s.name == name).model_copy(update=changes)


def scenes(language: str) -> str:
    from synth_ocr.scene.settings import TextLayout

    cv2.setNumThreads(1)
    stock = reader(f"scene_{language}", layout=TextLayout()).stock()
    for index in range(4):
        finish("k", scene(stock, generator(1000 + index)), stock.rules)
    started, lines = time.process_time(), 0
    for index in range(SCENES):
        page = scene(stock, generator(index))
        simplejpeg.encode_jpeg(np.ascontiguousarray(page.image), page.quality, colorsubsampling="420", fastdct=False)
        lines += len(page.lines)
    rate = SCENES / (time.process_time() - started)
    tight, agree = differential(stock, 12)
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
        page = scene(still, generator(index))
        with patch.object(draw, "BLEND", False):
            without = scene(still, generator(index))
        change = change_of(np.ascontiguousarray(page.image), np.ascontiguousarray(without.image))
        for line in page.lines:
            mask = np.zeros(change.shape, np.uint8)
            grown = line.quad + np.sign(line.quad - line.quad.mean(axis=0)) * 2
            cv2.fillConvexPoly(mask, np.round(grown).astype(np.int32), 1)
            ink = (change > 0.35 * max(change[mask > 0].max(initial=1), 1)) & (mask > 0)
            found = tight_quad(ink, 0, 0, heading(line.quad))
            if found is not None:
                tight.append(min(abs(area(found)) / abs(area(line.quad)), 1.0))
                agree.append(iou(found, line.quad))
    return tight, agree


def pdf(language: str) -> str:
    import pymupdf

    from synth_ocr.pdf.document import DocumentTask, read_document

    source = reader(f"pdf_{language}")
    data = Path(source.paths[0]).read_bytes()
    task = DocumentTask(data, PAGES, 0, "benchmark", source.long_side, source.rules)
    started = time.process_time()
    outcomes = [each for each in read_document(task) if not isinstance(each, list)]
    rate = len(outcomes) / (time.process_time() - started)
    document = pymupdf.open(stream=data, filetype="pdf")
    started = time.process_time()
    for page in list(document)[:PAGES]:
        zoom = source.long_side / max(page.rect.width, page.rect.height)
        page.get_pixmap(matrix=pymupdf.Matrix(zoom, zoom), alpha=False)
        page.get_text("words")
    plain = PAGES / (time.process_time() - started)
    kept = sum(outcome.verdict == "keep" for outcome in outcomes)
    counts = f"{kept} of {len(outcomes)} kept | PyMuPDF alone {plain:.1f} | {rate / plain:.0%} of it"
    return f"| pdf {language} | {rate:.1f} pages per CPU second | {counts} |"


def html(language: str) -> str:
    from pipeline.build import BuildUnit
    from synth_ocr.html.browser import shared
    from synth_ocr.html.render import PagesTask, render_pages

    source = reader(f"template_{language}", count=SCREENS)
    unit = BuildUnit("t", "benchmark", "pages", (0, SCREENS))
    jobs = [(job, source._view(job.url, 0)) for job in source._jobs(unit, 0)]
    list(render_pages(PagesTask(tuple(jobs[:2]), source.rules)))
    started = time.perf_counter()
    outcomes = list(render_pages(PagesTask(tuple(jobs), source.rules)))
    rate = SCREENS / (time.perf_counter() - started)
    shared().close()
    kept = sum(outcome.verdict == "keep" for outcome in outcomes)
    return f"| html {language} | {rate:.2f} screens/s (wall clock) | {kept} of {SCREENS} kept | | |"


if __name__ == "__main__":
    for kind in sys.argv[1:] or ["scene", "pdf", "html"]:
        for language in ("en", "zh"):
            print({"scene": scenes, "pdf": pdf, "html": html}[kind](language), flush=True)
