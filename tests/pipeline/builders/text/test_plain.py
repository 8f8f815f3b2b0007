"""Running text is cut at sensible points, without losing or repeating anything."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qvl.pipeline.builders.text.plain import PlainText, pieces
from qvl.pipeline.builders.text.source import Draft
from qvl.pipeline.markup.turns import Turn
from qvl.pipeline.storage.reader import Storage

ENGLISH = "The old clock on the wall had stopped, and nobody in the house could say when it happened."


def drafts(path: Path, **settings: Any) -> list[Draft]:
    return list(PlainText(name="t", paths=(path.name,), **settings).drafts(str(path), Storage()))


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]) | st.sampled_from(" \n.。"), max_size=2_000))
def test_pieces_contain_all_text_and_fit_the_limit(text: str) -> None:
    found = list(pieces(text, 100))
    assert all(0 < len(piece) <= 100 for piece in found if piece)
    assert "".join("".join(found).split()) == "".join(text.split())


def test_pieces_end_at_sentences() -> None:
    text = "One is here. " * 20 + "第二句在这里。" * 20
    assert all(piece[-1] in ".。" for piece in pieces(text, 100))


def test_paragraphs_of_a_file_are_joined_up_to_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(f"{ENGLISH[:40]}\n{ENGLISH[40:]}\r\n\r\nIt was\n  late.\n\n中文\n的一行。\n", "utf-8-sig")
    (draft,) = drafts(path)
    joined = f"{ENGLISH[:40].strip()} {ENGLISH[40:].strip()}"
    assert draft.samples == [(Turn("text", f"{joined}\n\nIt was late.\n\n中文的一行。"),)]
    (kept,) = drafts(path, lines="keep")
    assert "It was\nlate." in kept.samples[0][0].text


def test_long_file_becomes_rows_and_long_row_becomes_samples(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("\n\n".join(f"{ENGLISH} {i}" for i in range(10)), "utf-8")
    assert len(drafts(path, characters=200)) == 5
    rows = tmp_path / "a.jsonl"
    rows.write_bytes(orjson.dumps({"id": "x", "body": " ".join([ENGLISH] * 10)}))
    (draft,) = drafts(rows, characters=200, column="body")
    assert (draft.key, draft.language) == ("x", "en")
    assert len(draft.samples) == 5


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        (b'{"text": "' + ENGLISH.encode() + b'"}', "keep"),
        (b'{"text": 5}', "unreadable:no_text"),
        (b'{"text"', "unreadable:json"),
        (b'{"text": "\xff"}', "unreadable:json"),
        (b'{"text": "Too short."}', "too_short"),
        (b'{"text": "An <img> stands in this text of more than twenty characters"}', "markup"),
        ('{"text": "Это предложение написано по-русски и поэтому остаётся снаружи."}'.encode(), "language"),
        ('{"text": "这是一个用中文写的句子，它应该留在数据里面，因为它足够长。"}'.encode(), "keep"),
    ],
)
def test_every_row_has_its_verdict(tmp_path: Path, row: bytes, verdict: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(row)
    (draft,) = drafts(path)
    assert draft.verdict == verdict


def test_repetitions_and_other_encodings_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(orjson.dumps({"text": ENGLISH}) + b"\n\n" + orjson.dumps({"text": f" {ENGLISH.upper()}"}))
    assert [draft.verdict for draft in drafts(path)] == ["keep", "duplicate"]
    latin = tmp_path / "a.txt"
    latin.write_bytes("Ein Café".encode("latin-1"))
    assert [draft.verdict for draft in drafts(latin)] == ["unreadable:utf8"]
