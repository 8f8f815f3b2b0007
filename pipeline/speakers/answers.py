"""From what a model said to values of columns, or to the state that says why there are none.

The rules are strict: an answer that could be read in two ways is a bad answer, never a guess.
"""

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from qvl.pipeline.recipe.speakers import AnswerForm, JsonAnswer, NumberAnswer, Speaker, TextAnswer
from qvl.pipeline.speakers.reply import Reply

ANSWERED, REFUSED, BAD_ANSWER, FAILED = "answered", "refused", "bad_answer", "failed"
Value = str | float | int | bool | None

THOUGHTS = re.compile(r"(?s)^\s*(?:<think>)?.*?</think>")
FENCE = re.compile(r"(?s)^```[a-zA-Z]*\s*\n(.*?)\n?\s*```$")
LABEL = re.compile(r"^(?:[^\W\d]+ ?){1,3}\s*[:：=]\s*")
NUMBER = re.compile(r"^([+-]?\d+(?:\.\d+)?)(?:\s*(?:/|out of)\s*(\d+(?:\.\d+)?))?\s*(?:分|points?)?\s*[.。]?$")
WRAPPING = " \t\r\n*_`\"'“”‘’「」"
SENTENCE_END = re.compile(r"[.,;:!?\n。，；：！？]")


@dataclass(frozen=True, slots=True)
class Answer:
    """The state of an answer, and the values of the speaker's columns in order: all null unless it is ``answered``."""

    state: str
    values: tuple[Value, ...]


def read_reply(speaker: Speaker, reply: Reply) -> Answer:
    """What a reply says."""
    nothing = (None,) * (len(speaker.columns) - 1)
    if reply.failure:
        return Answer(FAILED, nothing)
    text = _said(reply.text)
    if reply.refused or re.search(speaker.refusal_pattern, text):
        return Answer(REFUSED, nothing)
    values = _values(speaker.answer, text, reply.finish == "length")
    return Answer(BAD_ANSWER, nothing) if values is None else Answer(ANSWERED, values)


def _said(text: str) -> str:
    """The text without the thoughts that some models put in front of it."""
    return THOUGHTS.sub("", text, count=1).strip() if "</think>" in text else text.strip()


def _values(form: AnswerForm, text: str, cut: bool) -> tuple[Value, ...] | None:
    """The values, or None. ``cut``: the model was stopped in the middle, so that only a number or a word can be whole."""
    if form.number is not None:
        return _single(_number(form.number, text))
    if form.words is not None:
        return _single(_word(form.words, text))
    if form.text is not None:
        return None if cut else _single(_text(form.text, text))
    return None if form.json_object is None else _properties(form.json_object, text)


def _single(value: Value) -> tuple[Value, ...] | None:
    return None if value is None else (value,)


def _number(form: NumberAnswer, text: str) -> float | None:
    """A number that is alone on its line, as in ``4``, ``**4**``, ``Score: 4``, ``4/5``; bounds hold."""
    line = next((line for line in text.splitlines() if line.strip()), "")
    plain = LABEL.sub("", line.strip(WRAPPING)).strip(WRAPPING)
    match = NUMBER.fullmatch(plain)
    if match is None or (match[2] is not None and (form.maximum is None or float(match[2]) != form.maximum)):
        return None
    value = float(match[1])
    low, high = form.minimum, form.maximum
    return value if (low is None or value >= low) and (high is None or value <= high) else None


def _word(words: tuple[str, ...], text: str) -> str | None:
    """The word of the list that is the whole answer or its first clause, as in ``Yes, because ...``."""
    known = {word.casefold(): word for word in words}
    whole, first = text.strip(WRAPPING + ".。!！"), SENTENCE_END.split(text.strip(WRAPPING), maxsplit=1)[0]
    return known.get(whole.casefold()) or known.get(first.strip(WRAPPING).casefold())


def _text(form: TextAnswer, text: str) -> str | None:
    """The text in one line, without the quotation marks around it."""
    plain = " ".join(text.split())
    if len(plain) > 1 and (plain[0], plain[-1]) in (('"', '"'), ("“", "”"), ("「", "」")):
        inner = plain[1:-1].strip()
        plain = plain if plain[0] in inner or plain[-1] in inner else inner
    printable = not re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", plain)
    return plain if printable and form.minimum_characters <= len(plain) <= form.maximum_characters else None


def _properties(form: JsonAnswer, text: str) -> tuple[Value, ...] | None:
    fence = FENCE.match(text)
    try:
        content = orjson.loads(fence[1] if fence else text)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(content, dict) or not _validator(json.dumps(form.description, sort_keys=True)).is_valid(content):
        return None
    values = [_typed(content.get(name), kind) for name, kind in form.columns().items()]
    return None if any(isinstance(value, _Unfit) for value in values) else tuple(values)


class _Unfit:
    """A value that its column cannot hold."""


def _typed(value: Any, kind: str) -> Any:
    """A value of a property as its column holds it."""
    if value is None:
        return None
    if kind == "float":
        return float(value)
    if kind == "int64":
        whole = int(value)
        return whole if -(2**63) <= whole < 2**63 else _Unfit()
    return (
        value if kind == "bool" or isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    )


@lru_cache(maxsize=16)
def _validator(schema: str) -> Any:
    """The validator of a JSON Schema, which never loads a schema from elsewhere."""
    from jsonschema import Draft202012Validator
    from referencing import Registry

    return Draft202012Validator(json.loads(schema), registry=Registry())
