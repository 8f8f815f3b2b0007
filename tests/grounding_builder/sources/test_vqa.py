"""Question-answer sets, each in its released layout."""

from pathlib import Path
from typing import Any

import pytest

from qvl.grounding_builder.drafts.drafts import Draft
from qvl.grounding_builder.sources.vqa import Set, Vqa, most_confident, most_frequent
from qvl.pipeline.base.errors import RecipeError
from tests.grounding_builder.helpers import answers, drafts, dump


def rows(folder: Path, kind: Set, content: Any, name: str = "q.json", **more: Any) -> list[Draft]:
    path = dump(folder / name, content)
    return drafts(Vqa(name="vqa", set=kind, questions=path, image_folder="/images", **more))


def graded(answer: str, confidence: str, number: int) -> dict[str, Any]:
    return {"answer": answer, "answer_confidence": confidence, "answer_id": number}


def test_most_confident_prefers_confidence_to_frequency() -> None:
    """A single confident "two" wins over three less confident "three"."""
    assert most_confident([graded("three", "maybe", n) for n in (1, 2, 3)] + [graded("two", "yes", 4)]) == "two"
    sure = [graded("a", "yes", 1), graded("b", "yes", 2), graded("b", "yes", 3), graded("c", "no", 4)]
    assert most_confident(sure) == "b"
    assert most_confident([graded("late", "yes", 9), graded("early", "yes", 2)]) == "early"
    assert most_confident([]) == ""
    assert most_frequent(["x", "y", "y"]) == "y"


def test_vqav2_joins_questions_with_their_annotations(tmp_path: Path) -> None:
    questions = [
        {"image_id": 9, "question": "What is it?", "question_id": 90},
        {"image_id": 9, "question": "?", "question_id": 91},
    ]
    annotations = [{"question_id": 90, "image_id": 9, "answers": [graded("dog", "maybe", 1), graded("fox", "yes", 2)]}]
    annotation_file = dump(tmp_path / "a.json", {"info": {"annotations": "x"}, "annotations": annotations})
    first, second = rows(tmp_path, "vqav2", {"license": [], "questions": questions}, answers=annotation_file)
    assert answers(first, "vqa") == ["<img>0</img> What is it? Answer: fox"]
    assert (first.image, first.ids) == ("/images/COCO_train2014_000000000009.jpg", ("coco:9",))
    assert second.verdict == "empty_answer"
    with pytest.raises(RecipeError, match="annotation file"):
        rows(tmp_path, "vqav2", {"questions": questions})


def test_gqa_images_get_the_ids_of_visual_genome(tmp_path: Path) -> None:
    content = {"07333408": {"imageId": "2", "question": "Is it red?", "answer": "yes", "fullAnswer": "Yes, it is."}}
    images = dump(
        tmp_path / "image_data.json", [{"image_id": 2, "coco_id": 57870, "url": "x", "width": 1, "height": 1}]
    )
    (draft,) = rows(tmp_path, "gqa", content, image_data=images)
    assert answers(draft, "vqa") == ["<img>0</img> Is it red? Answer: yes"]
    assert draft.ids == ("vg:2", "coco:57870") and draft.image == "/images/2.jpg"


def test_textvqa_and_docvqa_use_the_expected_answer(tmp_path: Path) -> None:
    text = {
        "question_id": 1,
        "question": "brand?",
        "image_id": "ab1",
        "answers": ["nokia", "nokia", "x"],
        "set_name": "train",
    }
    first, second = rows(tmp_path, "textvqa", {"data": [text, {**text, "set_name": "val"}]})
    assert answers(first, "vqa") == ["<img>0</img> brand? Answer: nokia"] and second.verdict == "not_train"
    assert first.ids == ("openimages:ab1",)
    page = {
        "questionId": 3,
        "question": "date?",
        "image": "documents/x.png",
        "answers": ["1/8/93", "1993"],
        "data_split": "train",
    }
    (draft,) = rows(tmp_path, "docvqa", {"dataset_name": "d", "data": [page]})
    assert answers(draft, "vqa") == ["<img>0</img> date? Answer: 1/8/93"] and draft.image == "/images/documents/x.png"


def test_chartqa_ocrvqa_ai2d_and_dvqa_are_read(tmp_path: Path) -> None:
    (chart,) = rows(tmp_path, "chartqa", [{"imgname": "1.png", "query": "How many?", "label": 14}])
    assert answers(chart, "vqa") == ["<img>0</img> How many? Answer: 14"]
    book = {
        "imageURL": "http://x/51.jpg",
        "questions": ["Who wrote it?", "Title?"],
        "answers": ["B. Fox", "Foxes"],
        "split": 1,
    }
    books = rows(tmp_path, "ocrvqa", {"0761183272": book, "1": {**book, "split": 3}})
    assert [d.verdict for d in books] == [None, None, "not_train", "not_train"]
    assert (
        answers(books[1], "vqa") == ["<img>0</img> Title? Answer: Foxes"] and books[0].image == "/images/0761183272.jpg"
    )
    question = {"questionId": "5-0", "correctAnswer": 1, "answerTexts": ["fox", "hare"]}
    diagram = {"imageName": "5.png", "questions": {"Which eats grass?": question}}
    (draft,) = rows(tmp_path, "ai2d", diagram)
    assert answers(draft, "vqa") == ["<img>0</img> Which eats grass? Options: fox; hare. Answer: hare"]
    bar = {"image": "bar_1.png", "question": "Value of A?", "answer": "7", "question_id": 4, "template_id": "data"}
    (draft,) = rows(tmp_path, "dvqa", [bar])
    assert answers(draft, "vqa") == ["<img>0</img> Value of A? Answer: 7"]


def test_braces_are_kept_and_markers_drop_the_row(tmp_path: Path) -> None:
    questions = [
        {"imgname": "1.png", "query": "{0} %s?", "label": "{}"},
        {"imgname": "1.png", "query": "<img>?", "label": "x"},
    ]
    first, second = rows(tmp_path, "chartqa", questions)
    assert answers(first, "vqa") == ["<img>0</img> {0} %s? Answer: {}"] and second.verdict == "markup"
