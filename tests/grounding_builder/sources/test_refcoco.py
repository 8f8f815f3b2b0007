"""RefCOCO: splits, boxes and files. Every expression of two photographs was checked by hand against the image."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from qvl.grounding_builder.sources.refcoco import RefCoco, coco_ids
from qvl.pipeline.base.errors import DataError, RecipeError
from qvl.pipeline.markup.regions import Region
from tests.grounding_builder.helpers import DATA, answers, drafts, dump, jpeg, make, table

DEMO = RefCoco(
    name="refcoco",
    refs=str(DATA / "refcoco" / "refs(unc).p"),
    instances=str(DATA / "refcoco" / "instances.json"),
    image_folder=str(DATA / "images"),
)
# expression, and its box computed by hand from the corners in pixels of images of 500 x 375 and 640 x 480: round(999 x / W)
BY_HAND = [
    ("water bottle with a blue cap", "(440,679),(519,919)"),  # 220 255 260 345
    ("chair at the far left", "(4,277),(178,562)"),  # 2 104 89 211
    ("empty chair in front of the woman in red", "(631,224),(769,480)"),  # 316 84 385 180
    ("person with curly hair in a blue plaid shirt", "(80,93),(302,472)"),  # 40 35 151 177
    ("person in a black sweater reaching over the tray", "(262,125),(456,549)"),  # 131 47 228 206
    ("table behind the man in tan", "(144,240),(356,535)"),  # 72 90 178 201
    ("the table by the window on the right", "(705,210),(977,333)"),  # 353 79 489 125
    ("woman in a red jacket", "(613,88),(727,421)"),  # 307 33 364 158
    ("man in a tan shirt holding his hand to his ear", "(0,357),(320,999)"),  # 0 134 160 375
    ("man in a black hat", "(358,176),(631,615)"),  # 179 66 316 231
    ("man in a white cap", "(753,170),(999,637)"),  # 377 64 500 239
    ("the white table in front", "(204,570),(999,999)"),  # 102 214 500 375
    ("package with mouse traps", "(440,554),(723,835)"),  # 282 266 463 401
    ("yellow pack of baby wipes", "(231,527),(574,768)"),  # 148 253 368 369
    ("orange book with jokes for kids", "(231,624),(437,934)"),  # 148 300 280 449
    ("green box of soap", "(372,816),(526,972)"),  # 238 392 337 467
    ("metal measuring spoons", "(225,398),(375,543)"),  # 144 191 240 261
    ("pink scissors", "(732,672),(841,897)"),  # 469 323 539 431
    ("white ice cube tray", "(334,335),(735,937)"),  # 214 161 471 450
    ("red and white package of socks", "(520,329),(921,937)"),  # 333 158 590 450
]


@pytest.mark.parametrize(("expression", "box"), BY_HAND)
def test_samples_equal_those_written_by_hand(expression: str, box: str) -> None:
    """Two samples per expression: 40 strings."""
    (draft,) = [d for d in DEMO_DRAFTS if d.items and d.items[0].regions[0].phrase == expression]
    assert answers(draft) == [f"<img>0</img><ref>{expression}</ref><box>{box}</box>"]
    assert answers(draft, "region_caption") == [f"<img>0</img><ref>This</ref><box>{box}</box> is {expression}"]
    assert draft.items[0].turns[0].text == f"<img>0</img><ref>{expression}</ref>"
    assert draft.items[1].turns[1].text == f" {expression}"


DEMO_DRAFTS = drafts(DEMO)


def test_only_rows_of_the_train_split_are_kept() -> None:
    verdicts = [draft.verdict for draft in DEMO_DRAFTS]
    assert len(verdicts) == 136 and verdicts.count("not_train") == 30 and verdicts.count(None) == 106
    assert {draft.ids for draft in DEMO_DRAFTS if draft.verdict == "not_train"} == {
        ("coco:11",), ("coco:12",), ("coco:13",), ("coco:14",),
    }  # fmt: skip


def test_image_file_is_that_of_the_image_record() -> None:
    assert str(DEMO_DRAFTS[0].image).endswith("/COCO_train2014_000000000001.jpg")
    assert coco_ids("COCO_train2014_000000581857_16.jpg") == ("coco:581857",)
    assert coco_ids("2317001.jpg") == ()


def refer(folder: Path, name: str = "refs(unc).p", **changes: Any) -> RefCoco:
    """A source with one image of 400 x 200 pixels and one reference, with changes."""
    ref = {"ref_id": 1, "ann_id": 5, "category_id": 1, "image_id": 9, "file_name": "COCO_train2014_000000000009_5.jpg",
           "split": "train", "sent_ids": [0], "sentences": sentences("a fox")}  # fmt: skip
    image = {"id": 9, "file_name": "COCO_train2014_000000000009.jpg", "width": 400, "height": 200}
    annotation = {"id": 5, "image_id": 9, "bbox": changes.pop("bbox", [100.0, 50.0, 200.0, 100.0]), "category_id": 1}
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(pickle.dumps([{**ref, **changes}], 2))
    (folder / str(image["file_name"])).write_bytes(jpeg(400, 200))
    instances = dump(folder / "instances.json", {"images": [image], "annotations": [annotation], "categories": []})
    return RefCoco(name="refcoco", refs=str(folder / name), instances=instances, image_folder=str(folder))


def sentences(*texts: str) -> list[dict[str, Any]]:
    return [{"sent": text, "raw": text, "sent_id": n, "tokens": text.split()} for n, text in enumerate(texts)]


def test_google_split_is_refused_unless_allowed(tmp_path: Path) -> None:
    source = refer(tmp_path, "refs(google).p")
    with pytest.raises(RecipeError, match="divides objects, not images, so its train part contains validation images"):
        drafts(source)
    assert len(drafts(source.model_copy(update={"allow_google": True}))) == 1


def test_far_corner_of_a_box_is_x_plus_width(tmp_path: Path) -> None:
    (draft,) = drafts(refer(tmp_path))
    assert answers(draft) == ["<img>0</img><ref>a fox</ref><box>(250,250),(749,749)</box>"]
    assert draft.items[0].regions == [Region("a fox", 0, box=(0.25, 0.25, 0.75, 0.75))]


def test_every_dropped_row_has_its_reason(tmp_path: Path) -> None:
    texts = sentences("a fox", "a  fox ", "  ", "a <box> fox", "a fox")
    found = drafts(refer(tmp_path / "a", sentences=texts))
    assert [draft.verdict for draft in found] == [None, None, "empty_phrase", "markup", "duplicate"]
    assert [d.verdict for d in drafts(refer(tmp_path / "b", bbox=[1.0, 2.0, 0.0, 5.0]))] == ["box:zero_area"]
    assert [d.verdict for d in drafts(refer(tmp_path / "c", ann_id=6))] == ["no_annotation"]
    assert [d.verdict for d in drafts(refer(tmp_path / "d", split="testAB"))] == ["not_train"]


def test_rows_are_dropped_when_the_image_does_not_fit_the_annotation(tmp_path: Path) -> None:
    image = "COCO_train2014_000000000009.jpg"
    for name, data, verdict in (
        ("a", jpeg(200, 400), "size_mismatch"), ("b", jpeg(200, 100), "size_mismatch"), ("c", None, "image_missing"),
        ("d", jpeg(400, 200, orientation=3), "exif_rotated"), ("e", jpeg(400, 200)[:900], "unreadable:truncated"),
    ):  # fmt: skip
        source = refer(tmp_path / name)
        (tmp_path / name / image).unlink()
        if data is not None:
            (tmp_path / name / image).write_bytes(data)
        assert [row["verdict"] for row in make(source, tmp_path / name / "out")] == [verdict]


def test_refs_raise_when_the_pickle_is_hostile_or_has_other_content(tmp_path: Path) -> None:
    source = refer(tmp_path)
    Path(source.refs).write_bytes(b"cposix\nsystem\n(S'true'\ntR.")
    with pytest.raises(DataError, match=r"posix\.system"):
        drafts(source)
    Path(source.refs).write_bytes(pickle.dumps({"not": "refs"}))
    with pytest.raises(DataError, match="not a list of references"):
        drafts(source)
    with pytest.raises(RecipeError, match=r"needs instances\.json"):
        drafts(source.model_copy(update={"instances": None}))


def test_jxu124_reads_the_box_of_the_raw_annotation(tmp_path: Path) -> None:
    """The column ``bbox`` is x, y, x, y in some versions."""
    image = {"id": 9, "file_name": "COCO_train2014_000000000009.jpg", "width": 400, "height": 200}
    annotation = json.dumps({"bbox": [100.0, 50.0, 200.0, 100.0]})
    rows = [{"ref_id": 3, "split": "train", "bbox": [100.0, 50.0, 300.0, 150.0], "raw_image_info": json.dumps(image),
             "raw_anns": annotation, "sentences": sentences("a fox", "the animal")}]  # fmt: skip
    path = table(tmp_path / "train.parquet", rows)
    source = RefCoco(name="r", format="jxu124", refs=path, image_folder=str(tmp_path))
    boxes = [d.items[0].regions[0].box for d in drafts(source)]
    assert boxes == [(0.25, 0.25, 0.75, 0.75)] * 2
    assert drafts(source)[0].ids == ("coco:9",)


def test_vlm_r1_reads_the_solution_not_the_list_that_ends_early(tmp_path: Path) -> None:
    row = {"image": "coco/train2014/COCO_train2014_000000000009.jpg", "normal_caption": "a fox", "problem": "...",
           "solution": [100, 50, 300, 150], "bbox_list": [100, 50, 299, 149], "width": 400, "height": 200}  # fmt: skip
    source = RefCoco(name="r", format="vlm_r1", refs=dump(tmp_path / "r.json", [row]), image_folder=str(tmp_path))
    (draft,) = drafts(source)
    assert answers(draft) == ["<img>0</img><ref>a fox</ref><box>(250,250),(749,749)</box>"]
