"""A seeded subset of each set, and few-shot examples in front of each question."""

import random
from collections.abc import Sequence
from dataclasses import replace

import xxhash

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.markup import dialects
from qvl.pipeline.markup.dialects import QWEN_VL, TAGS
from qvl.training.evaluation.samples.sample import EvalSample

SPARE = 8  # extra candidates, because those that show the question's own image are skipped


def limited(samples: Sequence[EvalSample], limit: int | None, seed: int) -> list[EvalSample]:
    """At most ``limit`` samples of each set, in their order. They are chosen by the hash of their ids, from all shards."""
    if limit is None:
        return list(samples)
    ranks_by_set: dict[str, list[tuple[int, int]]] = {}
    for index, sample in enumerate(samples):
        rank = xxhash.xxh3_64_intdigest(sample.id.encode(), seed)
        ranks_by_set.setdefault(sample.set, []).append((rank, index))
    chosen = sorted(index for ranks in ranks_by_set.values() for _, index in sorted(ranks)[:limit])
    return [samples[index] for index in chosen]


def with_shots(
    samples: Sequence[EvalSample], examples: Sequence[EvalSample], shots: int, seed: int
) -> list[EvalSample]:
    """Each sample after ``shots`` examples of its own set, or else of its metric: prompt, blank and answer, as released.

    The examples depend only on the sample's id and the seed, and never show the sample's own image. Raises RecipeError if a
    set has too few examples.
    """
    if not shots:
        return list(samples)
    pools: dict[str, list[EvalSample]] = {}
    for example in examples:
        for name in {example.set, example.metric}:
            pools.setdefault(name, []).append(example)
    return [_with_shots(each, pools.get(each.set) or pools.get(each.metric, []), shots, seed) for each in samples]


def _with_shots(sample: EvalSample, pool: list[EvalSample], shots: int, seed: int) -> EvalSample:
    generator = random.Random(f"{seed} {sample.id}")
    candidates = generator.sample(pool, min(len(pool), shots + SPARE))
    chosen = [example for example in candidates if not set(example.images) & set(sample.images)][:shots]
    if len(chosen) < shots:
        raise RecipeError(
            f"{sample.set}: only {len(chosen)} of {shots} examples show other images; name more data with --shots-data"
        )
    context = "".join(example.prompt + _answer(example) for example in chosen)
    images = tuple(image for example in chosen for image in example.images)
    return replace(sample, prompt=context + sample.prompt, images=images + sample.images)


def _answer(example: EvalSample) -> str:
    """The answer as it follows the example's prompt. No space precedes it before a box or after Chinese text."""
    if example.metric == "box":
        opening = TAGS[QWEN_VL].box[0]
        written = "".join(dialects.box(box) for box in example.boxes)
        return written.removeprefix(opening) if example.prompt.endswith(opening) else written
    return (" " if example.prompt[-1:].isascii() else "") + example.answers[0]
