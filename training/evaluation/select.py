"""Which samples are asked: a seeded part of each set, and few-shot examples in front of the question."""

import random
from collections.abc import Sequence
from dataclasses import replace

import xxhash

from pipeline.errors import RecipeError
from training.evaluation.sample import Sample

SPARE = 8  # more candidates than shots, for those that show the question's own image


def limited(samples: Sequence[Sample], limit: int | None, seed: int) -> list[Sample]:
    """At most ``limit`` samples of each set, chosen by the hash of their ids, in their order: no shard is preferred."""
    if limit is None:
        return list(samples)
    by_set: dict[str, list[tuple[int, int]]] = {}
    for place, sample in enumerate(samples):
        rank = xxhash.xxh3_64_intdigest(sample.id.encode(), seed)
        by_set.setdefault(sample.set, []).append((rank, place))
    chosen = sorted(place for ranks in by_set.values() for _, place in sorted(ranks)[:limit])
    return [samples[place] for place in chosen]


def with_shots(samples: Sequence[Sample], examples: Sequence[Sample], shots: int, seed: int) -> list[Sample]:
    """Each sample with ``shots`` examples of its own set before it: prompt, blank, answer, as the release does.

    The examples depend on the sample's id and the seed alone, and never show the sample's own image. Raises RecipeError
    where a set has too few.
    """
    if not shots:
        return list(samples)
    pools: dict[str, list[Sample]] = {}
    for example in examples:
        pools.setdefault(example.set, []).append(example)
    return [_with_shots(sample, pools.get(sample.set, []), shots, seed) for sample in samples]


def _with_shots(sample: Sample, pool: list[Sample], shots: int, seed: int) -> Sample:
    draw = random.Random(f"{seed} {sample.id}")
    drawn = draw.sample(pool, min(len(pool), shots + SPARE))
    chosen = [example for example in drawn if not set(example.images) & set(sample.images)][:shots]
    if len(chosen) < shots:
        raise RecipeError(
            f"{sample.set}: {len(chosen)} of {shots} examples with other images; name more with --shots-data"
        )
    context = "".join(f"{example.prompt} {_answer(example)}" for example in chosen)
    images = tuple(image for example in chosen for image in example.images)
    return replace(sample, prompt=context + sample.prompt, images=images + sample.images)


def _answer(example: Sample) -> str:
    return example.answers[0]
