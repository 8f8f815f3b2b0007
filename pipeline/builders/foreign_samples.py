"""One third-party WebDataset sample in our format.

Captions are read from ``.txt`` or from the JSON (img2dataset), dialogues from the JSON (``conversations`` or ``messages``,
as in LLaVA). Image bytes are taken over unchanged.
"""

from dataclasses import dataclass
from typing import Literal

import orjson

from qvl.pipeline.builders.text.chat import check_order
from qvl.pipeline.builders.text.messages import ImagePart, LayoutError, read_turns, render
from qvl.pipeline.builders.text.rows import JsonObject
from qvl.pipeline.captions.prompt_language import prompt_language
from qvl.pipeline.commit.fingerprint import content_hash
from qvl.pipeline.images.header import HeaderError, read_header
from qvl.pipeline.markup.markers import has_marker
from qvl.pipeline.markup.turns import Turns, caption_turns
from qvl.pipeline.shards.sample import Origin, Sample, SampleImage, SampleRecord
from qvl.pipeline.shards.writer import EXTENSIONS
from qvl.pipeline.sources.json_tables import parse_writable
from qvl.pipeline.sources.tar_index import Member
from qvl.pipeline.sources.tar_members import TarSample

MAX_TEXT = 16 << 20  # bytes of a .json or .txt member
Language = Literal["auto", "en", "zh"]


class LeftOutError(Exception):
    """The sample cannot be converted; the message is the reason."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """What a converted sample says about its origin: ids begin with ``shard``, ``file`` is the tar's name."""

    shard: str
    source: str
    file: str


@dataclass(frozen=True, slots=True)
class _Text:
    """What a sample is trained on. ``plain`` is its text without roles and images, from which its language is told."""

    task: Literal["caption", "chat"]
    turns: Turns
    plain: str


def foreign_sample(
    provenance: Provenance, row: int, members: TarSample, data: memoryview, language: Language
) -> Sample:
    """A sample of the mapped tar ``data`` in our format. Raises LeftOutError."""
    if not members.regular:
        raise LeftOutError("not_a_file")
    meta, caption = _json(members.meta, data), _text(members.text, data)
    images = () if members.image is None else (_image(members.image, data),)
    if isinstance(meta.get("turns"), list):
        raise LeftOutError("own_format")
    is_dialogue = "conversations" in meta or "messages" in meta
    text = _dialogue(meta, len(images)) if is_dialogue else _caption(meta, caption, len(images), language)
    sha = content_hash(images[0].data) if images else ""
    record = SampleRecord(
        id=f"{provenance.shard}-{row:07d}",
        source=provenance.source,
        task=text.task,
        language=language if language != "auto" else prompt_language(text.plain),
        turns=text.turns,
        origin=Origin(provenance.file, row, members.key, str(meta.get("url") or ""), sha),
    )
    return Sample(record, images)


def _json(member: Member | None, data: memoryview) -> JsonObject:
    if member is None:
        return {}
    if member.size > MAX_TEXT:
        raise LeftOutError("text_too_large")
    try:
        content = parse_writable(data[member.offset : member.offset + member.size])
    except ValueError:
        raise LeftOutError("bad_json") from None
    if isinstance(content, list):  # a conversation without an object around it
        return {"conversations": content}
    if not isinstance(content, dict):
        raise LeftOutError("bad_json")
    return content


def _text(member: Member | None, data: memoryview) -> str | None:
    if member is None:
        return None
    if member.size > MAX_TEXT:
        raise LeftOutError("text_too_large")
    try:
        return bytes(data[member.offset : member.offset + member.size]).decode("utf-8")
    except UnicodeDecodeError:
        raise LeftOutError("not_utf8") from None


def _image(member: Member, data: memoryview) -> SampleImage:
    image = data[member.offset : member.offset + member.size]
    try:
        header = read_header(image)
    except HeaderError as error:
        raise LeftOutError(f"image:{error}") from None
    return SampleImage(EXTENSIONS.get(header.format, header.format), image, header.width, header.height)


def _caption(meta: JsonObject, text: str | None, images: int, language: Language) -> _Text:
    if not images:
        raise LeftOutError("no_image")
    caption = text if text is not None else meta.get("caption")
    if not isinstance(caption, str) or not caption.strip():
        raise LeftOutError("no_caption")
    plain = _safe(" ".join(caption.split()))
    prompt = language if language != "auto" else prompt_language(plain)
    return _Text("caption", caption_turns(plain, prompt), plain)


def _dialogue(meta: JsonObject, images: int) -> _Text:
    """Turns as they are trained on. An image that no ``<image>`` refers to is put before the first question."""
    row = {name: meta[name] for name in ("conversations", "messages") if name in meta}
    has_slots = b"<image>" in orjson.dumps(row)
    try:
        turns = read_turns(row | ({"images": ["0"] * images} if has_slots else {}))
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
    plain = " ".join(part for _, parts in turns for part in parts if isinstance(part, str))
    safe = [(role, [part if isinstance(part, ImagePart) else _safe(part) for part in parts]) for role, parts in turns]
    return _Text("chat", render(safe), plain)


def _safe(text: str) -> str:
    if has_marker(text):
        raise LeftOutError("markup")
    return text
