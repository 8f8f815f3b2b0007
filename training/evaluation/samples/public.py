"""Samples from the public evaluation files, each in the format in which it is published.

`refcoco`, `vqa_jsonl` and `choice` are the jsonl of the released evaluation (eval_mm); `coco_caption` is Flickr30k and
Nocaps in COCO's format; the others are the sets' own annotation files.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qvl.pipeline.base.errors import DataError, RecipeError
from qvl.training.evaluation.samples import prompts
from qvl.training.evaluation.samples.prompts import Style
from qvl.training.evaluation.samples.sample import EvalSample, ImageLocation, Metric

Records = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class PublicSet:
    """The files of a public set, the folder of its images, and how it is asked.

    ``metric`` and ``longest`` (tokens of an answer) replace those of the format.
    """

    paths: tuple[Path, ...]
    images: Path
    style: Style = "released"
    metric: Metric | None = None
    longest: int | None = None

    @property
    def name(self) -> str:
        return self.paths[0].stem

    def sample(
        self, id: Any, metric: Metric, prompt: str, image: str, answers: Sequence[str], **more: Any
    ) -> EvalSample:
        """A sample with one image, decoded to the lengths of its metric."""
        used = self.metric or metric
        decoding = prompts.decoding(used, self.style, self.longest)
        images = (ImageLocation(str(self.images / image)),)
        return EvalSample(str(id), self.name, self.name, used, prompt, images, tuple(answers), decoding, **more)


def read_public(public: PublicSet, kind: str = "auto") -> list[EvalSample]:
    """All samples of a set. ``kind`` is a name of FORMATS or ``auto``. Raises RecipeError, DataError."""
    content = [_load(path) for path in public.paths]
    name = detect(content) if kind == "auto" else kind
    if name not in FORMATS:
        raise RecipeError(f"{public.paths[0]}: unknown format {kind}; choose one of {', '.join(FORMATS)}")
    try:
        samples = list(FORMATS[name](public, content))
    except (KeyError, TypeError, IndexError) as error:
        raise DataError(f"{public.paths[0]} is not in the {name} format ({type(error).__name__}: {error})") from None
    unanswered = [sample.id for sample in samples if not sample.answers]
    if not samples:
        raise DataError(f"{public.paths[0]} contains no questions")
    if unanswered:
        raise DataError(
            f"{public.paths[0]}: {len(unanswered)} questions have no answer; a test split cannot be scored here"
        )
    return samples


def detect(content: list[Any]) -> str:
    """The format of loaded files, by their keys. Raises RecipeError if they have no known format."""
    for record in content:
        keys = set(record) if isinstance(record, dict) else set(record[0]) if record else set()
        if "questions" in keys or {"annotations", "data_subtype"} <= keys:
            return "vqav2"
        if {"images", "annotations"} <= keys:
            return "coco_caption"
        if "data" in keys:
            return "docvqa" if "questionId" in record["data"][0] else "textvqa"
        if {"imgname", "query", "label"} <= keys:
            return "chartqa"
        if {"sent", "bbox"} <= keys:
            return "refcoco"
        if "choices" in keys:
            return "choice"
        if {"image", "question"} <= keys:
            return "vqa_jsonl"
        if isinstance(record, dict) and record and "imageId" in next(iter(record.values())):
            return "gqa"
    raise RecipeError(f"the format of the data is not one of {', '.join(FORMATS)}; name it with --format")


def _load(path: Path) -> Any:
    try:
        text = path.read_text("utf-8")
        if path.suffix == ".jsonl":
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        return json.loads(text)
    except FileNotFoundError:
        raise RecipeError(f"{path} does not exist") from None
    except ValueError as error:
        raise DataError(f"{path} is not JSON ({error})") from None


def _texts(answer: Any) -> tuple[str, ...]:
    """The answers of one text, a list of texts, VQAv2's list of records, or None."""
    if answer is None:
        return ()
    answers = answer if isinstance(answer, list) else [answer]
    return tuple(str(each["answer"]) if isinstance(each, dict) else str(each) for each in answers)


