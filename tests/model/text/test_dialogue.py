"""Token ids and labels of samples, compared with golden sequences of every format."""

import pytest
from transformers import PreTrainedTokenizerFast

from qvl.model.network.config import IGNORE
from qvl.model.network.errors import ModelError
from qvl.model.text.dialogue import encode_chatml, encode_plain, truncate
from tests.model.golden_tokens import CHATML, FORMATS


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


def test_encode_chatml_gives_the_golden_tokens(released_tokenizer: PreTrainedTokenizerFast) -> None:
    turns, ids, released, answers = CHATML
    encoded = encode_chatml(released_tokenizer, turns, positions=2)
    assert encoded.ids == ids
    assert encoded.labels == released
    assert encode_chatml(released_tokenizer, turns, loss="answers", positions=2).labels == answers


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


def test_encode_raises_when_images_are_unpaired_or_supervised(tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(ModelError, match="unpaired image tags"):
        encode_plain(tokenizer, [("<img>0 the", False)])
    with pytest.raises(ModelError, match="unpaired image tags"):
        encode_plain(tokenizer, [("the <imgpad>", False)])
    with pytest.raises(ModelError, match="must not contain an image"):
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
