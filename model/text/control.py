"""Tokenises text so that only the markup that a sample may have becomes special tokens.

Text of data is untrusted: a caption may hold ``<|im_start|>``, ``</s>`` or any other token that a tokenizer adds to its
vocabulary, and some tokenizers normalise text to such a token. The ids are therefore checked, whatever the tokenizer: its
added tokens may occur among them only where the text has markup that is allowed.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache

from transformers import PreTrainedTokenizerBase

from qvl.model.network.errors import ModelError
from qvl.model.network.processor import IMAGE_END, IMAGE_PAD, IMAGE_START

IMAGE_MARKUP = (IMAGE_START, IMAGE_END, IMAGE_PAD)
PLACE_MARKUP = ("<ref>", "</ref>", "<box>", "</box>", "<quad>", "</quad>")


@lru_cache(maxsize=8)
def control_tokens(tokenizer: PreTrainedTokenizerBase) -> dict[int, str]:
    """The id and the text of every token that the tokenizer adds to its vocabulary, except the one for unknown text."""
    added = tokenizer.added_tokens_decoder.items()
    return {number: str(token) for number, token in added if number != tokenizer.unk_token_id}


def tokenize(tokenizer: PreTrainedTokenizerBase, text: str, markup: Sequence[str] = ()) -> list[int]:
    """The ids of a text. Of the added tokens only those in ``markup`` stand for themselves; all others are plain text.

    Raises ModelError for text that the tokenizer cannot represent without its control tokens.
    """
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    control = control_tokens(tokenizer)
    found = [number for number in ids if number in control]
    pieces = _split(text, tuple(markup))
    if found == [tokenizer.convert_tokens_to_ids(piece) for piece in pieces[1::2]]:
        return ids
    ids = []
    for index, piece in enumerate(pieces):
        if index % 2:
            ids.append(tokenizer.convert_tokens_to_ids(piece))  # type: ignore[arg-type]
        elif piece:
            ids += _plain(tokenizer, piece)
    return ids


def _split(text: str, markup: tuple[str, ...]) -> list[str]:
    """Plain text at even positions, markup at odd ones."""
    return _pattern(markup).split(text) if markup else [text]


@lru_cache(maxsize=8)
def _pattern(markup: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(f"({'|'.join(map(re.escape, markup))})")


def _plain(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """The ids of text without any markup. Raises ModelError where the ids would not be read back as this text."""
    control = control_tokens(tokenizer)
    ids: list[int] = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    if not control.keys().isdisjoint(ids):
        ids = []
        for part in _broken(text, control.values()):
            ids += tokenizer(part, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    expected = tokenizer.decode(ids)
    if not control.keys().isdisjoint(ids) or not _same_text(str(expected), text):
        raise ModelError(f"the text must not contain a control token: {text[:80]!r}")
    return ids


def _broken(text: str, tokens: Iterable[str]) -> list[str]:
    """The text cut after the first character of every control token in it, so that no part holds a whole one."""
    parts, start = [], 0
    longest_first = sorted(tokens, key=len, reverse=True)
    for match in re.finditer("|".join(map(re.escape, longest_first)), text):
        parts.append(text[start : match.start() + 1])
        start = match.start() + 1
    return [*parts, text[start:]]


def _same_text(read_back: str, text: str) -> bool:
    """Whether two texts agree but for blanks, case and the form of characters, which some tokenizers do not keep."""
    return _essence(read_back) == _essence(text)


def _essence(text: str) -> str:
    return unicodedata.normalize("NFKC", "".join(text.split())).casefold()
