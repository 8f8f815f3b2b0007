"""Running text for scenes, cleaned once, and Faker's generators of names, companies and dates."""

import re
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Literal

import numpy as np
import pyarrow.parquet as pq
import xxhash
from faker import Faker

from qvl.pipeline.base.addresses import public_address
from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.storage.reader import Storage
from qvl.synth_ocr.page.text import PRIVATE_USE, UNKNOWN, WIDE, clean
from qvl.synth_ocr.scene.line_breaking import Unit, units
from qvl.synth_ocr.scene.settings import Corpus

Language = Literal["en", "zh"]
LOCALES = {"en": "en_US", "zh": "zh_CN"}
DIVIDER = re.compile(r"^\s*(?:%|-{3,}|={3,})\s*$", re.MULTILINE)  # between fortunes and under headings
TERMINAL = re.compile(r"\x1b\[[0-9;]*m")
JOINT = re.compile(
    rf"(?<={WIDE.pattern})\s*\n\s*(?={WIDE.pattern})"
)  # a line break between Chinese characters is not a blank
WIKI = re.compile(
    r"\[\[(?:File|Image|文件|图像|Category|分类):[^\]]*\]\]|\{\{[^}]*\}\}|</?[a-zA-Z!][^<>]*>|'''?|\|thumb\|?|={2,}",
    re.IGNORECASE,
)
LINK = re.compile(r"\[\[(?:[^|\]]*\|)?([^\]]*)\]\]")
WINDOW = 6_000  # characters read for one page


def without_markup(text: str) -> str:
    """The text without wiki markup and without characters that a label must not contain."""
    return clean(
        UNKNOWN.sub(
            "",
            PRIVATE_USE.sub(
                "", LINK.sub(r"\1", WIKI.sub(" ", DIVIDER.sub(" ", JOINT.sub("", TERMINAL.sub("", text)))))
            ),
        )
    )


@lru_cache(maxsize=64)
def read_text(path: str, column: str, most: int) -> str:
    """The text of a corpus file, cut after ``most`` bytes."""
    if public_address(path).endswith(".parquet"):
        with Storage().local(path) as local:
            rows = pq.read_table(local, columns=[column])[column].to_pylist()
        return "\n".join(row for row in rows if row)[:most]
    data = Storage().read_range(path, 0, min(Storage().size(path), most))
    return data.decode("utf-8", "ignore")


def files_of(corpora: tuple[Corpus, ...]) -> list[tuple[Corpus, str]]:
    """Every file with its corpus. Raises RecipeError for a pattern that matches nothing."""
    found = []
    for corpus in corpora:
        for pattern in corpus.texts:
            paths = Storage().glob(pattern)
            if not paths:
                raise RecipeError(f"no text matches {pattern}; `sh scripts/ocr_packages.sh` installs the demo's")
            found += [(corpus, path) for path in paths]
    return found


def passage(files: list[tuple[Corpus, str]], rng: np.random.Generator) -> list[Unit]:
    """The units of running text from a random position on, beginning after the next blank or full stop."""
    weights = np.array([corpus.weight for corpus, _ in files])
    corpus, path = files[int(rng.choice(len(files), p=weights / weights.sum()))]
    text = read_text(path, corpus.column, corpus.maximum_bytes)
    start = int(rng.integers(0, max(1, len(text) - WINDOW)))
    window = text[start : start + WINDOW]
    begin = re.search(r"[\s。！？]", window) if start else None
    return list(units(without_markup(window[begin.end() :] if begin else window)))


def faker_of(language: Language, rng: np.random.Generator) -> Faker:
    """A new Faker, seeded by the item's own random generator."""
    faker = Faker(LOCALES[language])
    faker.seed_instance(int(rng.integers(0, 2**31)))
    return faker


def random_date(faker: Faker) -> str:
    """A date. Faker's own dates reach up to today, so they would change from day to day."""
    return f"{faker.random_int(1980, 2024)}-{faker.random_int(1, 12):02d}-{faker.random_int(1, 28):02d}"


def random_time(faker: Faker) -> str:
    """A time of day that depends only on the generator."""
    return f"{faker.random_int(0, 23):02d}:{faker.random_int(0, 59):02d}:{faker.random_int(0, 59):02d}"


def file_identities(files: list[tuple[Corpus, str]]) -> list[str]:
    """The names and hashes of the corpus files."""
    return [
        f"{PurePosixPath(public_address(path)).name} {xxhash.xxh3_128_hexdigest(Storage().read(path))}"
        for _, path in files
    ]
