"""Token ids, compared with a plain byte-pair encoder and with those of the release."""

import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from qvl.model.network.errors import ModelError
from qvl.model.network.presets import preset
from qvl.model.text.dialogue import encode_chatml
from qvl.model.text.tokenizer import PATTERN, SPECIALS, build_processor, build_tokenizer, match_config, read_ranks
from tests.model.small_checkpoints import REAL_RANKS, small_ranks, write_ranks


def plain_bpe(ranks: dict[bytes, int], text: str) -> list[int]:
    """Repeatedly join the two neighbours whose joined bytes have the lowest rank, until no joined pair has a rank."""
    ids = []
    for piece in regex.findall(PATTERN, unicodedata.normalize("NFC", text)):
        data = piece.encode()
        parts = [data] if data in ranks else [bytes([value]) for value in data]
        while len(parts) > 1:
            pairs = [(ranks.get(parts[at] + parts[at + 1], 1 << 30), at) for at in range(len(parts) - 1)]
            rank, at = min(pairs)
            if rank == 1 << 30:
                break
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        ids += [ranks[part] for part in parts]
    return ids


SAMPLES = [
    "Generate the caption in English: the answer, and the other thing 2024-11!",
    "  two  blanks\n\n\nand\r\nlines\t\t end ",
    "it's I'M we'LL don't",
    "图片里有什么?  答案:三只猫。１２３",
    "cafe\u0301 → café, naïve, Ω ≠ Å",
    "emoji 👩‍👩‍👧 and 🇨🇳 flags",
    "(0,999),(10,20) 3.14159 0x1F",
    "العربية עברית हिन्दी ไทย",
]


@pytest.mark.parametrize("text", SAMPLES)
def test_tokens_of_a_small_vocabulary_equal_plain_bpe(
    tokenizer: PreTrainedTokenizerFast, ranks_file: Path, text: str
) -> None:
    assert tokenizer(text)["input_ids"] == plain_bpe(read_ranks(ranks_file), text)


@pytest.mark.parametrize("text", SAMPLES)
def test_tokens_of_the_released_vocabulary_equal_plain_bpe(
    released_tokenizer: PreTrainedTokenizerFast, text: str
) -> None:
    ids = released_tokenizer(text)["input_ids"]
    assert ids == plain_bpe(read_ranks(REAL_RANKS), text)
    assert released_tokenizer.decode(ids) == unicodedata.normalize("NFC", text)


@settings(max_examples=150, deadline=None)
@given(text=st.text(max_size=40))
def test_tokens_of_any_text_equal_plain_bpe_and_decode_to_the_text(text: str) -> None:
    ranks = {token: rank for rank, token in enumerate(small_ranks())}
    tokenizer = SMALL()
    ids = tokenizer(text)["input_ids"]
    assert ids == plain_bpe(ranks, text)
    assert tokenizer.decode(ids) == unicodedata.normalize("NFC", text)


def _once() -> Callable[[], PreTrainedTokenizerFast]:
    made: list[PreTrainedTokenizerFast] = []

    def get() -> PreTrainedTokenizerFast:
        if not made:
            import tempfile

            with tempfile.TemporaryDirectory() as folder:
                made.append(build_tokenizer(write_ranks(Path(folder) / "x.tiktoken", small_ranks())))
        return made[0]

    return get


SMALL = _once()


def test_special_tokens_have_the_released_ids(released_tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    table = {
        "<|endoftext|>": 151643,
        "<|im_start|>": 151644,
        "<|im_end|>": 151645,
        "<|extra_0|>": 151646,
        "<|extra_204|>": 151850,
        "<ref>": 151851,
        "</ref>": 151852,
        "<box>": 151853,
        "</box>": 151854,
        "<quad>": 151855,
        "</quad>": 151856,
        "<img>": 151857,
        "</img>": 151858,
        "<imgpad>": 151859,
    }
    released_tokenizer.save_pretrained(tmp_path)
    again = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    for which in (released_tokenizer, again):
        assert {token: which.convert_tokens_to_ids(token) for token in table} == table
        assert len(which) == 151860
        assert which("<ref>")["input_ids"] == [151851]
        assert which.pad_token_id == which.eos_token_id == 151643
        assert which.padding_side == "left"
    config = preset("qwen-vl")
    before = config.to_dict()
    match_config(config, released_tokenizer)
    assert config.to_dict() == before


def test_chat_template_gives_the_tokens_that_training_sees(ranks_file: Path) -> None:
    """The prompt that `chat` builds is a prefix of the sequence that stage 3 trains on."""
    from PIL import Image

    processor = build_processor(ranks_file)
    picture = Image.new("RGB", (8, 8))
    content = [
        {"type": "image", "image": picture},
        {"type": "image", "image": picture},
        {"type": "text", "text": "the cat?"},
    ]
    messages = [{"role": "user", "content": content}]
    prompt = processor.apply_chat_template(
        messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
    text = "Picture 1: <img>0</img>\nPicture 2: <img>1</img>\nthe cat?"
    trained = encode_chatml(processor.tokenizer, [("user", text), ("assistant", "answer")])
    ids = prompt["input_ids"][0].tolist()
    assert trained.ids[: len(ids)] == ids
    assert prompt["pixel_values"].shape == (2, 3, 448, 448)
    later = [*messages, {"role": "assistant", "content": "it"}, {"role": "user", "content": content}]
    assert "Picture 4: <img></img>" in processor.apply_chat_template(later)


def test_build_tokenizer_keeps_the_ids_of_a_tokenizer_json_and_adds_the_markers(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    plain = Tokenizer(models.WordLevel({"a": 0, "b": 1, "<|endoftext|>": 2}, unk_token="a"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    plain.save(str(tmp_path / "tokenizer.json"))
    other = build_tokenizer(tmp_path / "tokenizer.json")
    assert other("a b")["input_ids"] == [0, 1]
    assert other.convert_tokens_to_ids("<|endoftext|>") == 2
    assert [other.convert_tokens_to_ids(token) for token in ("<|im_start|>", "<ref>", "<imgpad>")] == [3, 5, 13]
    config = preset("tiny")
    match_config(config, other)
    assert (config.image_start_token_id, config.image_token_id) == (11, 13)
    config.text_config.vocab_size = 13
    with pytest.raises(ModelError, match="14 tokens but the embedding only 13 rows"):
        match_config(config, other)


def test_read_ranks_raises_when_the_file_is_corrupted(tmp_path: Path) -> None:
    lines = write_ranks(tmp_path / "x", small_ranks()).read_bytes().splitlines()
    (tmp_path / "gap").write_bytes(b"\n".join(lines[:9] + lines[10:]))
    with pytest.raises(ModelError, match="line 10"):
        read_ranks(tmp_path / "gap")
    (tmp_path / "short").write_bytes(b"\n".join(lines[:99]))
    with pytest.raises(ModelError, match="at least one single byte has no rank"):
        read_ranks(tmp_path / "short")


def test_there_are_as_many_special_tokens_as_in_the_release() -> None:
    assert len(SPECIALS) == 217
    assert len(set(SPECIALS)) == 217