def _refcoco(public: PublicSet, content: list[Any]) -> Iterator[EvalSample]:
    """image, sent, bbox (x1, y1, x2, y2 in pixels), height, width."""
    for number, row in enumerate(_rows(content)):
        (x1, y1, x2, y2), width, height = row["bbox"], row["width"], row["height"]
        box = (x1 / width, y1 / height, x2 / width, y2 / height)
        prompt = prompts.referring(row["sent"], public.style)
        yield public.sample(number, "box", prompt, row["image"], [row["sent"]], boxes=(box,))


def _vqa_jsonl(public: PublicSet, content: list[Any]) -> Iterator[EvalSample]:
    """image, question, question_id, answer (a text or a list)."""
    for number, row in enumerate(_rows(content)):
        prompt = prompts.question(row["question"], public.style)
        yield public.sample(
            row.get("question_id", number), "vqa_score", prompt, row["image"], _texts(row.get("answer"))
        )


def _choice(public: PublicSet, content: list[Any]) -> Iterator[EvalSample]:
    """image, question, choices, hint, answer (index of the right one)."""
    for number, row in enumerate(_rows(content)):
        letters = prompts.LETTERS[: len(row["choices"])]
        prompt = prompts.choice(row["question"], row["choices"], row.get("hint") or "")
        right = [letters[row["answer"]]] if row.get("answer") is not None else []
        yield public.sample(number, "choice", prompt, row["image"], right, options=tuple(letters))


def _vqav2(public: PublicSet, content: list[Any]) -> Iterator[EvalSample]:
    """A file of questions and a file of annotations, in any order. OK-VQA and VizWiz come in this format too."""
    answers = {row["question_id"]: _texts(row["answers"]) for part in content for row in part.get("annotations", ())}
    for part in content:
        for row in part.get("questions", ()):
            image = str(row["image_id"])
            if image.isdigit():
                image = f"COCO_{part['data_subtype']}_{int(image):012d}.jpg"
            prompt = prompts.question(row["question"], public.style)
            yield public.sample(row["question_id"], "vqa_score", prompt, image, answers.get(row["question_id"], ()))


def _textvqa(public: PublicSet, content: list[Any]) -> Iterator[EvalSample]:
    for row in (row for part in content for row in part["data"]):
        prompt = prompts.question(row["question"], public.style)
        answers = _texts(row.get("answers"))
        yield public.sample(row["question_id"], "vqa_score", prompt, f"{row['image_id']}.jpg", answers)


def _docvqa(public: PublicSet, content: list[Any]) -> Iterator[EvalSample]:
    for row in (row for part in content for row in part["data"]):
        prompt = prompts.question(row["question"], public.style)
        yield public.sample(row["questionId"], "anls", prompt, row["image"], _texts(row.get("answers")))


def _chartqa(public: PublicSet, content: list[Any]) -> Iterator[EvalSample]:
    for number, row in enumerate(_rows(content)):
        prompt = prompts.question(row["query"], public.style)
        yield public.sample(number, "relaxed", prompt, row["imgname"], _texts(row["label"]))


def _gqa(public: PublicSet, content: list[Any]) -> Iterator[EvalSample]:
    for number, row in ((key, row) for part in content for key, row in part.items()):
        prompt = prompts.question(row["question"], public.style)
        yield public.sample(number, "gqa", prompt, f"{row['imageId']}.jpg", _texts(row.get("answer")))


def _coco_caption(public: PublicSet, content: list[Any]) -> Iterator[EvalSample]:
    """images (id and file_name, or image) and annotations (image_id, caption). All captions of an image are references."""
    for part in content:
        captions: dict[Any, list[str]] = defaultdict(list)
        for row in part["annotations"]:
            captions[row["image_id"]].append(row["caption"])
        for row in part["images"]:
            image = row.get("file_name") or row["image"]
            yield public.sample(row["id"], "cider", prompts.caption(public.style), image, captions[row["id"]])


def _rows(content: list[Any]) -> Records:
    return [row for part in content for row in part]


FORMATS: dict[str, Callable[[PublicSet, list[Any]], Iterator[EvalSample]]] = {
    "refcoco": _refcoco,
    "vqa_jsonl": _vqa_jsonl,
    "choice": _choice,
    "vqav2": _vqav2,
    "textvqa": _textvqa,
    "docvqa": _docvqa,
    "chartqa": _chartqa,
    "gqa": _gqa,
    "coco_caption": _coco_caption,
}
