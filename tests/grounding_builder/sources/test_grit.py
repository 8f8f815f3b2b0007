"""GRIT rows: spans, scores and boxes, and mistakes that known converters make."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qvl.grounding_builder.drafts.box_reading import ReadingTest
from qvl.grounding_builder.drafts.drafts import Draft
from qvl.grounding_builder.drafts.spans import trimmed
from qvl.grounding_builder.sources.grit import READING, Grit
from qvl.pipeline.base.errors import RecipeError
from tests.grounding_builder.helpers import answers, drafts, jpeg, make, samples, table

SOURCE = Grit(name="grit", paths=("none",), per_image=None)
LEFT, RIGHT = (0.1, 0.2, 0.3, 0.4), (0.5, 0.2, 0.7, 0.4)


def row(caption: str, *spans: tuple[Any, tuple[float, ...], float], **more: Any) -> dict[str, Any]:
    """A record whose spans are given by their text, or by positions, and stored as floats."""
    found = []
    for words, box, score in spans:
        start, end = (caption.index(words), caption.index(words) + len(words)) if isinstance(words, str) else words
        found.append([float(start), float(end), *box, score])
    return {"key": "000000000", "id": 7, "caption": caption, "width": 400, "height": 200, "ref_exps": found,
            "noun_chunks": [], **more}  # fmt: skip


def draft_of(record: dict[str, Any], source: Grit = SOURCE) -> Draft:
    draft = source.draft(record, ReadingTest(READING))
    assert draft.verdict is None or len(draft.lost) == draft.regions
    return draft


def caption_of(draft: Draft) -> str:
    return next(item.turns[1].text for item in draft.items if item.task == "grounded_caption")


def test_draft_chooses_disjoint_spans_of_the_dataset_cards_example() -> None:
    """One of its two expressions contains the other; with the noun chunks, more boxes can be kept."""
    caption = "a wire hanger with a paper cover that reads we heart our customers"
    cover = [0.019644100219011307, 0.31054004033406574, 0.9622142865754519, 0.9603442351023356, 0.79298526]
    hanger = [0.019422357885505368, 0.027634161214033764, 0.9593302408854166, 0.969467560450236, 0.67520964]
    record = {"key": "k", "caption": caption, "width": 1024, "height": 693,
              "noun_chunks": [[19.0, 32.0, *cover], [0.0, 13.0, *hanger]],
              "ref_exps": [[19.0, 66.0, *cover], [0.0, 66.0, *hanger]]}  # fmt: skip
    draft = draft_of(record)
    assert caption_of(draft) == f" <ref>{caption}</ref><box>(19,28),(958,968)</box>"
    assert (draft.regions, draft.lost, draft.flags) == (2, ["nested"], ["whole_image"])
    union = draft_of(record, Grit(name="grit", paths=("none",), phrases="union"))
    assert caption_of(union) == (
        " <ref>a wire hanger</ref><box>(19,28),(958,968)</box> with "
        "<ref>a paper cover that reads we heart our customers</ref><box>(20,310),(961,959)</box>"
    )
    assert (union.regions, union.lost) == (4, ["nested", "nested"])


def test_spans_count_code_points_after_an_emoji() -> None:
    draft = draft_of(row("👩‍👧 😀 a red fox runs", ("a red fox", LEFT, 0.9)))
    assert caption_of(draft) == " 👩‍👧 😀 <ref>a red fox</ref><box>(100,200),(300,400)</box> runs"


def test_boxes_of_one_span_stay_together() -> None:
    draft = draft_of(
        row("bees on a flower", ("bees", LEFT, 0.9), ("a flower", (0, 0, 0.5, 0.5), 0.85), ("bees", RIGHT, 0.7))
    )
    both = "<box>(100,200),(300,400)</box><box>(500,200),(699,400)</box>"
    assert caption_of(draft) == f" <ref>bees</ref>{both} on <ref>a flower</ref><box>(0,0),(500,500)</box>"
    assert answers(draft) == [
        "<img>0</img><ref>a flower</ref><box>(0,0),(500,500)</box>", f"<img>0</img><ref>bees</ref>{both}",
    ]  # fmt: skip
    assert len(answers(draft, "region_caption")) == 3


def test_equal_phrases_are_marked_separately_in_the_caption_and_are_one_expression() -> None:
    caption = "a cat and a cat"
    draft = draft_of(row(caption, ((0, 5), LEFT, 0.9), ((10, 15), RIGHT, 0.9)))
    assert caption_of(draft).count("<ref>a cat</ref><box>") == 2
    assert len(answers(draft)) == 1 and answers(draft)[0].count("<box>") == 2


def test_every_dropped_box_has_its_reason() -> None:
    caption = "a red fox, runs"
    spans = [
        ("a red fox,", LEFT, 0.9), ("a red fox", LEFT, 0.9), ("runs", RIGHT, 0.64), ((3, 6), LEFT, 0.9),
        ((0, 99), LEFT, 0.9), ((9, 11), LEFT, 0.9), ((-2, 4), LEFT, 0.9), ("runs", (0.5, 0.5, 0.4, 0.6), 0.9),
        ("runs", (0.5, 0.5, 0.5, 0.6), 0.9),
    ]  # fmt: skip
    draft = draft_of(row(caption, *spans))
    assert caption_of(draft) == " <ref>a red fox</ref><box>(100,200),(300,400)</box>, runs"
    assert sorted(draft.lost) == [
        "box:swapped", "box:zero_area", "duplicate", "empty_phrase", "low_score", "span:inside_word", "span:outside",
        "span:outside",
    ]  # fmt: skip


def test_spans_in_chinese_may_begin_and_end_anywhere() -> None:
    draft = draft_of(row("一只红色的狐狸跑", ("红色的狐狸", LEFT, 0.9)))
    assert draft.items[0].turns[0].text == "<img>0</img>Generate the caption in Chinese with grounding:"
    assert caption_of(draft) == " 一只<ref>红色的狐狸</ref><box>(100,200),(300,400)</box>跑"
    assert draft.items[0].language == "zh"


def test_caption_with_markers_is_dropped_or_escaped() -> None:
    record = row("see <box> near a fox <|endoftext|>", ("a fox", LEFT, 0.9))
    assert draft_of(record).verdict == "markup"
    draft = draft_of(record, Grit(name="grit", paths=("none",), markup="escape"))
    assert caption_of(draft) == " see < box> near <ref>a fox</ref><box>(100,200),(300,400)</box> < |endoftext|>"


@pytest.mark.parametrize(
    ("record", "verdict"),
    [
        (row("a fox", ("a fox", LEFT, 0.1)), "no_phrases"),
        (row("a fox"), "no_phrases"),
        ({**row("a fox"), "caption": None}, "empty_caption"),
        ({**row("a fox"), "ref_exps": [["x", 1, 0, 0, 1, 1, 1]]}, "unreadable:bad_spans"),
        ({**row("a fox"), "ref_exps": "[[0, 5"}, "unreadable:bad_spans"),
    ],
)
def test_row_without_usable_spans_is_dropped(record: dict[str, Any], verdict: str) -> None:
    assert draft_of(record).verdict == verdict


def test_spans_are_read_from_json_text() -> None:
    record = row("a fox", ("a fox", LEFT, 0.9))
    assert draft_of({**record, "ref_exps": json.dumps(record["ref_exps"])}).verdict is None


def test_per_image_keeps_the_phrase_with_the_highest_score() -> None:
    record = row("a fox by a tree", ("a fox", LEFT, 0.7), ("a tree", RIGHT, 0.9))
    draft = draft_of(record, Grit(name="grit", paths=("none",)))
    assert answers(draft) == ["<img>0</img><ref>a tree</ref><box>(500,200),(699,400)</box>"]


def test_trimmed_removes_blanks_and_punctuation_at_the_ends() -> None:
    assert trimmed("a fox, ", 0, 7) == (0, 5)
    assert trimmed("  , ", 0, 4) in {(4, 4)}
    assert trimmed("一只猫。", 0, 4) == (0, 3)


# the next three tests: mistakes of a known converter (MMGroundingDINO's grit2odvg)
def test_long_caption_does_not_drop_its_short_phrase() -> None:
    draft = draft_of(row("bad. " * 80 + "a fox", ("a fox", LEFT, 0.9)))
    assert answers(draft) == ["<img>0</img><ref>a fox</ref><box>(100,200),(300,400)</box>"]


def test_boxes_do_not_depend_on_the_stated_width() -> None:
    boxes = [draft_of(row("a fox", ("a fox", LEFT, 0.9), width=w, height=w // 2)).items[0].regions for w in (400, 1000)]
    assert boxes[0] == boxes[1]


def test_every_file_and_every_row_is_read(tmp_path: Path) -> None:
    for number in range(4):
        record = row("a fox", ("a fox", LEFT, 0.9))
        table(tmp_path / f"coyo_{number}_snappy.parquet", [{**record, "key": f"{number}-{n}"} for n in range(3)])
    source = Grit(name="grit", paths=(str(tmp_path / "*.parquet"),))
    assert [draft.key for draft in drafts(source)] == [f"{n}-{k}" for n in range(4) for k in range(3)]


def test_large_file_is_cut_into_pieces_without_losing_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qvl.grounding_builder.sources.grit.ROWS_PER_PIECE", 4)
    monkeypatch.setattr("qvl.grounding_builder.sources.grit.BATCH_ROWS", 3)
    table(tmp_path / "a.parquet", [{**row("a fox", ("a fox", LEFT, 0.9)), "key": str(n)} for n in range(10)])
    source = Grit(name="grit", paths=(str(tmp_path / "*.parquet"),))
    assert [draft.key for draft in drafts(source)] == [str(n) for n in range(10)]


def test_img2dataset_tar_gives_padded_rotated_and_failed_images_their_verdicts(tmp_path: Path) -> None:
    """Padding to a square invalidates relative boxes, a smaller copy does not; EXIF rotations are refused."""
    pictures = [jpeg(400, 200), jpeg(200, 100), jpeg(256, 256), jpeg(400, 200, orientation=8), b"<html>gone</html>"]
    with tarfile.open(tmp_path / "00000.tar", "w") as tar:
        for number, data in enumerate(pictures):
            record = {
                **row("a fox", ("a fox", LEFT, 0.9)),
                "key": f"{number}",
                "original_width": 800,
                "original_height": 400,
            }
            for name, content in ((f"{number}.jpg", data), (f"{number}.json", json.dumps(record).encode())):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    statuses = ["success"] * 5 + ["failed_to_download"]
    table(tmp_path / "00000.parquet", [{"key": str(n), "status": status} for n, status in enumerate(statuses)])
    ledger = make(Grit(name="grit", paths=(str(tmp_path / "*.tar"),)), tmp_path / "out")
    assert [r["verdict"] for r in ledger] == [
        "keep", "keep", "padded_or_cropped", "exif_rotated", "unreadable:not_an_image", "download:failed_to_download",
    ]  # fmt: skip
    made = samples(tmp_path / "out")
    assert sorted(s["task"] for s in made) == sorted(["grounded_caption", "referring", "region_caption"] * 2)
    assert made[0]["regions"] == [{"phrase": "a fox", "image": 0, "box": [0.1, 0.2, 0.3, 0.4]}]


def test_images_are_read_from_the_table_or_from_a_folder(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "b.jpg").write_bytes(jpeg(400, 200))
    record = row("a fox", ("a fox", LEFT, 0.9))
    table(tmp_path / "a.parquet", [{**record, "key": "a", "image": {"bytes": jpeg(400, 200), "path": "x"}}])
    lines = [json.dumps({**record, "key": key}) for key in ("b", "c")]
    (tmp_path / "b.jsonl").write_text("\n".join([*lines, "{nonsense"]))
    patterns = (str(tmp_path / "*.parquet"), str(tmp_path / "*.jsonl"))
    ledger = make(Grit(name="grit", paths=patterns, image_folder=str(tmp_path / "images")), tmp_path / "out")
    assert [r["verdict"] for r in ledger] == ["keep", "keep", "image_missing", "unreadable:bad_json"]


def test_pieces_raise_when_no_file_matches() -> None:
    with pytest.raises(RecipeError, match="no such file"):
        drafts(SOURCE)


@pytest.mark.parametrize("damage", ["table", "column"])
def test_status_table_when_damaged_costs_no_sample_of_the_tar(tmp_path: Path, damage: str) -> None:
    with tarfile.open(tmp_path / "00000.tar", "w") as tar:
        record = json.dumps(row("a fox", ("a fox", LEFT, 0.9))).encode()
        for name, content in (("0.jpg", jpeg(400, 200)), ("0.json", record)):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    path = tmp_path / "00000.parquet"
    far = pa.array([2**62], pa.timestamp("us", "Nowhere/Nothing"))  # neither the date nor the zone exists in Python
    pq.write_table(pa.table({"key": ["0"], "status": ["success"], "exif": far}), path)
    if damage == "table":
        path.write_bytes(path.read_bytes()[:-40] + b"x" * 40)
    verdicts = [each["verdict"] for each in make(Grit(name="grit", paths=(f"{tmp_path}/*.tar",)), tmp_path / "out")]
    assert verdicts == ["keep", *(["unreadable:status_table:damaged"] if damage == "table" else [])]
