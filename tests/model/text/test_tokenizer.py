"""Token ids, compared with a plain byte-pair encoder and with golden sequences of every format."""

import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from qvl.model.network.config import IGNORE
from qvl.model.network.errors import ModelError
from qvl.model.network.presets import preset
from qvl.model.text.dialogue import encode_chatml, encode_plain, truncate
from qvl.model.text.tokenizer import PATTERN, SPECIALS, build_processor, build_tokenizer, match_config, read_ranks
from tests.model.golden_tokens import CHATML, FORMATS
from tests.model.small_checkpoints import REAL_RANKS, small_ranks, write_ranks

needs_released_ranks = pytest.mark.skipif(
    not REAL_RANKS.is_file(), reason="no .data/qwen.tiktoken: run python tests/model/fetch_tokenizer.py"
)


@pytest.fixture(scope="module")
def tokenizer(ranks_file: Path) -> PreTrainedTokenizerFast:
    return build_tokenizer(ranks_file)


@pytest.fixture(scope="module")
def released_tokenizer() -> PreTrainedTokenizerFast:
    return build_tokenizer(REAL_RANKS)


def plain_bpe(ranks: dict[bytes, int], text: str) -> list[int]:
    """Repeatedly join the two neighbours whose joined bytes have the lowest rank, until no joined pair has a rank."""
    ids = []
    for word in regex.findall(PATTERN, unicodedata.normalize("NFC", text)):
        data = word.encode()
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


@needs_released_ranks
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


@needs_released_ranks
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


@needs_released_ranks
@pytest.mark.parametrize("task", list(FORMATS))
def test_encode_plain_gives_the_golden_tokens_of_every_format(
    released_tokenizer: PreTrainedTokenizerFast, task: str
) -> None:
    """Every format of Box B.1: the exact tokens, with loss from the first token after the prompt."""
    segments, context, answer = FORMATS[task]
    image = [151857, *[151859] * 256, 151858]
    expanded = [part for token in context for part in (image if token == "image" else [token])]
    encoded = encode_plain(released_tokenizer, segments)
    assert encoded.ids == expanded + answer
    assert encoded.labels == [IGNORE] * len(expanded) + answer
    assert encoded.ids[-1] == encoded.labels[-1] == 151643
    assert encoded.images == context.count("image")


@needs_released_ranks
def test_encode_chatml_gives_the_golden_tokens(released_tokenizer: PreTrainedTokenizerFast) -> None:
    turns, ids, released, answers = CHATML
    encoded = encode_chatml(released_tokenizer, turns, positions=2)
    assert encoded.ids == ids
    assert encoded.labels == released
    assert encode_chatml(released_tokenizer, turns, loss="answers", positions=2).labels == answers


@needs_released_ranks
def test_encoded_lengths_equal_those_measured_with_the_reference(released_tokenizer: PreTrainedTokenizerFast) -> None:
    quad, box = "<quad>(568,121),(625,131),(624,182),(567,172)</quad>", "<box>(568,121),(625,131)</box>"
    assert len(released_tokenizer(quad)["input_ids"]) == 35
    assert len(released_tokenizer(box)["input_ids"]) == 19
    assert released_tokenizer("English: ")["input_ids"][-1] == 220
    assert released_tokenizer("English: the")["input_ids"][-1] == released_tokenizer(" the")["input_ids"][0]


def test_encode_chatml_masks_what_the_plain_implementation_masks(tokenizer: PreTrainedTokenizerFast) -> None:
    import tests.model.plain_qwen_vl as reference

    turns = [("user", "the cat"), ("assistant", "in an answer"), ("user", "and the"), ("assistant", "on it")]
    encoded = encode_chatml(tokenizer, turns)
    whole = [("system", "You are a helpful assistant."), *turns]
    contents = [(role, tokenizer(text)["input_ids"]) for role, text in whole]
    names = {"start": "<|im_start|>", "end": "<|im_end|>"}
    ids = {key: tokenizer.convert_tokens_to_ids(token) for key, token in names.items()}
    ids["newline"] = tokenizer("\n")["input_ids"][0]
    roles = {role: tokenizer(role)["input_ids"] for role in ("system", "user", "assistant")}
    assert encoded.labels == reference.chatml_labels(contents, ids, roles)


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
    learnt = encode_chatml(processor.tokenizer, [("user", text), ("assistant", "answer")])
    ids = prompt["input_ids"][0].tolist()
    assert learnt.ids[: len(ids)] == ids
    assert prompt["pixel_values"].shape == (2, 3, 448, 448)
    later = [*messages, {"role": "assistant", "content": "it"}, {"role": "user", "content": content}]
    assert "Picture 4: <img></img>" in processor.apply_chat_template(later)


def test_encode_raises_when_images_are_unpaired_or_supervised(tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(ModelError, match="unpaired image tags"):
        encode_plain(tokenizer, [("<img>0 the", False)])
    with pytest.raises(ModelError, match="unpaired image tags"):
        encode_plain(tokenizer, [("the <imgpad>", False)])
    with pytest.raises(ModelError, match="inside supervised text"):
        encode_chatml(tokenizer, [("assistant", "<img>0</img>")])


def test_truncate_raises_when_it_would_cut_an_image_or_leave_nothing_supervised(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    sample = encode_plain(tokenizer, [("<img>0</img>the", False), (" answer and the other", True)])
    short = truncate(sample, tokenizer, len(sample.ids) - 2)
    assert short.ids == sample.ids[:-2]
    assert short.images == 1
    assert truncate(sample, tokenizer, 4096) is sample
    with pytest.raises(ModelError, match="do not fit 100 tokens"):
        truncate(sample, tokenizer, 100)
    with pytest.raises(ModelError, match="contain no supervised token"):
        truncate(sample, tokenizer, 259)
    eight = encode_plain(tokenizer, [("<img>0</img>" * 8, False), ("the", True)])
    with pytest.raises(ModelError, match=r"8 image\(s\) and 2067 tokens do not fit 2048"):
        truncate(eight, tokenizer, 2048)


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
    with pytest.raises(ModelError, match="some single byte has no rank"):
        read_ranks(tmp_path / "short")


def test_there_are_as_many_special_tokens_as_in_the_release() -> None:
    assert len(SPECIALS) == 217
    assert len(set(SPECIALS)) == 217
