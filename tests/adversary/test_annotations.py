"""Annotation files with values replaced, dropped or repeated: a row is dropped with its reason, or the file is refused."""

import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qvl.failures import exit_status
from qvl.grounding_builder.build.builder import Grounding
from qvl.grounding_builder.drafts.drafts import Annotations
from qvl.grounding_builder.sources import refcoco, visual_genome
from qvl.grounding_builder.sources.detection import Detection
from qvl.grounding_builder.sources.grit import Grit
from qvl.grounding_builder.sources.refcoco import RefCoco
from qvl.grounding_builder.sources.visual_genome import VisualGenome
from qvl.grounding_builder.sources.vqa import Vqa
from qvl.pipeline.base.verdicts import KEEP
from qvl.pipeline.exclusion.exclusion import Exclusion
from tests.adversary.mutations import DROPPED, REPEATED, KeyPath, changed, paths
from tests.grounding_builder.helpers import jpeg

VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 5, 2**63, 10**30, 1e308, -1e308, 0.5, "", "x", "a" * 3_000, "\x1b[31m", "../../x", "/etc/passwd"),
    *([], [[]], [1], [None], ["x", 2], {}, {"a": 1}, [{}], "1", "nan", [0, 0, 1e308, 1e308], [-1, -1, -1, -1]),
)  # fmt: skip
IMAGE = {"id": 1, "image_id": 1, "file_name": "1.jpg", "width": 64, "height": 48, "url": "http://x/VG/1.jpg"}
CONTENT: dict[str, Any] = {
    "detection": {
        "images": [IMAGE, {**IMAGE, "id": 2}],
        "annotations": [{"id": n, "image_id": n % 2, "category_id": 3, "bbox": [4, 4, 20, 20]} for n in range(3)],
        "categories": [{"id": 3, "name": "cat"}],
    },
    "refcoco": {"images": [IMAGE], "annotations": [{"id": 7, "bbox": [4, 4, 20, 20]}]},
    "refs": [{
        "ref_id": 1, "image_id": 1, "ann_id": 7, "split": "train",
        "sentences": [{"sent_id": 1, "sent": "the cat"}, {"sent_id": 2, "sent": "cat"}],
    }, {"ref_id": 2, "image_id": 1, "ann_id": 7, "split": "train", "sentences": [{"sent_id": 3, "sent": "it"}]}],
    "visual_genome": [{"id": 1, "regions": [
        {"region_id": n, "x": 2, "y": 2, "width": 20, "height": 20, "phrase": f"a cat {n}"} for n in range(2)
    ]}],
    "objects": [{"image_id": 1, "objects": [{"object_id": 1, "names": ["cat"], "x": 1, "y": 1, "w": 30, "h": 30}]}],
    "image_data": [{**IMAGE, "coco_id": 5}],
    "grit": {"key": "1", "id": 1, "caption": "a cat", "width": 64, "height": 48, "url": "u",
             "ref_exps": [[0.0, 5.0, 0.1, 0.1, 0.6, 0.6, 0.9]], "noun_chunks": [[2.0, 5.0, 0.1, 0.1, 0.6, 0.6, 0.9]]},
    "vqav2": {"questions": [{"question_id": 1, "image_id": 1, "question": "what?"}]},
    "answers": {"annotations": [{"question_id": 1, "image_id": 1,
                                 "answers": [{"answer": "cat", "answer_confidence": "yes", "answer_id": 1}]}]},
    "gqa": {"1": {"imageId": "1", "question": "what?", "answer": "cat"}},
    "textvqa": {"data": [{"question_id": 1, "image_id": "1", "question": "what?", "answers": ["cat"], "set_name": "train"}]},
    "docvqa": {"data": [{"questionId": 1, "image": "1.jpg", "question": "what?", "answers": ["cat"],
                         "data_split": "train"}]},
    "chartqa": [{"imgname": "1.jpg", "query": "what?", "label": "cat"}],
    "ocrvqa": {"1": {"imageURL": "http://x/1.jpg", "split": 1, "questions": ["what?"], "answers": ["cat"]}},
    "ai2d": {"imageName": "1.jpg",
             "questions": {"what?": {"questionId": "1", "answerTexts": ["cat", "dog"], "correctAnswer": 0}}},
    "dvqa": [{"question_id": 1, "image": "1.jpg", "question": "what?", "answer": "cat"}],
}  # fmt: skip
FILES: dict[str, tuple[str, ...]] = {
    "detection": ("detection",),
    "refcoco": ("refcoco", "refs"),
    "visual_genome": ("visual_genome", "objects", "image_data"),
    "vqav2": ("vqav2", "answers"),
    **{name: (name,) for name in ("grit", "gqa", "textvqa", "docvqa", "chartqa", "ocrvqa", "ai2d", "dvqa")},
}


def write(folder: Path, contents: dict[str, Any]) -> dict[str, str]:
    """All annotation files as JSON, the references as a pickle. Returns their paths by name."""
    files: dict[str, str] = {}
    for name, content in contents.items():
        path = folder / f"{name}.json"
        path.write_bytes(pickle.dumps(content, 2) if name == "refs" else json.dumps(content).encode())
        files[name] = str(path)
    (folder / "grit.jsonl").write_bytes(json.dumps(contents["grit"]).encode() + b"\n")
    for image in (folder / "1.jpg", folder / "VG" / "1.jpg", folder / "COCO_train2014_000000000001.jpg"):
        image.parent.mkdir(exist_ok=True)
        if not image.exists():
            image.write_bytes(jpeg(64, 48))
    return files


