"""What the tests of scenes share: fonts and texts, a stock of them, generators and empty sheets."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from qvl.synth_ocr.scene.draw import Sheet
from qvl.synth_ocr.scene.render import Stock
from qvl.synth_ocr.scene.source import Scene

LATIN = "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"
CHINESE = "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc"
KAI = "/usr/share/fonts/truetype/arphic/ukai.ttc"
ENGLISH_TEXT = "It was the best of times, it was the worst of times, it was the age of wisdom. " * 40
CHINESE_TEXT = "我们在二〇二三年用Python写了“程序”，它很好（真的）。他说：可以！然后大家都笑了。" * 60


def need(path: str) -> str:
    if not Path(path).is_file():
        pytest.skip(f"{path} is not installed: sh scripts/ocr_packages.sh")
    return path


def stock(folder: Path, language: str, kind: str = "grid_stack", **settings: Any) -> Stock:
    text = folder / f"{language}.txt"
    text.write_text(ENGLISH_TEXT if language == "en" else CHINESE_TEXT, "utf-8")
    font = need(LATIN if language == "en" else CHINESE)
    content = {
        "language": language, "count": 1, "fonts": [{"fonts": [font]}], "corpora": [{"texts": [str(text)]}],
        "layout": {"kinds": {kind: 1.0}}, **settings,
    }  # fmt: skip
    material: Stock = Scene.model_validate(content).stock()
    return material


def generator(index: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence((7, index))))


def empty_sheet(width: int = 600, height: int = 100) -> Sheet:
    blank = np.zeros((height, width), np.uint8)
    return Sheet(np.full((height, width, 3), 255, np.uint8), blank, blank.astype(np.uint16))


def noise_picture(seed: int) -> bytes:
    small = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    target = BytesIO()
    Image.fromarray(small).resize((270, 270)).save(target, "JPEG", quality=92)
    return target.getvalue()
