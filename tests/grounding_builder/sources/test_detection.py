"""COCO-style detection: categories with all their boxes, crowds, annotations without area."""

from pathlib import Path
from typing import Any

import pytest

from qvl.grounding_builder.sources.detection import Detection
from qvl.pipeline.base.errors import DataError
from tests.grounding_builder.helpers import answers, drafts, dump

IMAGE = {"id": 9, "file_name": "000000000009.jpg", "width": 400, "height": 200}


def thing(category: int, bbox: list[float], **more: Any) -> dict[str, Any]:
    return {"id": 1, "image_id": 9, "category_id": category, "bbox": bbox, "iscrowd": 0, **more}


def detection(folder: Path, annotations: list[dict[str, Any]], **more: Any) -> Detection:
    categories = [{"id": 1, "name": "fox"}, {"id": 2, "name": "traffic_light"}, {"id": 3, "name": "<box>"}]
    path = dump(folder / "i.json", {"images": [IMAGE], "annotations": annotations, "categories": categories})
    return Detection(name="coco", annotations=path, image_folder=str(folder), **more)


def test_draft_asks_for_each_category_and_for_all_objects(tmp_path: Path) -> None:
    things = [thing(1, [0, 0, 100, 100]), thing(2, [200, 100, 100, 100]), thing(1, [300, 0, 100, 100])]
    (draft,) = drafts(detection(tmp_path, things))
    fox, light = "<ref>fox</ref>", "<ref>traffic light</ref>"
    foxes, lights = "<box>(0,0),(250,500)</box><box>(749,0),(999,500)</box>", "<box>(500,500),(749,999)</box>"
    assert answers(draft) == [f"<img>0</img>{fox}{foxes}", f"<img>0</img>{light}{lights}"]
    question = "Which objects are in the image, and where?"
    assert answers(draft, "vqa") == [f"<img>0</img> {question} Answer: {fox}{foxes}{light}{lights}"]
    assert len(draft.items[-1].regions) == 3
    assert draft.ids == ("coco:9",)


def test_every_dropped_box_has_its_reason(tmp_path: Path) -> None:
    things = [
        thing(1, [0, 0, 100, 100]), thing(1, [10, 10, 50, 0], id=918), thing(1, [0, 0, 9, 9], iscrowd=1),
        thing(3, [0, 0, 9, 9]), thing(7, [0, 0, 9, 9]), *[thing(2, [n, 0, 9, 9]) for n in range(4)],
        thing(1, [0, 0, 9, 9], image_id=77),
    ]  # fmt: skip
    kept, stray = drafts(detection(tmp_path, things, max_boxes=3))
    assert sorted(kept.lost) == ["box:zero_area", "crowd", "markup", "no_category"] + ["too_many_boxes"] * 4
    assert kept.regions == 9 and len(answers(kept)) == 1
    assert (stray.verdict, stray.lost) == ("no_image_data", ["no_image_data"])
    (empty,) = drafts(detection(tmp_path, []))
    assert empty.verdict == "no_regions"


def test_drafts_raise_when_the_file_is_not_a_detection_file(tmp_path: Path) -> None:
    source = detection(tmp_path, [])
    dump(tmp_path / "i.json", {"images": []})
    with pytest.raises(DataError, match="no annotations, categories"):
        drafts(source)
    (tmp_path / "i.json").write_text("{")
    with pytest.raises(DataError, match="not JSON"):
        drafts(source)
