"""Notes of scenes as the ledger keeps them."""

from dataclasses import replace

import pytest

from qvl.pipeline.base.errors import DataError
from qvl.synth_ocr.page.notes import BrowserNotes, SceneNotes, notes_json, parse_notes

NOTES = SceneNotes(
    blur=0.25, motion_blur=3, shadow=0.0, contrast=1.0, brightness=-1.5, noise=4.0, bend=0.1, quality=70, layout="sign",
    asked={"b": 2, "a": 1}, lacking={},
)  # fmt: skip


def test_notes_when_stored_have_sorted_keys_and_leave_out_empty_lists_of_backgrounds() -> None:
    assert notes_json(NOTES) == (
        '{"asked":{"a":1,"b":2},"bend":0.1,"blur":0.25,"brightness":-1.5,"contrast":1.0,"lacking":{},"layout":"sign",'
        '"motion_blur":3,"noise":4.0,"quality":70,"shadow":0.0}'
    )
    assert '"excluded_backgrounds":["a.jpg"]' in notes_json(replace(NOTES, excluded_backgrounds=["a.jpg"]))


def test_notes_when_parsed_are_those_that_were_stored() -> None:
    for notes in (
        NOTES,
        replace(NOTES, excluded_backgrounds=["a.jpg leak:id refcoco"]),
        BrowserNotes(isolation="x"),
        None,
    ):
        assert parse_notes(notes_json(notes), "ledger") == notes
    assert parse_notes("", "ledger") is None


def test_notes_with_an_unknown_key_are_an_error_that_names_the_file() -> None:
    with pytest.raises(DataError, match="the-ledger"):
        parse_notes('{"blurr": 1}', "the-ledger")
