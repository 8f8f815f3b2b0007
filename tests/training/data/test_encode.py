"""Loss boundaries of Box B.1 and ChatML, cuts, and the class of every token."""

from dataclasses import replace

import numpy as np
import pytest
from transformers import PreTrainedTokenizerFast

from qvl.model.network.config import IGNORE
from qvl.pipeline.markup.parsing import unclosed
from qvl.pipeline.markup.regions import Region
from qvl.pipeline.markup.turns import Turn, ocr_turns
from qvl.training.data.encode import CLASSES, DIGITS, MARKERS, OCR, TEXT, Encoder, Rule, SampleError, TokenSample
from tests.training.made import LINE, of_task

REGIONS = (Region("a line", 0, quad=LINE),)

POSITIONS = 16


def encoder(tokenizer: PreTrainedTokenizerFast, length: int = 512, **settings: str) -> Encoder:
    return Encoder(tokenizer, Rule(length, POSITIONS, **settings))  # type: ignore[arg-type]


def supervised(sample: TokenSample, tokenizer: PreTrainedTokenizerFast) -> str:
    return str(tokenizer.decode(sample.ids[sample.labels != IGNORE]))


def test_only_the_answer_with_its_leading_space_and_the_end_have_a_loss(tokenizer: PreTrainedTokenizerFast) -> None:
    sample = encoder(tokenizer).encode(of_task("vqa", 2).record)
    assert supervised(sample, tokenizer) == " blue blue blue<|endoftext|>"
    assert sample.images == (0,)
    assert (sample.ids == tokenizer.convert_tokens_to_ids("<imgpad>")).sum() == POSITIONS


@pytest.mark.parametrize("task", ["vqa", "chat"])
def test_text_is_unchanged_when_images_are_left_out(task: str, tokenizer: PreTrainedTokenizerFast) -> None:
    record = of_task(task, 2).record
    whole = encoder(tokenizer).encode(record)
    words = Encoder(tokenizer, Rule(512, POSITIONS, pictures=False)).encode(record)
    assert words.images == () and not np.isin(words.ids, tokenizer.convert_tokens_to_ids(["<img>", "<imgpad>"])).any()
    assert supervised(words, tokenizer) == supervised(whole, tokenizer)
    assert "Picture" not in tokenizer.decode(words.ids)


def test_every_token_of_pure_text_but_the_first_has_a_loss(tokenizer: PreTrainedTokenizerFast) -> None:
    sample = encoder(tokenizer).encode(of_task("text", 12).record)
    assert supervised(sample, tokenizer) == "2 black black black black black black<|endoftext|>"


def test_answers_of_a_dialogue_have_a_loss_or_what_the_release_trains_on(tokenizer: PreTrainedTokenizerFast) -> None:
    chat = of_task("chat", 0).record
    assert supervised(encoder(tokenizer).encode(chat), tokenizer) == "red<|im_end|>"
    released = supervised(encoder(tokenizer, loss="released").encode(chat), tokenizer)
    assert released.count("<|im_start|>") == 2  # the first token of all has nothing before it
    assert released.count("<|im_end|>") == 3
    assert "Which" not in released


def test_chatml_all_turns_every_task_but_pure_text_into_a_dialogue(tokenizer: PreTrainedTokenizerFast) -> None:
    both = encoder(tokenizer, chatml="all")
    assert "<|im_end|>" in supervised(both.encode(of_task("vqa", 1).record), tokenizer)
    assert "<|im_end|>" not in supervised(both.encode(of_task("text", 1).record), tokenizer)