def source(kind: str, files: dict[str, str], folder: str) -> Annotations:
    common: dict[str, Any] = {"name": "x", "image_folder": folder}
    if kind == "detection":
        return Detection(annotations=files["detection"], **common)
    if kind == "refcoco":
        return RefCoco(refs=files["refs"], instances=files["refcoco"], **common)
    if kind == "visual_genome":
        objects, images = files["objects"], files["image_data"]
        return VisualGenome(regions=files["visual_genome"], objects=objects, image_data=images, **common)
    if kind == "grit":
        return Grit(paths=(f"{folder}/grit.jsonl",), phrases="union", **common)
    answers = files["answers"] if kind == "vqav2" else None
    return Vqa(**common, set=kind, questions=files[kind], answers=answers, image_data=files["image_data"])  # type: ignore[arg-type]


def build_rows(kind: str, contents: dict[str, Any], folder: Path) -> Callable[[], Any]:
    def make() -> Any:
        refcoco.instances.cache_clear()
        visual_genome.image_data.cache_clear()
        builder = Grounding("x", (source(kind, write(folder, contents), str(folder)),), Exclusion())
        rows = [row for unit in builder.units() for row in builder.make(unit)]
        assert all((row.verdict == KEEP) == bool(row.samples) for row in rows)
        return rows

    return make


@pytest.mark.parametrize("kind", FILES)
def test_annotations_when_untouched_are_kept(kind: str, tmp_path: Path) -> None:
    assert KEEP in [row.verdict for row in build_rows(kind, CONTENT, tmp_path)()]


@st.composite
def damaged(draw: st.DrawFn, kind: str) -> dict[str, Any]:
    contents = copy.deepcopy(CONTENT)
    for _ in range(draw(st.integers(1, 2))):
        name = draw(st.sampled_from(FILES[kind]))
        path: KeyPath = draw(st.sampled_from(paths(contents[name])))
        contents[name] = changed(contents[name], path, draw(st.sampled_from((DROPPED, REPEATED, *VALUES))))
    return contents


@st.composite
def damaged_in_a_record(draw: st.DrawFn, kind: str) -> dict[str, Any]:
    name = draw(st.sampled_from(FILES[kind]))
    path: KeyPath = draw(st.sampled_from([path for path in paths(CONTENT[name]) if path and in_a_record(name, path)]))
    value = draw(st.sampled_from((DROPPED, REPEATED, *VALUES)))
    return {**CONTENT, name: changed(CONTENT[name], path, value)}


@pytest.mark.parametrize("kind", FILES)
def test_annotations_when_one_record_is_damaged_keep_the_file(
    kind: str, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path_factory.mktemp(kind)

    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(damaged_in_a_record(kind))
    def check(contents: dict[str, Any]) -> None:
        status = exit_status(build_rows(kind, contents, folder), [])
        assert status == 0, capsys.readouterr().err

    check()


ROWS = {
    "detection": ("annotations", "images"), "refs": (), "refcoco": ("annotations", "images"), "visual_genome": (),
    "objects": (),
    "image_data": (), "grit": (), "vqav2": ("questions",), "answers": ("annotations",), "gqa": (), "textvqa": ("data",),
    "docvqa": ("data",), "chartqa": (), "ocrvqa": (), "ai2d": ("questions",), "dvqa": (),
}  # fmt: skip


def in_a_record(name: str, path: KeyPath) -> bool:
    """Whether a path leads into one of a file's records, so that a fault there may cost no other record."""
    return path[0] in ROWS[name] and len(path) > 1 if ROWS[name] else len(path) > 0


def check_rows(kind: str, contents: dict[str, Any], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = exit_status(build_rows(kind, contents, folder), [])
    error = capsys.readouterr().err
    assert status in (0, 2), error
    assert error.count("\n") == (status == 2), error


@pytest.mark.parametrize("kind", FILES)
def test_annotations_when_damaged_cost_rows_or_are_refused_in_one_line(
    kind: str, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path_factory.mktemp(kind)

    @settings(max_examples=80)
    @given(damaged(kind))
    @example({**CONTENT, "refcoco": json.loads("[" * 200 + "]" * 200)})
    def check(contents: dict[str, Any]) -> None:
        check_rows(kind, contents, folder, capsys)

    check()


@pytest.mark.long
@pytest.mark.parametrize("kind", FILES)
def test_annotations_when_any_one_value_is_damaged_cost_rows_or_are_refused(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in FILES[kind]:
        for path in paths(CONTENT[name]):
            for value in (DROPPED, REPEATED, *VALUES):
                check_rows(kind, {**CONTENT, name: changed(CONTENT[name], path, value)}, tmp_path, capsys)


def test_category_when_a_list_costs_the_row_of_its_image(tmp_path: Path) -> None:
    contents = copy.deepcopy(CONTENT)
    contents["detection"]["annotations"][1]["category_id"] = [3]
    rows = build_rows("detection", contents, tmp_path)()
    assert [row.verdict for row in rows] == ["no_category", "no_regions", "no_image_data"]


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"images": [{"id": ' + "9" * 5_000 + "}]}", '{"images": 5}', "", "\x00"],
    ids=["deep", "huge", "number", "empty", "binary"],
)
def test_instances_when_nested_too_deep_or_not_coco_are_refused(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = write(tmp_path, CONTENT)
    Path(files["refcoco"]).write_text(text)
    builder = Grounding("x", (source("refcoco", files, str(tmp_path)),), Exclusion())
    refcoco.instances.cache_clear()
    assert exit_status(lambda: [row for unit in builder.units() for row in builder.make(unit)], []) == 2
    assert capsys.readouterr().err.count("\n") == 1
