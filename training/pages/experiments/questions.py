"""What every model is asked: held-out samples of some tasks, with the columns that answers are grouped by."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import xxhash

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.markup.coordinates import Box
from qvl.pipeline.shards.reader import open_dataset
from qvl.pipeline.shards.scan import Scanned, scan_dataset
from qvl.training.evaluation.metrics.words import words
from qvl.training.evaluation.samples.sample import Decoding, EvalSample
from qvl.training.evaluation.samples.shards import SETS, find_shards, read_shards
from qvl.training.heldout.documents import is_held_out, pages_of_known_documents
from qvl.training.heldout.loss import HeldOut
from qvl.training.pages.experiments.recipe import EDGES, Ask, Experiment
from qvl.training.recipe import Holdout

LOSS_NAME = "question {}"
"""Held-out losses go by task; a question that is a task of its own gets a loss of its own."""


@dataclass(frozen=True)
class Question:
    """A sample as it is asked and as its loss is measured. ``columns``: numbers as they are, buckets come later.

    ``image``: hash of its pictures. ``thing``: those and the place; questions of several asks about one thing share it.
    """

    ask: str
    sample: EvalSample
    told: HeldOut
    columns: Mapping[str, str | float]
    image: str
    thing: str


@dataclass(frozen=True)
class _Candidate:
    scanned: Scanned
    content: dict[str, Any]
    image: str
    thing: str


def questions(experiment: Experiment, paths: Mapping[str, str], holdout: Holdout | None) -> list[Question]:
    """The questions of all asks, in their order. Raises DataError. Without ``holdout`` all samples may be asked."""
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
            found += _asked(ask, candidates, objects, paths[dataset])
    order = [ask.name for ask in experiment.ask]
    return sorted(found, key=lambda question: order.index(question.ask))


def _candidates(path: str, holdout: Holdout | None, known: frozenset[str]) -> list[_Candidate]:
    found = []
    for scanned in scan_dataset(open_dataset(path)):
        if scanned.key in known or (holdout is not None and not is_held_out(scanned, holdout)):
            continue
        content = scanned.content()
        image = " ".join(scanned.image_hashes(content))
        places = sorted(region["box"] for region in content.get("regions", ()) if "box" in region)
        found.append(_Candidate(scanned, content, image, f"{image} {places}"))
    return found


def _objects(candidates: Iterable[_Candidate]) -> dict[str, int]:
    """Different boxes of each image over all samples that show it."""
    boxes: dict[str, set[tuple[float, ...]]] = defaultdict(set)
    for each in candidates:
        boxes[each.image].update(tuple(region["box"]) for region in each.content.get("regions", ()) if "box" in region)
    return {image: len(found) for image, found in boxes.items()}


def _asked(ask: Ask, candidates: list[_Candidate], objects: Mapping[str, int], path: str) -> list[Question]:
    samples = read_shards(find_shards(path), [SETS[ask.task][0]])
    found = {sample.id: sample for sample in samples if sample.set == ask.task}
    chosen = _chosen(ask, [each for each in candidates if each.scanned.key in found])
    return [_question(ask, each, found[each.scanned.key], objects[each.image]) for each in chosen]


def _chosen(ask: Ask, candidates: list[_Candidate]) -> list[_Candidate]:
    """The first by the hash of what they show: asks in two languages take the same things."""
    own = [
        each for each in candidates
        if each.content["task"] == ask.task
        and (not ask.languages or each.content["language"] in ask.languages)
        and (not ask.sources or each.content["source"] in ask.sources)
    ]  # fmt: skip
    return sorted(own, key=lambda each: (xxhash.xxh3_64_intdigest(each.thing.encode()), each.scanned.key))[: ask.limit]


def _question(ask: Ask, candidate: _Candidate, sample: EvalSample, objects: int) -> Question:
    content = candidate.content
    boxes: Sequence[Box] = [tuple(region["box"]) for region in content.get("regions", ()) if "box" in region]
    columns: dict[str, str | float] = {
        "ask": ask.name, "language": ask.language or content["language"], "source": content["source"],
    }  # fmt: skip
    if objects:
        columns["objects"] = objects
    if boxes:
        columns["area"] = max((x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in boxes)
        columns["words"] = len(words(content["regions"][0]["phrase"]))
    longest = ask.longest or sample.decoding.max_new
    asked = replace(
        sample, id=f"{sample.id}@{ask.name}", metric=ask.metric or sample.metric, prompt=reworded(sample.prompt, ask),
        decoding=Decoding(longest, min(sample.decoding.min_new, longest)),
    )  # fmt: skip
    images = tuple(candidate.scanned.image(number) for number in range(len(candidate.scanned.images)))
    told = HeldOut(LOSS_NAME.format(asked.id), _reworded_turns(content, ask), images)
    return Question(ask.name, asked, told, columns, candidate.image, candidate.thing)


def reworded(text: str, ask: Ask) -> str:
    """The user's turn with the ask's own words."""
    for old, new in ask.prompt.items():
        text = text.replace(old, new)
    return text


def _reworded_turns(content: dict[str, Any], ask: Ask) -> dict[str, Any]:
    turns = [turn | {"text": reworded(turn["text"], ask)} if turn["role"] == "user" else turn
             for turn in content["turns"]]  # fmt: skip
    return content | {"turns": turns}


def bucket(column: str, value: str | float, edges: Mapping[Any, Sequence[float]]) -> str:
    """How a value of a column is called on an axis: words as they are, numbers by the edges they lie between."""
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
    """Where the asked datasets lie: the experiment's own, else those of the training recipe. Raises RecipeError."""
    every = {**datasets, **experiment.datasets}
    for ask in experiment.ask:
        if ask.dataset not in every:
            raise RecipeError(f"ask {ask.name}: no dataset is called {ask.dataset}; there are {', '.join(every)}")
    return {ask.dataset: every[ask.dataset] for ask in experiment.ask}
