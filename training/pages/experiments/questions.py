"""The questions to every model: held-out samples of some tasks, with the columns that answers are grouped by."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import xxhash

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.markup.coordinates import Box
from qvl.pipeline.markup.turns import Turn
from qvl.pipeline.shards.reader import open_dataset
from qvl.pipeline.shards.sample import SampleRecord
from qvl.pipeline.shards.scan import ScannedSample, scan_dataset
from qvl.training.evaluation.metrics.words import words
from qvl.training.evaluation.samples.sample import Decoding, EvalSample
from qvl.training.evaluation.samples.shards import SETS, find_shards, read_shards
from qvl.training.heldout.documents import is_held_out, pages_of_known_documents
from qvl.training.heldout.loss import HeldOutSample
from qvl.training.pages.experiments.recipe import EDGES, Ask, Experiment
from qvl.training.recipe import Holdout

LOSS_NAME = "question {}"
"""Held-out losses are measured per task; as a task of its own each question gets its own loss."""


@dataclass(frozen=True, slots=True)
class Question:
    """The sample as it is asked, and the sample whose loss is measured. ``columns``: values by column, not yet bucketed.

    ``image``: the hashes of the images. ``thing``: these and the boxes; questions of several asks about one thing share it.
    """

    ask: str
    sample: EvalSample
    loss_sample: HeldOutSample
    columns: Mapping[str, str | float]
    image: str
    thing: str

    @property
    def language(self) -> str:
        return str(self.columns["language"])


@dataclass(frozen=True, slots=True)
class _Candidate:
    scanned: ScannedSample
    record: SampleRecord
    image: str
    thing: str

    @property
    def boxes(self) -> list[Box]:
        return [region.box for region in self.record.regions if region.box is not None]


def load_questions(experiment: Experiment, paths: Mapping[str, str], holdout: Holdout | None) -> list[Question]:
    """The questions of all asks, in their order. Without ``holdout`` all samples may be asked. Raises DataError."""
    found: list[Question] = []
    by_dataset: dict[str, list[Ask]] = defaultdict(list)
    for ask in experiment.ask:
        by_dataset[ask.dataset].append(ask)
    read = {ask.dataset: paths[ask.dataset] for ask in experiment.ask if ask.task == "ocr"}
    known = pages_of_known_documents(read, holdout) if holdout is not None else frozenset()
    for dataset, asks in by_dataset.items():
        candidates = _candidates(paths[dataset], holdout, known)
        objects = _objects(candidates)
        for ask in asks:
            found += _questions_of(ask, candidates, objects, paths[dataset])
    order = [ask.name for ask in experiment.ask]
    return sorted(found, key=lambda question: order.index(question.ask))


def _candidates(path: str, holdout: Holdout | None, known: frozenset[str]) -> list[_Candidate]:
    found = []
    for scanned in scan_dataset(open_dataset(path)):
        if scanned.key in known or (holdout is not None and not is_held_out(scanned, holdout)):
            continue
        record = scanned.record()
        image = " ".join(scanned.image_hashes(record))
        boxes = sorted(list(region.box) for region in record.regions if region.box is not None)
        found.append(_Candidate(scanned, record, image, f"{image} {boxes}"))
    return found


def _objects(candidates: Iterable[_Candidate]) -> dict[str, int]:
    """The number of different boxes of each image, over all samples that show it."""
    boxes: dict[str, set[Box]] = defaultdict(set)
    for each in candidates:
        boxes[each.image].update(each.boxes)
    return {image: len(found) for image, found in boxes.items()}


def _questions_of(ask: Ask, candidates: list[_Candidate], objects: Mapping[str, int], path: str) -> list[Question]:
    samples = read_shards(find_shards(path), [SETS[ask.task][0]])
    found = {sample.id: sample for sample in samples if sample.set == ask.task}
    chosen = _choose(ask, [each for each in candidates if each.scanned.key in found])
    return [_question(ask, each, found[each.scanned.key], objects[each.image]) for each in chosen]


def _choose(ask: Ask, candidates: list[_Candidate]) -> list[_Candidate]:
    """The first candidates by the hash of what they show, so that asks in two languages choose the same things."""
    own = [
        each for each in candidates
        if each.record.task == ask.task
        and (not ask.languages or each.record.language in ask.languages)
        and (not ask.sources or each.record.source in ask.sources)
    ]  # fmt: skip
    return sorted(own, key=lambda each: (xxhash.xxh3_64_intdigest(each.thing.encode()), each.scanned.key))[: ask.limit]


def _question(ask: Ask, candidate: _Candidate, sample: EvalSample, objects: int) -> Question:
    record, boxes = candidate.record, candidate.boxes
    columns: dict[str, str | float] = {
        "ask": ask.name, "language": ask.language or record.language, "source": record.source,
    }  # fmt: skip
    if objects:
        columns["objects"] = objects
    if boxes:
        columns["area"] = max((x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in boxes)
        columns["words"] = len(words(record.regions[0].phrase))
    longest = ask.longest or sample.decoding.max_new
    question = replace(
        sample, id=f"{sample.id}@{ask.name}", metric=ask.metric or sample.metric, prompt=reworded(sample.prompt, ask),
        decoding=Decoding(longest, min(sample.decoding.min_new, longest)),
    )  # fmt: skip
    images = tuple(candidate.scanned.image(number) for number in range(len(candidate.scanned.images)))
    loss_sample = HeldOutSample(LOSS_NAME.format(question.id), _reworded_turns(record, ask), images)
    return Question(ask.name, question, loss_sample, columns, candidate.image, candidate.thing)


def reworded(text: str, ask: Ask) -> str:
    """A user's turn with the replacements of the ask's ``prompt``."""
    for old, new in ask.prompt.items():
        text = text.replace(old, new)
    return text


def _reworded_turns(record: SampleRecord, ask: Ask) -> SampleRecord:
    turns = (Turn("user", reworded(turn.text, ask)) if turn.role == "user" else turn for turn in record.turns)
    return replace(record, turns=tuple(turns))


def bucket(column: str, value: str | float, edges: Mapping[Any, Sequence[float]]) -> str:
    """The name of a value on an axis: texts as they are, numbers by the edges that they lie between.

    With the edges 2, 3 and 4 the value 1 is in "1", 2 in "2", and 9 in "4 and more".
    """
    if isinstance(value, str):
        return value
    bounds = list(edges.get(column, EDGES[column]))
    at = sum(value >= edge for edge in bounds)
    if column == "area":
        shown = [f"{100 * edge:g}%" for edge in bounds]
        return (
            f"under {shown[0]}" if at == 0 else " to ".join(shown[at - 1 : at + 1]) + " and more" * (at == len(bounds))
        )
    if at == len(bounds):
        return f"{bounds[-1]:g} and more"
    first, last = (bounds[at - 1] if at else 1), bounds[at] - 1
    return f"{first:g}" if first == last else f"{first:g} to {last:g}"


def paths_of(experiment: Experiment, datasets: Mapping[str, str]) -> dict[str, str]:
    """The paths of the datasets of the asks: the experiment's own, or else the training recipe's. Raises RecipeError."""
    every = {**datasets, **experiment.datasets}
    for ask in experiment.ask:
        if ask.dataset not in every:
            raise RecipeError(f"ask {ask.name}: unknown dataset {ask.dataset}; choose one of {', '.join(every)}")
    return {ask.dataset: every[ask.dataset] for ask in experiment.ask}
