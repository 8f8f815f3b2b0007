"""Qwen's tokenizer from `qwen.tiktoken`, or any `tokenizer.json`, with the released special tokens (reference 13)."""

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
"""In the order of their ids, which follow the 151,643 ranks: 151643 .. 151859."""

VOCABULARY_UNIT = 64

PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Splits every digit into its own token."""


def build_tokenizer(path: Path) -> PreTrainedTokenizerFast:
    """A fast tokenizer that pads on the left, with every special token of the release.

    From ranks (`*.tiktoken`) the ids are the released ones. A `tokenizer.json` keeps its own ids; the special tokens
    that it lacks come after them.
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
    """The processor of a tokenizer file."""
    return QwenVLProcessor(QwenVLImageProcessor(image_size), build_tokenizer(path), positions)


def fit_vocabulary(config: QwenVLConfig, tokenizer: PreTrainedTokenizerFast) -> None:
    """For first weights: as many rows of embedding and head as a small tokenizer needs, never more than there are."""
    rows = -(-len(tokenizer) // VOCABULARY_UNIT) * VOCABULARY_UNIT
    config.text_config.vocab_size = min(config.text_config.vocab_size, rows)


def match_config(config: QwenVLConfig, tokenizer: PreTrainedTokenizerFast) -> None:
    """Write the tokenizer's ids into the configuration; ModelError where the embedding has too few rows for them."""
    if len(tokenizer) > config.text_config.vocab_size:
        raise ModelError(
            f"the tokenizer has {len(tokenizer)} tokens, the embedding {config.text_config.vocab_size} rows: "
            "resize the language model first (resize_token_embeddings)"
        )
    config.image_start_token_id = token_id(tokenizer, IMAGE_START)
    config.image_end_token_id = token_id(tokenizer, IMAGE_END)
    config.image_token_id = token_id(tokenizer, IMAGE_PAD)
    config.turn_end_token_id = token_id(tokenizer, TURN_END)
    config.text_config.eos_token_id = token_id(tokenizer, END_OF_TEXT)


def token_id(tokenizer: PreTrainedTokenizerBase, token: str) -> int:
    """The id of a special token; ModelError where the tokenizer does not know it."""
    number = tokenizer.convert_tokens_to_ids(token)
    if not isinstance(number, int) or number == tokenizer.unk_token_id:
        raise ModelError(f"the tokenizer has no token {token!r}")
    return number


def read_ranks(path: Path) -> dict[bytes, int]:
    """Token bytes -> rank, of a tiktoken file: `base64 rank` per line, ranks 0, 1, 2, ..."""
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(path.read_bytes().splitlines()):
        token, _, rank = line.partition(b" ")
        if not rank.isdigit() or int(rank) != number:
            raise ModelError(f"{path} line {number + 1}: expected `base64 {number}`")
        ranks[base64.b64decode(token)] = number
    if not all(bytes([value]) in ranks for value in range(256)):
        raise ModelError(f"{path}: not every single byte has a rank")
    return ranks


def ranks_to_tokenizer(ranks: dict[bytes, int]) -> Tokenizer:
    """The same merges as tiktoken's: of all pairs, the one whose joined bytes have the lowest rank goes first."""
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
    """GPT-2's printable letter for each byte, which byte-level tokenizers write their vocabulary in."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [value for value in range(256) if value not in printable]
    return {value: chr(value) for value in printable} | {value: chr(256 + at) for at, value in enumerate(hidden)}


def _special(token: str) -> AddedToken:
    return AddedToken(token, special=True, normalized=False)
