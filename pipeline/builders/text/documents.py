"""Interleaved documents as texts and pictures in order, from the layouts of OBELICS, OmniCorpus and MMC4.

* ``images`` and ``texts`` (OBELICS, OmniCorpus): two lists of one length; each position has a picture or a text.
* ``text_list`` and ``image_info`` (MMC4): sentences, and pictures that belong before the sentence ``matched_text_index``.

A picture is bytes, base64, Hugging Face's pair of bytes and path, the name of a file, or an address. Sources: the cards of
HuggingFaceM4/OBELICS and OpenGVLab/OmniCorpus-CC, README of allenai/mmc4.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from qvl.pipeline.builders.text.messages import LayoutError
from qvl.pipeline.builders.text.rows import JsonObject, UnreadableRow
from qvl.pipeline.sources.bounded_parquet import MAX_EXPANSION, ExpandsTooFar, bounded_parquet
from qvl.pipeline.sources.columns import Columns
from qvl.pipeline.sources.embedded_images import DATA_URL, SHORTEST, EmbeddedImage, embedded_image, is_base64
from qvl.pipeline.sources.json_tables import parse_json, read_json_lines
from qvl.pipeline.sources.table_records import Expectation
from qvl.pipeline.storage.reader import Storage

PARQUET = (".parquet", ".pq")
COLUMNS = ("images", "texts", "general_metadata", "text_list", "image_info", "id", "url", "document_url")
LEAST_BASE64 = 8 * SHORTEST  # a text of fewer characters is the name of a file
NAMES_OF_IMAGE = ("image_base64", "image_name", "raw_url")  # keys of MMC4's image_info, the preferred one first


@dataclass(frozen=True, slots=True)
class Document:
    """Texts and pictures in order; texts that follow each other are joined by ``joint``."""

    parts: tuple[str | EmbeddedImage, ...]
    joint: str


def document_rows(path: str, storage: Storage) -> Iterator[JsonObject | UnreadableRow]:
    """The rows of a Parquet file or of JSON lines (also as ``.gz``), one at a time."""
    with storage.local(path) as local:
        if local.suffix in PARQUET:
            yield from _parquet(local)
            return
        try:
            for row in read_json_lines(local, Expectation(Columns(), None, by_path=False)):
                yield UnreadableRow(row) if isinstance(row, str) else row
        except ExpandsTooFar:
            yield UnreadableRow("expands_too_far")
        except (OSError, EOFError):
            yield UnreadableRow("damaged_table")


def _parquet(path: Path) -> Iterator[JsonObject | UnreadableRow]:
    try:
        with bounded_parquet(path, MAX_EXPANSION) as file:
            names = [name for name in COLUMNS if name in file.schema.names]
            for batch in file.batches(names):
                for row in range(len(batch)):
                    yield _row(batch, row)
    except ExpandsTooFar:
        yield UnreadableRow("expands_too_far")
    except (OSError, pa.ArrowException):
        yield UnreadableRow("damaged_table")


def _row(batch: pa.RecordBatch, row: int) -> JsonObject | UnreadableRow:
    try:
        return {name: batch[name][row].as_py() for name in batch.schema.names}
    except UnicodeDecodeError:
        return UnreadableRow("invalid_utf8")
    except (ValueError, ArithmeticError, pa.ArrowException):  # a value that Python lacks, such as a far date
        return UnreadableRow("bad_value")


def key_of(row: JsonObject, number: int) -> str:
    """What the row calls itself: its id, the address of its page, or its number in the file."""
    found = row.get("id") or row.get("url") or row.get("document_url")
    if found is None:
        metadata = row.get("general_metadata")
        try:
            content = parse_json(metadata.encode()) if isinstance(metadata, str) else metadata
        except ValueError:
            content = None
        found = (content.get("id") or content.get("url")) if isinstance(content, dict) else None
    return str(found if found is not None else number).encode("utf-8", "backslashreplace").decode()


def document(row: JsonObject) -> Document:
    """The parts of a row. Raises LayoutError for a row that has none of the layouts."""
    if isinstance(row.get("images"), list) and isinstance(row.get("texts"), list):
        return Document(_in_parallel(row["images"], row["texts"]), "\n\n")
    if isinstance(row.get("text_list"), list) and isinstance(row.get("image_info"), list):
        return Document(_by_index(row["text_list"], row["image_info"]), " ")
    raise LayoutError("unreadable:no_document")


def _in_parallel(images: list[Any], texts: list[Any]) -> tuple[str | EmbeddedImage, ...]:
    if len(images) != len(texts):
        raise LayoutError("unreadable:lists_of_different_lengths")
    parts: list[str | EmbeddedImage] = []
    for image, text in zip(images, texts, strict=True):
        if image is not None:
            parts.append(_image(image))
        if text is not None:
            parts.append(_text(text))
    return tuple(parts)


def _by_index(texts: list[Any], infos: list[Any]) -> tuple[str | EmbeddedImage, ...]:
    before: dict[int, list[EmbeddedImage]] = {}
    for info in infos:
        at = info.get("matched_text_index") if isinstance(info, dict) else None
        if not isinstance(at, int) or not 0 <= at < len(texts):
            raise LayoutError("unreadable:image_without_position")
        value = next((info[name] for name in NAMES_OF_IMAGE if info.get(name)), None)
        before.setdefault(at, []).append(_image(value))
    parts: list[str | EmbeddedImage] = []
    for number, text in enumerate(texts):
        parts += [*before.get(number, ()), _text(text)]
    return tuple(parts)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise LayoutError("unreadable:no_text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise LayoutError("unreadable:invalid_utf8") from None
    return value.strip()


def _image(value: Any) -> EmbeddedImage:
    if isinstance(value, str):
        data = value.encode("utf-8", "surrogatepass")
        encoded = data.startswith(DATA_URL) or (len(data) >= LEAST_BASE64 and is_base64(data))
        return embedded_image(value) if encoded else EmbeddedImage(path=value or None)
    return embedded_image(value)
