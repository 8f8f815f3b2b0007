"""Which samples are asked: a seeded part of each set, and few-shot examples in front of the question."""

import random
from collections.abc import Sequence
from dataclasses import replace

import xxhash

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.markup import dialects
from qvl.pipeline.markup.dialects import QWEN_VL, TAGS
from qvl.training.evaluation.samples.sample import EvalSample

SPARE = 8  # more candidates than shots, for those that show the question's own image


def limited(samples: Sequence[EvalSample], limit: int | None, seed: int) -> list[EvalSample]:
    """At most ``limit`` samples of each set, chosen by the hash of their ids, in their order: no shard is preferred."""
    if limit is None:
        return list(samples)
    by_set: dict[str, list[tuple[int, int]]] = {}
    for place, sample in enumerate(samples):
        rank = xxhash.xxh3_64_intdigest(sample.id.encode(), seed)
        by_set.setdefault(sample.set, []).append((rank, place))
    chosen = sorted(place for ranks in by_set.values() for _, place in sorted(ranks)[:limit])
    return [samples[place] for place in chosen]


def with_shots(
    samples: Sequence[EvalSample], examples: Sequence[EvalSample], shots: int, seed: int
) -> list[EvalSample]:
    """Each sample with ``shots`` examples of its own set (or else metric) before it: prompt, blank, answer, as released.

    The examples depend on the sample's id and the seed alone, and never show the sample's own image. Raises RecipeError
    where a set has too few.
    """
    if not shots:
        return list(samples)
    pools: dict[str, list[EvalSample]] = {}
    for example in examples:
        for name in {example.set, example.metric}:
            pools.setdefault(name, []).append(example)
    return [_with_shots(each, pools.get(each.set) or pools.get(each.metric, []), shots, seed) for each in samples]


def _with_shots(sample: EvalSample, pool: list[EvalSample], shots: int, seed: int) -> EvalSample:
    draw = random.Random(f"{seed} {sample.id}")
    drawn = draw.sample(pool, min(len(pool), shots + SPARE))
    chosen = [example for example in drawn if not set(example.images) & set(sample.images)][:shots]
    if len(chosen) < shots:
        raise RecipeError(
            f"{sample.set}: {len(chosen)} of {shots} examples with other images; name more with --shots-data"
        )
    context = "".join(example.prompt + _answer(example) for example in chosen)
    images = tuple(image for example in chosen for image in example.images)
    return replace(sample, prompt=context + sample.prompt, images=images + sample.images)


def _answer(example: EvalSample) -> str:
    """The answer as it follows the example's prompt; a box has no blank before it, nor has what follows Chinese."""
    if example.metric == "box":
        opening = TAGS[QWEN_VL].box[0]
        written = "".join(dialects.box(box) for box in example.boxes)
        return written.removeprefix(opening) if example.prompt.endswith(opening) else written
    return (" " if example.prompt[-1:].isascii() else "") + example.answers[0]
