"""Question-answer sets (VQAv2, GQA, TextVQA, DocVQA, ChartQA, OCR-VQA, AI2D, DVQA), each read from its released files.

Of VQAv2's ten answers per question the most confident one is used (paper, appendix A). An input row is a question.
"""

import posixpath
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import zip_longest
from typing import Any, Literal, NamedTuple

from qvl.grounding_builder.drafts.drafts import NOT_TRAIN, Annotations, Draft, Piece, Task
from qvl.grounding_builder.drafts.readable import text_of
from qvl.grounding_builder.sources.fields import drafts_or_bad, identity, image_path, printable
from qvl.grounding_builder.sources.json_slices import slices
from qvl.grounding_builder.sources.records import Record
from qvl.grounding_builder.sources.refcoco import coco_ids
from qvl.grounding_builder.sources.visual_genome import elements, fill_vqa, image_data, vg_ids
from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.commit.fingerprint import file_identity
from qvl.pipeline.sources.delimited import BOM
from qvl.pipeline.sources.json_tables import parse_json
from qvl.pipeline.sources.paths import find_units
from qvl.pipeline.storage.reader import Storage

Set = Literal["vqav2", "gqa", "textvqa", "docvqa", "chartqa", "ocrvqa", "ai2d", "dvqa"]
QUESTIONS_PER_PIECE = 10_000
CONFIDENCE = {"yes": 2, "maybe": 1, "no": 0}
ARRAY_KEYS: dict[str, str] = {"vqav2": "questions", "textvqa": "data", "docvqa": "data"}
OCRVQA_TRAIN = 1


class Question(NamedTuple):
    """``image`` is a file name below the image folder; ``split`` is empty if the file does not say."""

    key: str
    image: str
    question: str
    answer: str
    split: str = ""
    ids: tuple[str, ...] = ()


class Vqa(Annotations):
    """One question-answer set.

    ``questions``: its question file (for AI2D, a glob of files). ``answers``: the annotation file of VQAv2. ``image_data``:
    Visual Genome's image_data.json, through which GQA's images are recognised on the exclusion list.
    """

    kind: Literal["vqa"] = "vqa"
    set: Set
    questions: str
    answers: str | None = None
    image_folder: str
    image_data: str | None = None
    split: str = "train"
    tasks: tuple[Task, ...] = ("vqa",)

    def pieces(self, storage: Storage) -> list[Piece]:
        if self.set == "vqav2" and (self.answers is None or not storage.exists(self.answers)):
            raise RecipeError(
                f"{self.name}: {self.answers or 'answers'}: VQAv2 needs its annotation file in addition to the questions"
            )
        others = {
            name: file_identity(storage, path) for name, path in (("a", self.answers), ("i", self.image_data)) if path
        }
        found: list[Piece] = []
        for unit in find_units((self.questions,), storage):
            if self.set == "ai2d":
                found.append(Piece(unit.path, 0, {"file": file_identity(storage, unit.path)}))
                continue
            with storage.mapped(unit.path) as data:
                for number, part in enumerate(slices(data, QUESTIONS_PER_PIECE, ARRAY_KEYS.get(self.set))):
                    found.append(Piece(unit.path, number, {"digest": part.digest, **others}, part))
        return found

    def drafts(self, piece: Piece, storage: Storage) -> Iterator[Draft]:
        if self.set == "ai2d":
            content: Any = parse_json(bytes(storage.read(piece.path)).removeprefix(BOM))
            image = content["imageName"]
            records: Iterable[tuple[Any, Any]] = [
                (question, (image, row)) for question, row in content["questions"].items()
            ]
        else:
            content = elements(piece.payload, piece.path, storage)
            if self.set == "vqav2":
                content = _joined(content, str(self.answers), storage)
            records = content.items() if isinstance(content, dict) else enumerate(content)
        images = image_data(self.image_data) if self.set == "gqa" and self.image_data is not None else {}
        for key, record in records:
            yield from drafts_or_bad(key, 0, self._rows, key, record, images)

    def _rows(self, key: Any, record: Record, images: dict[str, Record]) -> list[Draft]:
        """The rows of a record. Raises if one of its questions cannot be read."""
        return [self._row(question, images) for question in READERS[self.set](key, record)]

    def _row(self, question: Question, images: dict[str, Record]) -> Draft:
        ids = question.ids + coco_ids(question.image)
        record = images.get(posixpath.splitext(question.image)[0])
        ids += vg_ids(record) if record else ()
        draft = Draft(printable(question.key), None, image_path(self.image_folder, question.image), ids)
        if question.split not in ("", self.split):
            return draft.drop(NOT_TRAIN)
        fill_vqa(self, draft, text_of(question.question), text_of(question.answer))
        return draft


