"""The public files, each in its published format; prompts and lengths as released."""

import json
from pathlib import Path
from typing import Any

import pytest

from qvl.pipeline.base.errors import DataError, RecipeError
from qvl.training.evaluation.samples.prompts import Style
from qvl.training.evaluation.samples.public import PublicSet, read_public
from qvl.training.evaluation.samples.sample import Decoding, EvalSample


def read(folder: Path, files: dict[str, Any], style: Style = "released", kind: str = "auto") -> list[EvalSample]:
    paths = []
    for name, content in files.items():
        path = folder / name
        lines = "\n".join(json.dumps(row) for row in content) if name.endswith("l") else json.dumps(content)
        path.write_text(lines)
        paths.append(path)
    return read_public(PublicSet(tuple(paths), folder / "images", style), kind)


def test_read_public_when_the_file_is_refcoco_asks_for_boxes(tmp_path: Path) -> None:
    row = {"image": "a.jpg", "sent": "left man", "bbox": [10, 20, 60, 70], "height": 200, "width": 100}
    (sample,) = read(tmp_path, {"refcoco_val.jsonl": [row]})
    assert sample.prompt == "<img>0</img><ref>left man</ref><box>"
    assert sample.boxes == ((0.1, 0.1, 0.6, 0.35),)
    assert sample.decoding == Decoding(28, 10)
    assert sample.images[0].path == str(tmp_path / "images" / "a.jpg")
    (trained,) = read(tmp_path, {"refcoco_val.jsonl": [row]}, "training")
    assert trained.prompt == "<img>0</img><ref>left man</ref>"
    assert trained.decoding == Decoding(28, 1)


def test_read_public_when_files_are_vqav2_joins_questions_and_annotations(tmp_path: Path) -> None:
    questions = {"data_subtype": "val2014", "questions": [{"image_id": 42, "question": "Why?", "question_id": 42000}]}
    answers = [{"answer": "rain" if n else "sun", "answer_id": n + 1} for n in range(10)]
    annotations = {
        "data_subtype": "val2014",
        "annotations": [{"question_id": 42000, "image_id": 42, "answers": answers}],
    }
    (sample,) = read(tmp_path, {"q.json": questions, "a.json": annotations})
    assert sample.prompt == "<img>0</img>Why? Answer:"
    assert Path(sample.images[0].path).name == "COCO_val2014_000000000042.jpg"
    assert sample.answers == ("sun", *["rain"] * 9)
    assert (sample.metric, sample.decoding) == ("vqa_score", Decoding(10, 1))
    (trained,) = read(tmp_path, {"q.json": questions, "a.json": annotations}, "training")
    assert trained.prompt == "<img>0</img> Why? Answer:"
    with pytest.raises(DataError, match="have no answer"):
        read(tmp_path, {"q.json": questions})


def test_read_public_when_the_file_is_textvqa_or_docvqa_chooses_its_metric(tmp_path: Path) -> None:
    text = {"data": [{"question": "what?", "image_id": "ab", "question_id": 1, "answers": ["x"] * 10}]}
    (sample,) = read(tmp_path, {"TextVQA_val.json": text})
    assert (Path(sample.images[0].path).name, sample.metric, len(sample.answers)) == ("ab.jpg", "vqa_score", 10)
    document = {
        "data": [{"questionId": 7, "question": "date?", "image": "documents/d.png", "answers": ["1 May", "May 1"]}]
    }
    (sample,) = read(tmp_path, {"val_v1.0.json": document})
    assert (sample.id, sample.metric, sample.decoding.max_new) == ("7", "anls", 100)
    assert sample.images[0].path == str(tmp_path / "images" / "documents/d.png")


def test_read_public_when_the_file_is_chartqa_or_gqa_chooses_its_metric(tmp_path: Path) -> None:
    (sample,) = read(tmp_path, {"test_human.json": [{"imgname": "c.png", "query": "how many?", "label": "14"}]})
    assert (sample.metric, sample.answers, sample.decoding.max_new) == ("relaxed", ("14",), 100)
    (sample,) = read(tmp_path, {"testdev.json": {"201": {"imageId": "n1", "question": "Is it?", "answer": "no"}}})
    assert (sample.id, sample.metric, Path(sample.images[0].path).name) == ("201", "gqa", "n1.jpg")


def test_read_public_when_the_file_is_coco_captions_makes_them_the_references_of_their_image(tmp_path: Path) -> None:
    content = {
        "images": [{"id": 1, "file_name": "1.jpg"}, {"id": 2, "image": "two/2.jpg"}],
        "annotations": [
            {"image_id": 1, "caption": "A dog."}, {"image_id": 2, "caption": "A cat."}, {"image_id": 1, "caption": "Dog"}
        ],
    }  # fmt: skip
    first, second = read(tmp_path, {"flickr.json": content})
    assert first.prompt == "<img>0</img>Describe the image in English:"
    assert first.answers == ("A dog.", "Dog")
    assert first.decoding == Decoding(30, 8)
    assert second.images[0].path.endswith("two/2.jpg")
    (trained, _) = read(tmp_path, {"flickr.json": content}, "training")
    assert trained.prompt == "<img>0</img>Generate the caption in English:"
    assert trained.decoding == Decoding(30, 1)


def test_read_public_when_the_file_is_released_jsonl_reads_questions_and_choices(tmp_path: Path) -> None:
    (sample,) = read(
        tmp_path, {"ocrvqa.jsonl": [{"image": "o.jpg", "question": "Who?", "question_id": 3, "answer": "Bo"}]}
    )
    assert (sample.id, sample.answers) == ("3", ("Bo",))
    row = {"image": "s.png", "question": "Which?", "choices": ["iron", "wood"], "hint": "", "answer": 1}
    (sample,) = read(tmp_path, {"scienceqa.jsonl": [row]})
    assert sample.prompt == "<img>0</img>Context: N/A\nQuestion: Which?\nOptions: A. iron\nB. wood\nAnswer:"
    assert (sample.options, sample.answers, sample.metric) == (("A", "B"), ("B",), "choice")


def test_read_public_when_a_file_is_wrong_names_it(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="--format"):
        read(tmp_path, {"x.json": {"a": {"b": 1}}})
    with pytest.raises(RecipeError, match="refcoco"):
        read(tmp_path, {"x.json": []}, kind="cococo")
    with pytest.raises(DataError, match="is not in the refcoco format"):
        read(tmp_path, {"x.jsonl": [{"sent": "x", "bbox": [1, 2, 3, 4]}]})
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(DataError, match="is not JSON"):
        read_public(PublicSet((tmp_path / "bad.json",), tmp_path))
    with pytest.raises(RecipeError, match="does not exist"):
        read_public(PublicSet((tmp_path / "none.json",), tmp_path))
