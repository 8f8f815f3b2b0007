"""The paper's mixtures, with which ours are compared: Tables 2 and 3 of arXiv 2308.12966 (reference sections 3 and 4)."""

import re

TABLE3 = {
    "caption": ("Captioning", 19.7),
    "vqa": ("VQA", 3.6),
    "grounded_caption": ("Grounding", 3.5),
    "referring": ("Referring grounding", 8.7),
    "region_caption": ("Grounded captioning", 8.7),
    "ocr": ("OCR", 24.8),
    "text": ("Pure text", 7.8),
}
"""Stage 2: the paper's name of each of our tasks, and its millions of samples."""

TABLE2 = {
    "laion_en": ("LAION-en", 280.0),
    "laion_coco": ("LAION-COCO", 300.0),
    "datacomp": ("DataComp", 300.0),
    "coyo": ("Coyo", 200.0),
    "cc12m": ("CC12M", 8.0),
    "cc3m": ("CC3M", 3.0),
    "sbu": ("SBU", 0.8),
    "coco_caption": ("COCO Caption", 0.6),
    "laion_zh": ("LAION-zh", 105.0),
    "in_house": ("In-house", 220.0),
}
"""Stage 1: the paper's name of each source, by our usual name, and its millions of pairs after cleaning."""

LANGUAGES = {"en": 0.773, "zh": 0.227}
"""The shares of languages in stage 1, as the paper states them."""


def task_share(task: str) -> float | None:
    """A task's share in Table 3, or None for a task that is not in the table (dialogues belong to stage 3)."""
    return TABLE3[task][1] / sum(millions for _, millions in TABLE3.values()) if task in TABLE3 else None


def source_share(source: str) -> tuple[str, float] | None:
    """The paper's name and share in Table 2 of a source named like one of its rows (``LAION-en``, ``laion_en``), or None."""
    plain = _plain(source)
    row = next((row for name, row in TABLE2.items() if plain in (_plain(name), _plain(row[0]))), None)
    return None if row is None else (row[0], row[1] / sum(millions for _, millions in TABLE2.values()))


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
