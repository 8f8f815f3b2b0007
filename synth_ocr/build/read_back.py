"""Tesseract reads a sample of the lines back: character error rates by source, language, height and effect."""

import io
import re
from collections import defaultdict
from dataclasses import dataclass

import cv2
import numpy as np
import orjson
from PIL import Image
from rapidfuzz.distance import Levenshtein

from qvl.pipeline.base.errors import ContractError, RecipeError
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import read_manifest
from qvl.pipeline.markup.coordinates import Quad
from qvl.pipeline.shards.manifests import DatasetManifest
from qvl.pipeline.storage.arrow_files import read_parquet
from qvl.pipeline.storage.atomic import replace_file
from qvl.pipeline.storage.paths import AnyPath
from qvl.synth_ocr.build.gallery import PackedPage, pick_pages
from qvl.synth_ocr.page.notes import BrowserNotes, SceneNotes, parse_notes
from qvl.synth_ocr.page.page import Pixels
from qvl.synth_ocr.page.tesseract import limit_tesseract_threads, tesseract_version
from qvl.synth_ocr.page.text import language_of

READ_BACK = "reading.json"
READ_BACK_VERSION = 1  # raise it when this module reads equal datasets differently
LINES = 4  # per page: a line takes a quarter of a second
LEAST_CHARACTERS = 4  # of a line that is read
HEIGHTS = (10, 16, 24, 40)
# from which values on an effect counts as stronger, in the units of scene.settings
EFFECTS = {
    "blur": (0.5, 1.0), "motion_blur": (3, 5), "noise": (4.0,), "shadow": (80.0,), "bend": (0.1, 0.2), "quality": (65, 80),
}  # fmt: skip
LANGUAGES = {"en": "eng", "zh": "chi_sim"}  # one model per line: both together read blurred Chinese as Latin letters
TALL = 48  # pixels that a line is scaled to
WORST = 12


@dataclass(frozen=True, slots=True)
class ReadBackInputs:
    """What a read-back depends on."""

    version: int
    dataset: str  # hash
    pages: int  # of each source
    tesseract: str  # version


@dataclass(frozen=True, slots=True)
class ErrorRate:
    """Of a group of lines: the character error rate over all its characters (``cer``) and that of the median line."""

    lines: int
    cer: float
    median: float


@dataclass(frozen=True, slots=True)
class LineReading:
    """One line as labelled and as read, both without blanks. ``cer``: edits divided by characters of the label."""

    source: str
    language: str
    height: str
    label: str
    read: str
    errors: int
    characters: int
    cer: float
    key: str
    effects: list[str]


@dataclass(frozen=True, slots=True)
class ReadBack:
    """The content of OUT/reading.json. Its key order is that of the fields."""

    of: ReadBackInputs
    note: str
    groups: dict[str, ErrorRate]
    worst: list[LineReading]


def read_back(out: AnyPath, pages: int) -> ReadBack:
    """Read ``pages`` pages of every source and write OUT/reading.json, which the report shows.

    An earlier result for the same dataset and the same Tesseract is returned as it is. Raises RecipeError without Tesseract.
    """
    layout = Layout(out.resolve())
    dataset = read_manifest(layout.dataset, DatasetManifest)
    if dataset is None:
        raise ContractError(f"{out} has no finished build; `qvl ocr build` creates one")
    version = tesseract_version()
    if version is None:
        raise RecipeError("tesseract is not installed: sh scripts/ocr_packages.sh")
    inputs = ReadBackInputs(READ_BACK_VERSION, dataset.hash, pages, version)
    committed = read_manifest(layout.out / READ_BACK, ReadBack)
    if committed is not None and committed.of == inputs:
        return committed
    limit_tesseract_threads()
    picked = pick_pages(layout, dataset, pages)
    effects = _effects_by_page(layout, picked)
    content = summarize([reading for page in picked for reading in _read_page(page, effects[page.key])], inputs)
    replace_file(layout.out / READ_BACK, orjson.dumps(content, option=orjson.OPT_INDENT_2))
    return content


