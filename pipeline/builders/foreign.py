"""Foreign WebDataset tars as datasets: `qvl mix index`.

Tars whose samples are in our format get an index and ``dataset.json`` beside them; nothing is copied. All others are
converted: a sample's JSON must stand in the same tar as its images (docs/decisions/0008), so image bytes are copied as they
are into new shards, one for each tar. Read are a caption in ``.txt`` or in the JSON (img2dataset), and dialogues in the JSON
(``conversations`` or ``messages``, LLaVA and its like). Nothing is filtered: for that there is `qvl curate run`.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import orjson

from qvl.pipeline.base.errors import DataError, RecipeError
from qvl.pipeline.base.pool import Pool
from qvl.pipeline.builders.text.chat import check_order
from qvl.pipeline.builders.text.messages import ImagePart, LayoutError, read_turns
from qvl.pipeline.captions.prompt_language import prompt_language
from qvl.pipeline.commit.attempts import clear_attempts
from qvl.pipeline.commit.fingerprint import content_hash, file_identity, fingerprint
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.lock import output_lock
from qvl.pipeline.commit.manifests import read_committed
from qvl.pipeline.images.header import HeaderError, read_header
from qvl.pipeline.markup.markers import has_marker, named_image_slot
from qvl.pipeline.markup.turns import Turns, caption_turns
from qvl.pipeline.shards.dataset import commit_shard, finish
from qvl.pipeline.shards.order import ShardPlan
from qvl.pipeline.shards.writer import EXTENSIONS, Sample
from qvl.pipeline.sources.base import Bytes
from qvl.pipeline.sources.tar_index import Member, index_tar
from qvl.pipeline.sources.webdataset import Sample as Members
from qvl.pipeline.sources.webdataset import group
from qvl.pipeline.storage.atomic import replace_file
from qvl.pipeline.storage.reader import Storage

FOREIGN_VERSION = 1
MAX_TEXT = 16 << 20
DECODED = frozenset(("jpeg", "png", "webp", "gif", "bmp"))
Language = Literal["auto", "en", "zh"]


class LeftOutError(Exception):
    """The sample cannot be taken over; the text is the reason."""


@dataclass(frozen=True)
class ForeignTask:
    """One tar to convert to the shard of the same number."""

    tar: str
    name: str
    out: Path
    source: str
    language: Language
    mark: str


def convert(
    tars: list[Path], out: Path, name: str, language: Language, pool: Pool
) -> tuple[dict[str, Any], dict[str, int]]:
    """Convert tars to a dataset in ``out``; done shards stay. Returns ``dataset.json`` and left-out samples by reason."""
    storage, layout = Storage(), Layout(out.resolve())
    with output_lock(layout.out):
        clear_attempts(layout.out)
        tasks = []
        for number, tar in enumerate(tars):
            mark = fingerprint([FOREIGN_VERSION, file_identity(storage, str(tar)), tar.name, name, language])
            tasks.append(ForeignTask(str(tar), f"{name}-{number:06d}", layout.out, name, language, mark))
        for _ in pool.map(convert_tar, tasks):
            pass
        plans, first, reasons = [], 0, Counter[str]()
        for task in tasks:
            made = _committed(task)
            assert made is not None, "every tar has been converted"
            held = made["samples"] + made.get("revoked", 0)
            plans.append(ShardPlan(task.name, first, first + held, ()))
            first += held
            reasons.update(line["reason"] for line in map(orjson.loads, _left_out(task).read_bytes().splitlines()))
        lineage = {
            "foreign": fingerprint([task.mark for task in tasks]),
            "tars": [tar.name for tar in tars],
            "rows": first + reasons.total(),
            "left_out": dict(sorted(reasons.items())),
        }
        return finish(name, layout.out, plans, first, lineage), dict(reasons.most_common())


def convert_tar(task: ForeignTask) -> None:
    """Convert one tar, unless it is done. Raises DataError for a file that is no whole tar."""
    if _committed(task) is not None:
        return
    path = _left_out(task)
    with Storage().mapped(task.tar) as data:
        found = index_tar(data)
        if found.fault:
            raise DataError(f"{task.tar}: {found.fault}; fetch it again, or leave it out")
        left_out: list[dict[str, Any]] = []
        path.unlink(missing_ok=True)

        def samples() -> Iterator[Sample]:
            for row, members in enumerate(group(found.members)):
                try:
                    yield _sample(task, row, members, data)
                except LeftOutError as error:
                    left_out.append({"key": members.key, "reason": str(error)})
            replace_file(path, b"".join(orjson.dumps(line) + b"\n" for line in left_out))

        commit_shard(task.out, task.name, samples(), task.mark)


def _committed(task: ForeignTask) -> dict[str, Any] | None:
    layout = Layout(task.out)
    files = [layout.shard(task.name), layout.index(task.name), _left_out(task)]
    return read_committed(layout.shard_manifest(task.name), task.mark, files)


def _left_out(task: ForeignTask) -> Path:
    return task.out / "left_out" / f"{task.name}.jsonl"


def _sample(task: ForeignTask, row: int, members: Members, data: memoryview) -> Sample:
    """A foreign sample in our format. Raises LeftOutError."""
    if not members.regular:
        raise LeftOutError("not_a_file")
    meta, text = _json(members.meta, data), _text(members.text, data)
    images: list[tuple[str, Bytes, int, int]] = [] if members.image is None else [_image(members.image, data)]
    if isinstance(meta.get("turns"), list):
        raise LeftOutError("own_format")
    if "conversations" in meta or "messages" in meta:
        kind, turns, words = "chat", *_dialogue(meta, len(images))
    else:
        kind, turns, words = "caption", *_caption(meta, text, len(images), task.language)
    sha = content_hash(images[0][1]) if images else ""
    content = {
        "id": f"{task.name}-{row:07d}",
        "source": task.source,
        "task": kind,
        "language": task.language if task.language != "auto" else prompt_language(words),
        "turns": turns,
        "regions": [],
        "origin": {
            "file": Path(task.tar).name, "row": row, "key": members.key, "url": str(meta.get("url") or ""), "sha": sha,
        },
    }  # fmt: skip
    return Sample(content, images)


def _json(member: Member | None, data: memoryview) -> dict[str, Any]:
    if member is None:
        return {}
    if member.size > MAX_TEXT:
        raise LeftOutError("text_too_large")
    try:
        found = orjson.loads(data[member.offset : member.offset + member.size])
    except orjson.JSONDecodeError:
        raise LeftOutError("bad_json") from None
    if isinstance(found, list):  # a bare conversation
        return {"conversations": found}
    if not isinstance(found, dict):
        raise LeftOutError("bad_json")
    return found


def _text(member: Member | None, data: memoryview) -> str | None:
    if member is None:
        return None
    if member.size > MAX_TEXT:
        raise LeftOutError("text_too_large")
    try:
        return bytes(data[member.offset : member.offset + member.size]).decode("utf-8")
    except UnicodeDecodeError:
        raise LeftOutError("not_utf8") from None


def _image(member: Member, data: memoryview) -> tuple[str, memoryview, int, int]:
    image = data[member.offset : member.offset + member.size]
    try:
        header = read_header(image)
    except HeaderError as error:
        raise LeftOutError(f"image:{error}") from None
    if header.format not in DECODED:
        raise LeftOutError(f"image:{header.format}")
    return EXTENSIONS.get(header.format, header.format), image, header.width, header.height


def _caption(meta: dict[str, Any], text: str | None, images: int, language: Language) -> tuple[Turns, str]:
    if not images:
        raise LeftOutError("no_image")
    found = text if text is not None else meta.get("caption")
    if not isinstance(found, str) or not found.strip():
        raise LeftOutError("no_caption")
    words = _safe(" ".join(found.split()))
    return caption_turns(words, language if language != "auto" else prompt_language(words)), words


def _dialogue(meta: dict[str, Any], images: int) -> tuple[Turns, str]:
    """Turns as they are trained on. A picture that no ``<image>`` names stands before the first question."""
    row = {name: meta[name] for name in ("conversations", "messages") if name in meta}
    named = orjson.dumps(row).count(b"<image>")
    try:
        turns = read_turns(row | ({"images": ["0"] * images} if named else {}))
        check_order(turns)
    except LayoutError as error:
        raise LeftOutError(str(error)) from None
    shown = sum(isinstance(part, ImagePart) for _, parts in turns for part in parts)
    if images and not shown:
        first = next(number for number, (role, _) in enumerate(turns) if role == "user")
        turns[first] = ("user", [ImagePart("0"), *turns[first][1]])
        shown = images
    if shown != images:
        raise LeftOutError("image_count")
    if any(isinstance(part, ImagePart) for role, parts in turns if role != "user" for part in parts):
        raise LeftOutError("image_in_answer")
    written: Turns = []
    number = 0
    for role, parts in turns:
        text = ""
        for part in parts:
            if isinstance(part, ImagePart):
                text += ("\n" if text and not text.endswith("\n") else "") + named_image_slot(number)
                number += 1
            else:
                text += _safe(part)
        written.append({"role": role, "text": text.strip()})
    said = (part for _, parts in turns for part in parts if isinstance(part, str))
    return written, " ".join(said)


def _safe(text: str) -> str:
    if has_marker(text):
        raise LeftOutError("markup")
    return text


def dataset_name(folder: Path) -> str:
    """A folder's name as shards and ids can carry it."""
    found = re.sub(r"[^A-Za-z0-9_-]+", "_", folder.resolve().name).strip("_")
    if not found:
        raise RecipeError(f"{folder}: give the dataset a --name")
    return found
