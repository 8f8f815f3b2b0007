"""Tokens of captions, against those of the original tokenizer."""

import json
from pathlib import Path

from qvl.training.evaluation.metrics.words import words

GOLDEN = json.loads(Path(__file__).with_name("golden_captions.json").read_text("utf-8"))


def test_words_of_captions_equal_those_of_the_stanford_tokenizer() -> None:
    for pair in GOLDEN["pairs"]:
        texts = [pair["candidate"], *pair["references"]]
        found = [pair["words"], *pair["reference_words"]]
        assert [" ".join(words(text)) for text in texts] == found


def test_words_when_chinese_are_characters() -> None:
    assert words("一只 cat，坐着。") == ["一", "只", "cat", "，", "坐", "着", "。"]
