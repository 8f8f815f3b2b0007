"""Tesseract reads a seeded sample of the lines back: character error rate by source, language, height and effect."""

import io
import os
import re
from collections import defaultdict
from typing import Any

import cv2
import numpy as np
import orjson
from PIL import Image
from rapidfuzz.distance import Levenshtein

from qvl.pipeline.base.errors import ContractError, RecipeError
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import read_manifest
from qvl.pipeline.storage.arrow_files import read_parquet
from qvl.pipeline.storage.atomic import replace_file
from qvl.pipeline.storage.paths import AnyPath
from qvl.synth_ocr.page.gallery import Shown, picked
from qvl.synth_ocr.page.text import language_of

READING = "reading.json"
READING_VERSION = 1  # of what this module makes of equal datasets
LINES = 4  # per page: a line takes a quarter of a second
HEIGHTS = (10, 16, 24, 40)
# where an effect counts as stronger, in its own unit (scene.settings)
EFFECTS = {
    "blur": (0.5, 1.0), "motion_blur": (3, 5), "noise": (4.0,), "shadow": (80.0,), "bend": (0.1, 0.2), "quality": (65, 80),
}  # fmt: skip
LANGUAGES = {"en": "eng", "zh": "chi_sim"}  # by the line: both models together read blurred Chinese as Latin letters
TALL = 48  # pixels that a line is scaled to
WORST = 12


def tesseract() -> str | None:
    """The installed version."""
    import pytesseract  # type: ignore[import-untyped]

    try:
        return str(pytesseract.get_tesseract_version())
    except pytesseract.TesseractNotFoundError:
        return None


def read_back(out: AnyPath, pages: int) -> dict[str, Any]:
    """Read ``pages`` pages of every source; writes OUT/reading.json, which the report shows. Raises without Tesseract.

    A reading of the same dataset by the same Tesseract is kept: nothing is read again.
    """
    layout = Layout(out.resolve())
    dataset = read_manifest(layout.dataset)
    if dataset is None:
        raise ContractError(f"{out}: there is no finished build here; `qvl ocr build` makes one")
    version = tesseract()
    if version is None:
        raise RecipeError("tesseract is not installed: sh scripts/ocr_packages.sh")
    of = {"version": READING_VERSION, "dataset": dataset["hash"], "pages": pages, "tesseract": version}
    kept = read_manifest(layout.out / READING)
    if kept is not None and kept.get("of") == of:
        return kept
    os.environ.setdefault("OMP_THREAD_LIMIT", "1")  # of Tesseract: its threads wait for each other on busy cores
    shown = picked(layout, dataset, pages)
    effects = _effects(layout, shown)
    rows = [row for page in shown for row in _page(page, effects[page.key])]
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        for name in ("all", row["source"], f"language {row['language']}", f"height {row['height']}", *row["effects"]):
            groups[name].append(row)
    content = {
        "of": of,
        "note": f"Tesseract {version}, {len(rows)} lines, single lines cut out by their quads; its own errors included.",
        "groups": {name: _rate(each) for name, each in sorted(groups.items(), key=_order)},
        "worst": sorted(rows, key=lambda row: -row["cer"])[:WORST],
    }
    replace_file(layout.out / READING, orjson.dumps(content, option=orjson.OPT_INDENT_2))
    return content


def _order(group: tuple[str, Any]) -> list[Any]:
    """Groups by name, with numbers as numbers."""
    return [float(word) if word.replace(".", "", 1).isdigit() else word for word in re.split(r"([\d.]+)", group[0])]


def _effects(layout: Layout[AnyPath], shown: list[Shown]) -> dict[str, list[str]]:
    """By page the groups that its effects belong to, by what the ledger notes of it."""
    found = {page.key: list[str]() for page in shown}
    for unit in {page.unit for page in shown}:
        table = read_parquet(layout.ledger(unit)).select(["key", "notes"])
        notes = {f"{unit}-{row['key']}": orjson.loads(row["notes"]) for row in table.to_pylist() if row["notes"]}
        for page in shown:
            if page.unit == unit:
                found[page.key] = groups_of(notes[page.key])
    return found


def groups_of(notes: dict[str, Any]) -> list[str]:
    """A scene's effects as names of groups: each effect weak or strong, and the layout."""
    names = []
    for name, limits in EFFECTS.items():
        if name in notes:
            above = [limit for limit in limits if notes[name] >= limit]
            names.append(f"{name} from {above[-1]:g}" if above else f"{name} under {limits[0]:g}")
    return names + ([f"layout {notes['layout']}"] if "layout" in notes else [])


def _rate(rows: list[dict[str, Any]]) -> dict[str, Any]:
    errors, characters = sum(row["errors"] for row in rows), sum(row["characters"] for row in rows)
    median = float(np.median([row["cer"] for row in rows]))
    return {"lines": len(rows), "cer": round(errors / max(characters, 1), 4), "median": round(median, 4)}


def _page(page: Shown, effects: list[str]) -> list[dict[str, Any]]:
    import pytesseract

    image = np.asarray(Image.open(io.BytesIO(page.jpeg)).convert("RGB"))
    lines = [line for line in page.lines if len(line["phrase"]) >= 4]
    found = []
    for line in lines[:: max(1, len(lines) // LINES)][:LINES]:
        crop = straight(image, line["quad"])
        if crop.shape[0] > crop.shape[1] * 2:
            continue  # vertical text has a model of its own
        text = pytesseract.image_to_string(
            Image.fromarray(crop), lang=LANGUAGES[language_of(line["phrase"])], config="--psm 7"
        )
        label, read = ("".join(each.split()) for each in (line["phrase"], text))
        errors = Levenshtein.distance(label, read)
        height = next((f"under {limit}" for limit in HEIGHTS if line["pixel_height"] < limit), f"from {HEIGHTS[-1]}")
        found.append({
            "source": page.source, "language": page.language, "height": height, "label": label, "read": read,
            "errors": errors, "characters": len(label), "cer": round(errors / max(len(label), 1), 4), "key": page.key,
            "effects": effects,
        })  # fmt: skip
    return found


def straight(image: np.ndarray, quad: list[float]) -> np.ndarray:
    """A line turned upright, TALL pixels high, with a margin around."""
    height, width = image.shape[:2]
    corners = np.array(quad, np.float32).reshape(4, 2) * (width, height)
    across, along = float(np.hypot(*(corners[3] - corners[0]))), float(np.hypot(*(corners[1] - corners[0])))
    tall, pad = TALL, TALL // 3
    wide = max(8, round(along * tall / max(across, 1.0)))
    target = np.array([(pad, pad), (pad + wide, pad), (pad + wide, pad + tall), (pad, pad + tall)], np.float32)
    matrix = cv2.getPerspectiveTransform(corners.astype(np.float32), target)
    return np.asarray(
        cv2.warpPerspective(
            image, matrix, (wide + 2 * pad, tall + 2 * pad), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
    )
