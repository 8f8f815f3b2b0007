"""Visual Genome: both layouts of its files, invalid boxes, near-identical regions, questions."""

from pathlib import Path
from typing import Any

import pytest

from qvl.grounding_builder.sources.visual_genome import VisualGenome, normalised
from qvl.pipeline.base.errors import DataError, RecipeError
from qvl.pipeline.storage.reader import Storage
from tests.grounding_builder.helpers import answers, drafts, dump, jpeg, make

IMAGE = {
    "image_id": 2,
    "url": "https://x/VG_100K_2/2.jpg",
    "width": 400,
    "height": 200,
    "coco_id": 57870,
    "flickr_id": None,
}


def region(number: int, phrase: str, box: tuple[int, int, int, int] = (100, 50, 200, 100)) -> dict[str, Any]:
    x, y, width, height = box
    return {"region_id": number, "image_id": 2, "phrase": phrase, "x": x, "y": y, "width": width, "height": height}


def genome(folder: Path, **files: Any) -> VisualGenome:
    (folder / "VG_100K_2").mkdir(exist_ok=True)
    (folder / "VG_100K_2" / "2.jpg").write_bytes(jpeg(400, 200))
    paths: dict[str, Any] = {name: dump(folder / f"{name}.json", content) for name, content in files.items()}
    data = dump(folder / "image_data.json", [IMAGE, {**IMAGE, "image_id": 3, "coco_id": None}])
    return VisualGenome(name="vg", image_data=data, image_folder=str(folder), **paths)


@pytest.mark.parametrize("key", ["id", "image_id"])
def test_regions_are_read_under_either_image_key(tmp_path: Path, key: str) -> None:
    (draft,) = drafts(genome(tmp_path, regions=[{key: 2, "regions": [region(1, "a red  fox.")]}]))
    assert answers(draft) == ["<img>0</img><ref>a red fox</ref><box>(250,250),(749,749)</box>"]
    assert draft.ids == ("vg:2", "coco:57870")
    assert str(draft.image).endswith("VG_100K_2/2.jpg")


def test_every_dropped_region_has_its_reason(tmp_path: Path) -> None:
    regions = [
        region(1, "a fox"), region(2, "The fox.", (101, 50, 200, 100)), region(3, "a fox", (0, 0, 50, 50)),
        region(4, "sky", (10, -904, 60, 60)), region(5, "edge", (-10, 0, 60, 60)), region(6, "far", (-100, 0, 120, 60)),
        region(7, "line", (5, 5, 50, 0)), region(8, " "), region(9, "<ref>x"), region(10, "wide", (0, 0, 900, 900)),
    ]  # fmt: skip
    ledger = make(genome(tmp_path, regions=[{"id": 2, "regions": regions}]), tmp_path / "out")
    assert [row["verdict"] for row in ledger] == [
        "keep", "merged", "keep", "box:outside", "keep", "box:contradicts_size", "box:zero_area", "empty_phrase", "markup",
        "box:contradicts_size",
    ]  # fmt: skip
    assert all(row["regions"] == 1 and len(row["lost"]) == (row["verdict"] != "keep") for row in ledger)


def test_objects_with_one_name_are_one_expression(tmp_path: Path) -> None:
    things = [
        {"object_id": 1, "x": 0, "y": 0, "w": 100, "h": 100, "names": ["window"], "synsets": []},
        {"object_id": 2, "x": 200, "y": 0, "w": 100, "h": 100, "names": ["window"]},
        {"object_id": 3, "x": 201, "y": 1, "w": 100, "h": 100, "name": "window"},
        {"object_id": 4, "x": 0, "y": 100, "width": 40, "height": 40, "names": ["door", "gate"]},
    ]
    window, door = drafts(genome(tmp_path, objects=[{"image_id": 2, "objects": things}]))
    assert answers(window) == ["<img>0</img><ref>window</ref><box>(0,0),(250,500)</box><box>(500,0),(749,500)</box>"]
    assert (window.regions, window.lost) == (3, ["merged"])
    assert answers(door, "region_caption") == ["<img>0</img><ref>This</ref><box>(0,500),(100,699)</box> is door"]


def test_questions_become_vqa_samples(tmp_path: Path) -> None:
    qas = [{"qa_id": 1, "image_id": 2, "question": "What is it?", "answer": "A fox.", "a_objects": []},
           {"qa_id": 2, "image_id": 2, "question": "Why?", "answer": ""}]  # fmt: skip
    found = drafts(genome(tmp_path, questions=[{"id": 2, "qas": qas}]))
    assert answers(found[0], "vqa") == ["<img>0</img> What is it? Answer: A fox."]
    assert found[1].verdict == "empty_answer"


def test_rows_are_dropped_when_the_image_record_or_file_is_missing(tmp_path: Path) -> None:
    regions = [{"id": 9, "regions": [region(1, "a fox")]}, {"id": 3, "regions": [region(2, "a fox")]}]
    source = genome(tmp_path, regions=regions)
    (tmp_path / "VG_100K_2" / "2.jpg").unlink()
    assert [row["verdict"] for row in make(source, tmp_path / "out")] == ["no_image_data", "image_missing"]


def test_pieces_contain_whole_images_and_change_identity_with_their_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qvl.grounding_builder.sources.visual_genome.IMAGES_PER_PIECE", 2)
    content: list[dict[str, Any]] = [{"id": 2, "regions": [region(n, f"fox {n}", (n, 0, 50, 50))]} for n in range(5)]
    source = genome(tmp_path, regions=content)
    pieces = source.pieces(Storage())
    assert [piece.payload[1].count for piece in pieces] == [2, 2, 1]
    content[4]["regions"][0]["phrase"] = "wolf"
    changed = genome(tmp_path, regions=content).pieces(Storage())
    assert [a.identity == b.identity for a, b in zip(pieces, changed, strict=True)] == [True, True, False]
    assert len(make(source, tmp_path / "out")) == 5


def test_per_image_drops_further_phrases(tmp_path: Path) -> None:
    regions = [region(n, f"fox {n}", (n * 60, 0, 50, 50)) for n in range(4)]
    source = genome(tmp_path, regions=[{"id": 2, "regions": regions}]).model_copy(update={"per_image": 2})
    assert [draft.verdict for draft in drafts(source)] == [None, None, "per_image", "per_image"]


def test_normalised_is_equal_for_phrases_that_say_the_same() -> None:
    assert normalised("The man, in a  hat.") == normalised("man in the Hat") == "man in hat"
    assert normalised("man") != normalised("woman")


def test_pieces_raise_when_files_are_missing_or_truncated(tmp_path: Path) -> None:
    source = genome(tmp_path)
    with pytest.raises(RecipeError, match="set at least one of regions, objects, questions"):
        drafts(source)
    with pytest.raises(RecipeError, match="no such file"):
        drafts(source.model_copy(update={"regions": str(tmp_path / "none.json")}))
    cut = tmp_path / "cut.json"
    cut.write_text('[{"id": 2, "regions": [')
    with pytest.raises(DataError, match="not closed"):
        drafts(source.model_copy(update={"regions": str(cut)}))
