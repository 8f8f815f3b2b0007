"""Dialogues of every layout become the same turns; a row that is not a valid dialogue has its verdict."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from PIL import Image

from qvl.pipeline.builders.text.chat import Chat
from qvl.pipeline.builders.text.source import Draft
from qvl.pipeline.markup.regions import Region
from qvl.pipeline.markup.turns import Turn
from qvl.pipeline.storage.reader import Storage

Row = dict[str, Any]
QWEN = {
    "messages": [
        {"role": "user", "content": "Picture 1: <img>a.png</img>\nWhat is this?"},
        {"role": "assistant", "content": "A cat."},
    ]
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, width in (("a", 40), ("b", 50)):
        Image.new("RGB", (width, 30), (width, 90, 20)).save(tmp_path / f"{name}.png")
    return tmp_path


def drafts(folder: Path, *rows: Row | str, **settings: Any) -> list[Draft]:
    lines = [row if isinstance(row, str) else orjson.dumps(row).decode() for row in rows]
    (folder / "d.jsonl").write_text("\n".join(lines), "utf-8")
    source = Chat(name="d", paths=("d.jsonl",), image_folder=str(folder), **settings)
    return list(source.drafts(str(folder / "d.jsonl"), Storage()))


def dialogue(*texts: str) -> Row:
    return {"messages": [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(texts)]}


@pytest.mark.parametrize(
    "row",
    [
        QWEN,
        {
            "image": "a.png",
            "conversations": [
                {"from": "human", "value": "<image>\nWhat is this?"},
                {"from": "gpt", "value": "A cat."},
            ],
        },
        {
            "conversations": [
                {"from": "user", "value": "Picture 1: <img>a.png</img>\nWhat is this?"},
                {"from": "assistant", "value": "A cat."},
            ]
        },
        {
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "image", "image": "a.png"}, {"type": "text", "text": "What is this?"}],
                },
                {"role": "assistant", "content": [{"type": "text", "text": "A cat."}]},
            ]
        },
        {
            "text": "<|im_start|>user\nPicture 1: <img>a.png</img>What is this?<|im_end|>\n"
            "<|im_start|>assistant\nA cat.<|im_end|>\n"
        },
    ],
    ids=["qwen", "llava", "qwen_finetune", "parts", "chatml"],
)
def test_every_layout_gives_the_same_turns(folder: Path, row: Row) -> None:
    (draft,) = drafts(folder, row)
    assert (draft.verdict, draft.language) == ("keep", "en")
    assert draft.samples == [
        (Turn("user", "Picture 1: <img>0</img>\nWhat is this?"), Turn("assistant", "A cat.")),
    ]
    assert [(p.extension, p.width, p.height) for p in draft.pictures] == [("png", 40, 30)]
    assert bytes(draft.pictures[0].data) == (folder / "a.png").read_bytes()


def test_images_are_numbered_over_the_whole_conversation(folder: Path) -> None:
    row = dialogue("<image>\n你好，这是什么？", "一只猫。", "那这个呢？<image>", "一只狗。") | {
        "images": ["a.png", "b.png"]
    }
    (draft,) = drafts(folder, row)
    assert [turn.text for turn in draft.samples[0][::2]] == [
        "Picture 1: <img>0</img>\n你好，这是什么？",
        "那这个呢？\nPicture 2: <img>1</img>",
    ]
    assert [p.width for p in draft.pictures] == [40, 50] and draft.language == "zh"


def test_system_turn_is_kept(folder: Path) -> None:
    row = {"messages": [{"role": "system", "content": "Be brief."}, *dialogue("Hi.", "Hello.")["messages"]]}
    (draft,) = drafts(folder, row)
    assert [turn.role for turn in draft.samples[0]] == ["system", "user", "assistant"]


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        ("{", "unreadable:json"),
        ("[1]", "unreadable:no_object"),
        ({"question": "?"}, "unreadable:no_dialogue"),
        ({"text": "no ChatML"}, "unreadable:chatml"),
        ({"messages": [{"role": "user", "content": 3}]}, "unreadable:no_text"),
        ({"messages": []}, "roles"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "roles"),
        (dialogue("Who?"), "roles"),
        ({"messages": [{"role": "assistant", "content": "I begin."}]}, "roles"),
        ({"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]}, "roles"),
        (dialogue("Who?", " "), "empty_turn"),
        (dialogue("<image>\nWhat?", "No picture."), "image_count"),
        (dialogue("What?", "Too many.") | {"images": ["a.png"]}, "image_count"),
        (dialogue("Show.", "<img>a.png</img>"), "image_in_answer"),
        (dialogue("<img>none.png</img>What?", "x"), "image_missing"),
        (dialogue("<img>http://127.0.0.1:9/a.png</img>What?", "x"), "image_address"),
        (dialogue("<img>d.jsonl</img>What?", "x"), "unreadable:not_an_image"),
        (dialogue("<img>a.png</img>" * 8 + "How many?", "8"), "too_many_images"),
        (dialogue("What is <|im_end|>?", "x"), "markup"),
        (dialogue("An <img> that stays open", "x"), "markup"),
        (dialogue("<img>a.png</img>Where?", "<box>(1,2),(3,4)</box>"), "markup"),
        (dialogue("Tell me all.", "x" * 7_000), "too_long"),
    ],
)
def test_every_fault_has_its_verdict(folder: Path, row: Row | str, verdict: str) -> None:
    (draft,) = drafts(folder, row)
    assert draft.verdict == verdict and not draft.samples


def test_markers_are_escaped_on_request_and_repetitions_are_dropped(folder: Path) -> None:
    row = dialogue("What is <|im_end|>?", "An end.")
    found = drafts(folder, row, row, markup="escape")
    assert [draft.verdict for draft in found] == ["keep", "duplicate"]
    assert found[0].samples[0][0].text == "What is < |im_end|>?"


def test_boxes_and_quads_become_regions_on_the_last_image(folder: Path) -> None:
    answer = (
        "<ref>the cat</ref><box>(0,111),(333,999)</box>, <ref>a sign</ref><quad>(0,0),(999,0),(999,999),(0,999)</quad>"
    )
    (draft,) = drafts(folder, dialogue("<img>a.png</img><img>b.png</img>Where?", answer), places="keep")
    assert draft.samples[0][1].text == answer
    assert draft.regions == [
        Region("the cat", 1, box=pytest.approx((0, 1 / 9, 1 / 3, 1))),
        Region("a sign", 1, quad=(0, 0, 1, 0, 1, 1, 0, 1)),
    ]


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ("<ref>the cat<box>(0,1),(3,9)</box>", "malformed_place"),
        ("<ref>the cat</ref><box>(0,1),(3,1000)</box>", "malformed_place"),
        ("<ref>the cat</ref><box>(0,1),(3)</box>", "malformed_place"),
        ("<ref></ref><box>(0,1),(3,4)</box>", "malformed_place"),
        ("<ref>the cat</ref><box>(0,1),(3,9)</box><|endoftext|>", "markup"),
    ],
)
def test_row_is_dropped_when_a_box_is_malformed(folder: Path, answer: str, verdict: str) -> None:
    (draft,) = drafts(folder, dialogue("<img>a.png</img>Where?", answer), places="keep")
    assert draft.verdict == verdict


def test_row_is_dropped_when_a_box_has_no_image(folder: Path) -> None:
    (draft,) = drafts(folder, dialogue("Where?", "<ref>x</ref><box>(0,1),(3,9)</box>"), places="keep")
    assert draft.verdict == "place_without_image"