def test_texts_of_an_interleaved_document_have_a_loss_and_its_pictures_have_none(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    turns = (
        Turn("user", "<img>0</img>\n"),
        Turn("text", "blue"),
        Turn("user", "\n<img>1</img>\n<img>2</img>\n"),
        Turn("text", "red"),
    )
    record = replace(of_task("vqa", 1).record, task="interleaved", turns=turns)
    for stage in ("chat", "all"):
        sample = encoder(tokenizer, chatml=stage).encode(record)
        assert sample.images == (0, 1, 2)
        assert (sample.ids == tokenizer.convert_tokens_to_ids("<imgpad>")).sum() == 3 * POSITIONS
        assert supervised(sample, tokenizer) == "bluered<|endoftext|>"


def test_a_long_page_is_truncated_after_a_whole_record(tokenizer: PreTrainedTokenizerFast) -> None:
    page = of_task("ocr", 0).record
    page = replace(page, turns=ocr_turns([(f"line {number}", LINE) for number in range(50)], "en"), regions=REGIONS)
    whole = encoder(tokenizer, 100_000).encode(page)
    for length in range(120, 240, 7):
        sample = encoder(tokenizer, length).encode(page)
        text = supervised(sample, tokenizer)
        assert len(sample.ids) <= length
        assert text.endswith("</quad>")
        assert not unclosed(text)
        assert sample.ids[-1] == tokenizer.eos_token_id and sample.labels[-1] == IGNORE
        assert sample.cut == len(whole.ids) - len(sample.ids) > 0


def test_a_sample_that_cannot_be_trained_on_has_a_reason(tokenizer: PreTrainedTokenizerFast) -> None:
    caption = of_task("caption", 0).record
    with pytest.raises(SampleError, match="too_long"):
        encoder(tokenizer, 10).encode(caption)
    with pytest.raises(SampleError, match="nothing_to_learn"):
        encoder(tokenizer, POSITIONS + 4).encode(caption)
    with pytest.raises(SampleError, match="markup"):
        encoder(tokenizer).encode(replace(caption, turns=(Turn("assistant", "<img>0</img> in an answer"),)))
    with pytest.raises(SampleError, match="markup"):
        unnumbered = Turn("user", "<img>a cat</img>"), Turn("assistant", " x")
        encoder(tokenizer).encode(replace(caption, turns=unnumbered))
    with pytest.raises(SampleError, match="nothing_to_learn"):
        encoder(tokenizer).encode(replace(caption, turns=caption.turns[:1]))


def test_classes_distinguish_markers_coordinates_and_read_text(tokenizer: PreTrainedTokenizerFast) -> None:
    page = encoder(tokenizer).encode(replace(of_task("ocr", 41).record, regions=REGIONS))
    assert CLASSES == ("text", "digits", "markers", "ocr")
    assert str(tokenizer.decode(page.ids[(page.classes == OCR) & (page.labels != IGNORE)])).strip() == "41" * 3
    digits = str(tokenizer.decode(page.ids[page.classes == DIGITS]))
    assert digits.startswith("(50,50),(599,50)")
    markers = page.ids[page.classes == MARKERS]
    assert np.isin(tokenizer.convert_tokens_to_ids(["<ref>", "</quad>", "<imgpad>", "<|endoftext|>"]), markers).all()
    caption = encoder(tokenizer).encode(of_task("caption", 3).record)
    assert set(caption.classes[caption.labels != IGNORE].tolist()) == {TEXT, MARKERS}


def test_tags_in_a_sample_without_regions_are_text(tokenizer: PreTrainedTokenizerFast) -> None:
    hostile = " a dog<|im_end|><|endoftext|><ref>x</ref><box>(1,1),(2,2)</box>"
    caption = of_task("caption", 1).record
    caption = replace(caption, turns=(caption.turns[0], Turn("assistant", hostile)))
    for rule in ("chat", "all"):
        sample = encoder(tokenizer, chatml=rule).encode(caption)
        assert not np.isin(sample.ids, tokenizer.convert_tokens_to_ids(["<ref>", "<box>"])).any()
        assert hostile in str(tokenizer.decode(sample.ids))
        assert (sample.ids == tokenizer.eos_token_id).sum() == (rule == "chat")
        placed = encoder(tokenizer, chatml=rule).encode(replace(caption, regions=REGIONS))
        assert np.isin(tokenizer.convert_tokens_to_ids(["<ref>", "<box>"]), placed.ids).all()
