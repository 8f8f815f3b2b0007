"""The usual layouts of dialogues, all read into turns. A turn has a role and parts; a part is text or the path of an image.

* ``messages``: ``[{"role", "content"}]``; content is text, or a list of parts ``{"type": "text"|"image"|"image_url", ...}``
* ``conversations``: ``[{"from", "value"}]``, as LLaVA, ShareGPT and Qwen-VL's fine-tuning write them
* ``text``: one ChatML string

Images appear in the text as ``Picture 1: <img>PATH</img>`` (Qwen-VL), or as ``<image>`` with the paths under ``image`` or
``images`` (LLaVA).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from qvl.pipeline.builders.text.rows import JsonObject
from qvl.pipeline.markup.markers import named_image_slot
from qvl.pipeline.markup.turns import Turn, Turns

ROLES = {"user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant", "system": "system"}
CHATML = re.compile(r"<\|im_start\|>(\w+)\n(.*?)<\|im_end\|>\n?", re.DOTALL)
NAMED = re.compile(r"(?:Picture[ ]\d+:[ ]?)?<img>(.*?)</img>\n?|<image>\n?", re.DOTALL)


class LayoutError(ValueError):
    """The row is not a dialogue; the message is its verdict."""


@dataclass(frozen=True)
class ImagePart:
    """An image in a turn: its path as written in the row, or empty until it is filled in."""

    path: str


Part = str | ImagePart
Message = tuple[str, list[Part]]  # role, parts


def read_turns(row: JsonObject) -> list[Message]:
    """All turns of a row. Raises LayoutError for a row that is not a dialogue."""
    turns = _turns(row)
    slots = sum(isinstance(part, ImagePart) and not part.path for _, parts in turns for part in parts)
    paths = row.get("images", row.get("image")) or []
    paths = [paths] if isinstance(paths, str) else paths
    if slots != len(paths) or not all(isinstance(path, str) for path in paths):
        raise LayoutError("image_count")
    remaining = iter(paths)
    return [
        (
            role,
            [ImagePart(next(remaining)) if isinstance(part, ImagePart) and not part.path else part for part in parts],
        )
        for role, parts in turns
    ]


def render(turns: Iterable[Message]) -> Turns:
    """Turns as text that is safe to train on already, with an image slot on a line of its own for every image."""
    rendered: list[Turn] = []
    images = 0
    for role, parts in turns:
        text = ""
        for part in parts:
            if isinstance(part, ImagePart):
                text += ("\n" if text and not text.endswith("\n") else "") + named_image_slot(images)
                images += 1
            else:
                text += part
        rendered.append(Turn(role, text.strip()))
    return tuple(rendered)


def _turns(row: JsonObject) -> list[Message]:
    if isinstance(row.get("messages"), list):
        return [_turn(each, "role", "content") for each in row["messages"]]
    if isinstance(row.get("conversations"), list):
        return [_turn(each, "from", "value") for each in row["conversations"]]
    if isinstance(row.get("text"), str):
        if CHATML.sub("", row["text"]).strip():
            raise LayoutError("unreadable:chatml")
        return [(_role(role), _split(text)) for role, text in CHATML.findall(row["text"])]
    raise LayoutError("unreadable:no_dialogue")


def _turn(each: Any, role: str, content: str) -> Message:
    if not isinstance(each, dict):
        raise LayoutError("unreadable:no_dialogue")
    value = each.get(content)
    if isinstance(value, list):
        return _role(each.get(role)), [_part(part) for part in value]
    if not isinstance(value, str):
        raise LayoutError("unreadable:no_text")
    return _role(each.get(role)), _split(value)


def _role(name: Any) -> str:
    if name not in ROLES:
        raise LayoutError("roles")
    return ROLES[name]


def _part(part: Any) -> Part:
    """A part of a content list. URLs are not fetched: an image can only be a file."""
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    if kind == "image" and isinstance(part.get("image"), str):
        return ImagePart(part["image"])
    if kind == "image_url" and isinstance(part.get("image_url"), dict):
        return ImagePart(str(part["image_url"].get("url", "")).removeprefix("file://"))
    raise LayoutError("unreadable:no_text")


def _split(text: str) -> list[Part]:
    """Text and images in order; ``<image>`` becomes an image without a path."""
    parts: list[Part] = []
    position = 0
    for match in NAMED.finditer(text):
        parts += [text[position : match.start()], ImagePart((match[1] or "").strip())]
        position = match.end()
    return [part for part in [*parts, text[position:]] if part]
