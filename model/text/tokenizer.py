"""Qwen's tokenizer from `qwen.tiktoken`, or any `tokenizer.json`, with the special tokens of the release (reference 13)."""

# mypy: disable-error-code="no-untyped-call"

import base64
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from qvl.model.network.config import QwenVLConfig
from qvl.model.network.errors import ModelError
from qvl.model.network.image_processor import QwenVLImageProcessor
from qvl.model.network.processor import IMAGE_END, IMAGE_PAD, IMAGE_START, QwenVLProcessor

END_OF_TEXT, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
MARKUP = ("<ref>", "</ref>", "<box>", "</box>", "<quad>", "</quad>", IMAGE_START, IMAGE_END, IMAGE_PAD)
SPECIALS = (END_OF_TEXT, TURN_START, TURN_END, *(f"<|extra_{number}|>" for number in range(205)), *MARKUP)
"""In the order of their ids, which follow the 151,643 ranks: 151643 to 151859."""

VOCABULARY_UNIT = 64
"""The embedding of a small vocabulary has a multiple of this many rows."""

PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Among other things, this makes every digit a token of its own."""


def build_tokenizer(path: Path) -> PreTrainedTokenizerFast:
    """A fast tokenizer that pads on the left and has every special token of the release.

    Built from ranks (`*.tiktoken`), its ids are those of the release. A `tokenizer.json` keeps its own ids, and the
    special tokens that it lacks are added after them.
    """
    if path.suffix == ".json":
        tokenizer = Tokenizer.from_file(str(path))
        have = tokenizer.get_vocab()
        tokenizer.add_special_tokens([_special(token) for token in (*SPECIALS[:3], *MARKUP) if token not in have])
    else:
        tokenizer = ranks_to_tokenizer(read_ranks(path))
        tokenizer.add_special_tokens([_special(token) for token in SPECIALS])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END_OF_TEXT,
        pad_token=END_OF_TEXT,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_max_length=8192,
    )


def build_processor(path: Path, image_size: int = 448, positions: int = 256) -> QwenVLProcessor:
    """The processor that uses a tokenizer file."""
    return QwenVLProcessor(QwenVLImageProcessor(image_size), build_tokenizer(path), positions)


def fit_vocabulary(config: QwenVLConfig, tokenizer: PreTrainedTokenizerFast) -> None:
    """For untrained weights: reduce embedding and head to the rows that a small tokenizer needs; never enlarge them."""
    rows = -(-len(tokenizer) // VOCABULARY_UNIT) * VOCABULARY_UNIT
    config.text_config.vocab_size = min(config.text_config.vocab_size, rows)


def match_config(config: QwenVLConfig, tokenizer: PreTrainedTokenizerFast) -> None:
    """Write the tokenizer's ids into the configuration. Raises ModelError if the embedding has too few rows for them."""
    if len(tokenizer) > config.text_config.vocab_size:
        raise ModelError(
            f"the tokenizer has {len(tokenizer)} tokens but the embedding only {config.text_config.vocab_size} rows; "
            "resize the language model first (resize_token_embeddings)"
        )
    config.image_start_token_id = token_id(tokenizer, IMAGE_START)
    config.image_end_token_id = token_id(tokenizer, IMAGE_END)
    config.image_token_id = token_id(tokenizer, IMAGE_PAD)
    config.turn_end_token_id = token_id(tokenizer, TURN_END)
    config.text_config.eos_token_id = token_id(tokenizer, END_OF_TEXT)


def token_id(tokenizer: PreTrainedTokenizerBase, token: str) -> int:
    """The id of a special token. Raises ModelError if the tokenizer does not have it."""
    number = tokenizer.convert_tokens_to_ids(token)
    if not isinstance(number, int) or number == tokenizer.unk_token_id:
        raise ModelError(f"the tokenizer does not have the token {token!r}")
    return number


def read_ranks(path: Path) -> dict[bytes, int]:
    """Token bytes -> rank from a tiktoken file, whose lines are `base64 rank` with ranks 0, 1, 2, ... Raises ModelError."""
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(path.read_bytes().splitlines()):
        token, _, rank = line.partition(b" ")
        if not rank.isdigit() or int(rank) != number:
            raise ModelError(f"{path} line {number + 1}: expected `base64 {number}`")
        ranks[base64.b64decode(token)] = number
    if not all(bytes([value]) in ranks for value in range(256)):
        raise ModelError(f"{path}: at least one single byte has no rank")
    return ranks


def ranks_to_tokenizer(ranks: dict[bytes, int]) -> Tokenizer:
    """A tokenizer with tiktoken's merges: of all pairs, the one whose joined bytes have the lowest rank is merged first."""
    letters = _byte_letters()
    text = {token: "".join(letters[value] for value in token) for token in ranks}
    merges = []
    for token in ranks:
        splits = [(token[:cut], token[cut:]) for cut in range(1, len(token))]
        pairs = [pair for pair in splits if pair[0] in ranks and pair[1] in ranks]
        pairs.sort(key=lambda pair: (ranks[pair[0]], ranks[pair[1]]))
        merges += [(text[left], text[right]) for left, right in pairs]
    vocabulary = {text[token]: rank for token, rank in ranks.items()}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, ignore_merges=True, fuse_unk=False))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _byte_letters() -> dict[int, str]:
    """GPT-2's printable letter for each byte; byte-level tokenizers write their vocabulary in these letters."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [value for value in range(256) if value not in printable]
    return {value: chr(value) for value in printable} | {value: chr(256 + at) for at, value in enumerate(hidden)}


def _special(token: str) -> AddedToken:
    return AddedToken(token, special=True, normalized=False)
