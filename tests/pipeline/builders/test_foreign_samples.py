"""Third-party samples in our format; whole datasets are tested in tests/training/commands/test_mix_index.py."""

import json
from pathlib import Path

import pytest

from qvl.pipeline.builders.foreign_samples import LeftOutError, Provenance, foreign_sample
from qvl.pipeline.markup.turns import Turn
from qvl.pipeline.shards.writer import Sample
from qvl.pipeline.sources.tar_index import index_tar
from qvl.pipeline.sources.tar_members import group
from tests.pipeline.builders.foreign_tars import png, write_tar


def convert(folder: Path, *members: tuple[str, bytes]) -> Sample:
    data = memoryview(write_tar(folder / "0.tar", members).read_bytes())
    (sample,) = group(index_tar(data).members).samples
    return foreign_sample(Provenance("cats-000000", "cats", "0.tar"), 7, sample, data, "auto")


def talk(question: str, answer: str) -> bytes:
    return json.dumps(
        {"conversations": [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]}
    ).encode()


def test_foreign_sample_of_a_caption_copies_the_image_and_normalises_blanks(tmp_path: Path) -> None:
    sample = convert(tmp_path, ("a.png", png(1)), ("a.txt", b"  A cat\non a chair "))
    assert [(image.extension, bytes(image.data), image.width, image.height) for image in sample.images] == [
        ("png", png(1), 20, 10)
    ]
    assert sample.id == "cats-000000-0000007" and sample.record.task == "caption"
    assert sample.record.turns[1].text == " A cat on a chair"
    assert sample.record.origin.file == "0.tar" and sample.record.origin.key == "a"


def test_foreign_sample_of_a_dialogue_puts_an_unmentioned_image_before_the_first_question(tmp_path: Path) -> None:
    sample = convert(tmp_path, ("a.png", png(1)), ("a.json", talk("Which colour?", "Red.")))
    assert sample.record.task == "chat" and sample.record.language == "en"
    assert sample.record.turns == (
        Turn("user", "Picture 1: <img>0</img>\nWhich colour?"),
        Turn("assistant", "Red."),
    )


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([("a.txt", b"no image")], "no_image"),
        ([("a.png", png(1)), ("a.txt", b" ")], "no_caption"),
        ([("a.png", png(1)), ("a.txt", b"\xff")], "not_utf8"),
        ([("a.png", png(1)), ("a.txt", b"a <box> in it")], "markup"),
        ([("a.png", png(1)), ("a.json", b"{")], "bad_json"),
        ([("a.png", png(1)), ("a.json", b'{"caption": "\\ud800"}')], "no_caption"),
        ([("a.png", b"\0\0\0\x18ftypheic" + bytes(12)), ("a.txt", b"x")], "image:format:heic"),
        ([("a.png", png(1)), ("a.json", b'{"turns": []}')], "own_format"),
        ([("a.png", b"no image"), ("a.txt", b"x")], "image:not_an_image"),
        ([("a.png", png(1)), ("a.json", talk("<image><image>", "Two."))], "image_count"),
        ([("a.png", png(1)), ("a.json", talk("Show it.", "<image>"))], "image_in_answer"),
    ],
)
def test_foreign_sample_raises_with_the_reason_when_it_cannot_be_converted(
    tmp_path: Path, members: list[tuple[str, bytes]], reason: str
) -> None:
    with pytest.raises(LeftOutError, match=f"^{reason}$"):
        convert(tmp_path, *members)


def test_foreign_sample_when_its_json_has_a_number_that_json_does_not_allow_is_converted(tmp_path: Path) -> None:
    sample = convert(
        tmp_path, ("a.png", png(1)), ("a.json", b'{"caption": "a cat", "similarity": NaN, "x": "\\ud800"}')
    )
    assert sample.record.turns[-1].text == " a cat"