def most_confident(answers: list[Record]) -> str:
    """The most frequent of the answers with the highest confidence; ties go to the first."""
    best = max((CONFIDENCE.get(a.get("answer_confidence", "no"), 0) for a in answers), default=0)
    sure = [a for a in answers if CONFIDENCE.get(a.get("answer_confidence", "no"), 0) == best]
    sure.sort(key=lambda a: a.get("answer_id", 0))
    return most_frequent([a["answer"] for a in sure])


def most_frequent(answers: list[str]) -> str:
    """The most frequent answer; ties go to the first."""
    return Counter(answers).most_common(1)[0][0] if answers else ""


def _joined(questions: list[Any], path: str, storage: Storage) -> Iterator[Any]:
    """VQAv2's questions joined with their annotations, which are read in slices of the same size."""
    wanted = {_question_id(question) for question in questions} - {None}
    found: dict[str | None, Record] = {}
    with storage.mapped(path) as data:
        for part in slices(data, QUESTIONS_PER_PIECE, "annotations"):
            found |= {_question_id(a): a for a in part.parse(data) if _question_id(a) in wanted}
            if len(found) == len(wanted):
                break
    for question in questions:
        yield {**found.get(_question_id(question), {}), **question} if isinstance(question, dict) else question


def _question_id(record: Any) -> str | None:
    return identity(record.get("question_id")) if isinstance(record, dict) else None


def _vqav2(_key: Any, row: Record) -> Iterator[Question]:
    image = f"COCO_train2014_{row['image_id']:012d}.jpg"
    yield Question(str(row["question_id"]), image, row["question"], most_confident(row.get("answers", [])))


def _gqa(key: Any, row: Record) -> Iterator[Question]:
    yield Question(key, f"{row['imageId']}.jpg", row["question"], row.get("answer", ""))


def _textvqa(_key: Any, row: Record) -> Iterator[Question]:
    image, answer = row["image_id"], most_frequent(row.get("answers", []))
    ids = (f"openimages:{image}",)
    yield Question(str(row["question_id"]), f"{image}.jpg", row["question"], answer, row.get("set_name", ""), ids)


def _docvqa(_key: Any, row: Record) -> Iterator[Question]:
    answer = (row.get("answers") or [""])[0]
    yield Question(str(row["questionId"]), row["image"], row["question"], answer, row.get("data_split", ""))


def _chartqa(number: Any, row: Record) -> Iterator[Question]:
    yield Question(f"{row['imgname']}-{number}", row["imgname"], row["query"], str(row["label"]))


def _ocrvqa(key: Any, row: Record) -> Iterator[Question]:
    image = key + posixpath.splitext(row["imageURL"])[1]
    split = "train" if row["split"] == OCRVQA_TRAIN else "evaluation"
    for number, (question, answer) in enumerate(zip_longest(row["questions"], row["answers"])):
        yield Question(f"{key}-{number}", image, question, answer, split)


def _ai2d(question: Any, content: tuple[str, Record]) -> Iterator[Question]:
    """The choices become part of the question; the answer is the text of the correct choice."""
    image, row = content
    texts = [str(text) for text in row["answerTexts"]]
    with_options = f"{question} Options: {'; '.join(texts)}."
    yield Question(row["questionId"], image, with_options, texts[row["correctAnswer"]])


def _dvqa(_key: Any, row: Record) -> Iterator[Question]:
    yield Question(str(row["question_id"]), row["image"], row["question"], str(row["answer"]))


READERS: dict[Set, Callable[[Any, Any], Iterator[Question]]] = {
    "vqav2": _vqav2, "gqa": _gqa, "textvqa": _textvqa, "docvqa": _docvqa, "chartqa": _chartqa, "ocrvqa": _ocrvqa,
    "ai2d": _ai2d, "dvqa": _dvqa,
}  # fmt: skip
