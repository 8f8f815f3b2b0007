"""Measures a batch of rows: image header and hash, cleaned caption, counts, language. No pixels are decoded."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from qvl.pipeline.base.arrays import hashes_to_arrow
from qvl.pipeline.captions.clean import clean
from qvl.pipeline.captions.counts import count
from qvl.pipeline.captions.language import LanguageModel
from qvl.pipeline.curate.measuring.columns import COLUMNS, DECIMALS
from qvl.pipeline.curate.measuring.texts import TEXT_COLUMNS, TEXTS, row_starts
from qvl.pipeline.images.header import HeaderError, ImageHeader, read_header
from qvl.pipeline.markup.markers import MARKERS
from qvl.pipeline.recipe.cleaning import Clean
from qvl.pipeline.sources.base import Bytes, Row, Text
from qvl.pipeline.sources.columns import MEASURES

Columns = dict[str, object]  # values by column name: lists, numpy or Arrow arrays

NO_HASH = bytes(16)
CRASH = "unreadable:error:"
SYSTEMATIC_ROWS = 8
SPECIAL_TAGS = r"<[A-Z_]{2,20}>"


@dataclass(frozen=True, slots=True)
class Measured:
    """The columns of rows and, where a row has several texts, those of its texts (TEXTS)."""

    rows: pa.RecordBatch
    texts: pa.RecordBatch | None


def measure(
    rows: Sequence[Row], first: int, settings: Clean, language: LanguageModel, captions: tuple[str, ...] = ()
) -> Measured:
    """The columns of ``rows``; ``first`` is the number of the first of them in its unit. ``captions`` names their texts.

    A row that crashes a library does not cost the rest of its batch: the batch is halved until that row is alone, and it
    gets the verdict ``unreadable:error:<class>``. An error in every row of a batch is a fault of the program and is raised.
    """
    try:
        return _measure(rows, first, settings, language, captions)
    except Exception:  # some row caused the crash; bisection finds it
        result = _bisect(rows, first, settings, language, captions)
        faults = result.rows["fault"].to_pylist()
        if len(rows) >= SYSTEMATIC_ROWS and all(fault and fault.startswith(CRASH) for fault in faults):
            raise
        return result


def _bisect(
    rows: Sequence[Row], first: int, settings: Clean, language: LanguageModel, captions: tuple[str, ...]
) -> Measured:
    try:
        return _measure(rows, first, settings, language, captions)
    except Exception as error:  # noqa: BLE001 - any crash becomes the fault of its row
        if len(rows) == 1:
            crashed = Row(key=rows[0].key, url=rows[0].url, fault=f"{CRASH}{type(error).__name__}")
            return _measure([crashed], first, settings, language, captions)
    half = len(rows) // 2
    parts = [
        _bisect(rows[:half], first, settings, language, captions),
        _bisect(rows[half:], first + half, settings, language, captions),
    ]
    texts = [part.texts for part in parts if part.texts is not None]
    return Measured(_one_batch([part.rows for part in parts]), _one_batch(texts) if texts else None)


def _one_batch(parts: list[pa.RecordBatch]) -> pa.RecordBatch:
    return pa.Table.from_batches(parts).combine_chunks().to_batches()[0]


def _measure(
    rows: Sequence[Row], first: int, settings: Clean, language: LanguageModel, captions: tuple[str, ...]
) -> Measured:
    columns: Columns = {
        "row": np.arange(first, first + len(rows), dtype=np.int32),
        "key": [row.key.encode("utf-8", "backslashreplace").decode() for row in rows],
        "url": [row.url.encode("utf-8", "backslashreplace").decode() for row in rows],
        "locator": [row.locator for row in rows],
    }
    has_numbers = any(row.numbers for row in rows)
    columns |= {name: [_rounded(row.numbers.get(name)) if has_numbers else None for row in rows] for name in MEASURES}
    columns |= _images(rows)
    texts = None
    if captions:
        texts = _texts(rows, first, settings, language, captions[0])
        own = texts.take(pa.array(row_starts(texts["row"])))
        columns |= {name: own[name] for name in TEXT_COLUMNS}
    else:
        columns |= _captions([(row, row.caption) for row in rows], settings, language)
    columns["fault"] = [row.fault for row in rows]
    return Measured(_batch(columns, COLUMNS), texts)


def _batch(columns: Columns, schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([_column(columns[f.name], f.type) for f in schema], schema=schema)


def _texts(rows: Sequence[Row], first: int, settings: Clean, language: LanguageModel, default: str) -> pa.RecordBatch:
    """The texts of rows, in order. A row without any has an empty one of the name ``default``."""
    none = (Text(default, -1, b""),)
    found = [(number, row, text) for number, row in enumerate(rows, first) for text in row.texts or none]
    columns: Columns = {
        "row": [number for number, _, _ in found],
        "text": [text.name for _, _, text in found],
        "index": [text.index for _, _, text in found],
    }
    columns |= _captions([(row, text.data) for _, row, text in found], settings, language)
    return _batch(columns, TEXTS)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DECIMALS)


def _column(values: object, kind: pa.DataType) -> pa.Array:
    if isinstance(values, pa.Array):
        return values if values.type == kind else values.cast(kind)
    if pa.types.is_dictionary(kind):
        return pa.array(values, pa.string()).dictionary_encode().cast(kind)
    return pa.array(values, kind)


def _images(rows: Sequence[Row]) -> Columns:
    """What the image headers say, and the hash of each file. An unreadable header becomes the fault of its row."""
    headers: list[ImageHeader | None] = []
    hashes = []
    sizes: list[int | None] = []
    known: dict[int, tuple[ImageHeader | None, bytes, str | None]] = {}  # rows of a table may share one image
    for row in rows:
        header, digest = None, NO_HASH
        if row.image is not None:
            if id(row.image) not in known:
                known[id(row.image)] = _image(row.image)
            header, digest, fault = known[id(row.image)]
            row.fault = row.fault or fault
        headers.append(header)
        hashes.append(digest)
        sizes.append(len(row.image) if row.image is not None else None)
    names = ("width", "height", "format", "mode", "orientation", "animated")
    columns: Columns = {name: [getattr(h, name) if h else None for h in headers] for name in names}
    columns["image_bytes"] = sizes
    columns["image_hash"] = hashes_to_arrow(b"".join(hashes), np.array([size is not None for size in sizes], bool))
    return columns


def _image(image: Bytes) -> tuple[ImageHeader | None, bytes, str | None]:
    """Header, hash and fault of an image file."""
    digest = xxhash.xxh3_128_digest(image)
    try:
        return read_header(image), digest, None
    except HeaderError as error:
        return None, digest, f"unreadable:{error}"


def _captions(found: Sequence[tuple[Row, bytes]], settings: Clean, language: LanguageModel) -> Columns:
    """What is measured of texts, each with its row. One that is not UTF-8 is a fault of the row."""
    texts = []
    for row, data in found:
        try:
            text = str(data, "utf-8")
        except UnicodeDecodeError:
            row.fault, text = row.fault or "unreadable:invalid_utf8", str(data, "utf-8", "backslashreplace")
        texts.append(text)
    raw = pa.array(texts, pa.string())
    cleaned = clean(raw, settings)
    captions = cleaned.to_pylist()
    counts = count(captions)
    codes, probabilities = language.measure(captions, counts.latin, counts.han, counts.other)
    return {
        "caption_raw": raw,
        "caption": cleaned,
        "text_hash": text_hashes(cleaned),
        "characters": counts.characters,
        "words": counts.words,
        "emoji": counts.emoji,
        "markers": pc.count_substring_regex(cleaned, MARKERS),
        "special_tags": pc.count_substring_regex(cleaned, SPECIAL_TAGS),
        "latin": counts.latin.round(DECIMALS),
        "han": counts.han.round(DECIMALS),
        "other": counts.other.round(DECIMALS),
        "language": codes,
        "language_probability": probabilities,
    }


def text_hashes(captions: pa.Array) -> pa.Array:
    """Hashes of the letters and digits alone, in NFKC and lower case.

    Captions that differ only in punctuation, spaces and case have equal hashes; one without letters and digits has null.
    """
    plain = pc.utf8_lower(pc.utf8_normalize(captions, form="NFKC"))
    plain = pc.replace_substring_regex(plain, r"[^\pL\pN]+", "").cast(pa.binary()).to_pylist()
    data = b"".join([xxhash.xxh3_128_digest(text) if text else NO_HASH for text in plain])
    return hashes_to_arrow(data, np.array([bool(text) for text in plain], bool))