def summarize(readings: list[LineReading], inputs: ReadBackInputs) -> ReadBack:
    """Error rates of all lines and of every group, and the worst lines."""
    groups: dict[str, list[LineReading]] = defaultdict(list)
    for each in readings:
        for name in ("all", each.source, f"language {each.language}", f"height {each.height}", *each.effects):
            groups[name].append(each)
    return ReadBack(
        inputs,
        f"Tesseract {inputs.tesseract}, {len(readings)} lines, "
        "single lines cut out by their quads; its own errors included.",
        {name: _error_rate(groups[name]) for name in sorted(groups, key=_group_order)},
        sorted(readings, key=lambda each: -each.cer)[:WORST],
    )


def _group_order(name: str) -> list[float | str]:
    """Sorts groups by name, with the numbers in names compared as numbers."""
    return [float(part) if part.replace(".", "", 1).isdigit() else part for part in re.split(r"([\d.]+)", name)]


def _effects_by_page(layout: Layout[AnyPath], picked: list[PackedPage]) -> dict[str, list[str]]:
    """For every page, the groups to which its effects belong, from the notes in the ledger."""
    found = {page.key: list[str]() for page in picked}
    for unit in {page.unit for page in picked}:
        path = layout.ledger(unit)
        rows = read_parquet(path).select(["key", "notes"]).to_pylist()
        notes = {f"{unit}-{row['key']}": parse_notes(row["notes"], str(path)) for row in rows if row["notes"]}
        found |= {page.key: effect_groups(notes[page.key]) for page in picked if page.unit == unit}
    return found


def effect_groups(notes: SceneNotes | BrowserNotes | None) -> list[str]:
    """A scene's effects as names of groups: how strong each effect is, and the layout. Empty for other pages."""
    if not isinstance(notes, SceneNotes):
        return []
    names = []
    for name, limits in EFFECTS.items():
        reached = [limit for limit in limits if getattr(notes, name) >= limit]
        names.append(f"{name} from {reached[-1]:g}" if reached else f"{name} under {limits[0]:g}")
    return [*names, f"layout {notes.layout}"]


def _error_rate(readings: list[LineReading]) -> ErrorRate:
    errors, characters = sum(each.errors for each in readings), sum(each.characters for each in readings)
    median = float(np.median([each.cer for each in readings]))
    return ErrorRate(len(readings), round(errors / max(characters, 1), 4), round(median, 4))


def _read_page(page: PackedPage, effects: list[str]) -> list[LineReading]:
    """Readings of up to LINES lines that are spread over the page."""
    import pytesseract  # type: ignore[import-untyped]

    image = np.asarray(Image.open(io.BytesIO(page.jpeg)).convert("RGB"))
    lines = [line for line in page.lines if len(line.phrase) >= LEAST_CHARACTERS]
    found = []
    for line in lines[:: max(1, len(lines) // LINES)][:LINES]:
        assert line.quad is not None  # every line of an OCR page has one
        crop = straighten(image, line.quad)
        if crop.shape[0] > crop.shape[1] * 2:
            continue  # vertical text would need a model of its own
        model = LANGUAGES[language_of(line.phrase)]
        text = pytesseract.image_to_string(Image.fromarray(crop), lang=model, config="--psm 7")
        label, read = ("".join(each.split()) for each in (line.phrase, text))
        errors = Levenshtein.distance(label, read)
        height = next(
            (f"under {limit}" for limit in HEIGHTS if (line.pixel_height or 0.0) < limit), f"from {HEIGHTS[-1]}"
        )
        found.append(LineReading(
            page.source, page.language, height, label, read, errors, len(label), round(errors / max(len(label), 1), 4),
            page.key, effects,
        ))  # fmt: skip
    return found


def straighten(image: Pixels, quad: Quad) -> Pixels:
    """A line cut out of the page and turned upright, TALL pixels high, with a margin on every side."""
    height, width = image.shape[:2]
    corners = np.array(quad, np.float32).reshape(4, 2) * (width, height)
    across, along = float(np.hypot(*(corners[3] - corners[0]))), float(np.hypot(*(corners[1] - corners[0])))
    tall, pad = TALL, TALL // 3
    wide = max(8, round(along * tall / max(across, 1.0)))
    target = np.array([(pad, pad), (pad + wide, pad), (pad + wide, pad + tall), (pad, pad + tall)], np.float32)
    matrix = cv2.getPerspectiveTransform(corners.astype(np.float32), target)
    size = (wide + 2 * pad, tall + 2 * pad)
    turned = cv2.warpPerspective(image, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(turned, np.uint8)
