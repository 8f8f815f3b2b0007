"""Compute the figures of ``qvl mix stats`` and ``qvl mix plan``."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from qvl.pipeline.shards.mixture import Mixture
from qvl.pipeline.shards.reader import Dataset, Selection
from qvl.training.data.encode import Rule
from qvl.training.data.parts import MixPart, mix_parts
from qvl.training.pages.mix.content import LENGTHS, RESOLUTIONS, Content, Floats, Ints, Kind, read_content
from qvl.training.pages.mix.figures import (
    CellFigures,
    DatasetFigures,
    LanguageShare,
    MixFigures,
    PaperComparison,
    PartFigures,
    SourceShare,
    StageMix,
    TaskShare,
    TokenSource,
)
from qvl.training.pages.mix.paper import LANGUAGES, TABLE3, source_share, task_share
from qvl.training.pages.mix.preflight import preflight
from qvl.training.pages.mix.tokens import TokenCounting, count_tokens
from qvl.training.plan.start import start_config, start_tokenizer
from qvl.training.recipe import TrainRecipe


def dataset_stats(name: str, datasets: Mapping[str, Dataset], counting: TokenCounting) -> MixFigures:
    """What the datasets hold, with every sample counted once."""
    parts = [
        MixPart(label, dataset, Selection(), max(1, dataset.samples), tuple(s.samples for s in dataset.shards))
        for label, dataset in datasets.items()
    ]
    once = [1.0] * len(parts)
    return MixFigures(name, _datasets(datasets), [_stage_mix("all samples once", parts, once, counting)])


def recipe_plan(
    recipe: TrainRecipe, datasets: Mapping[str, Dataset], world: int, per_shard: int, run: Path | None
) -> MixFigures:
    """What each stage will see, and whether it fits ``world`` ranks.

    ``run``: the output of a training run that has measured lengths, or None.
    """
    tokenizer, positions = start_tokenizer(recipe), start_config(recipe).adapter_config.num_queries
    stages = []
    for stage in recipe.stages:
        parts = mix_parts(stage, dict(datasets))
        rule = Rule.of(stage, positions)
        check = preflight(recipe, stage, parts, tokenizer, positions, world)
        counting = TokenCounting(tokenizer, rule, per_shard, None if run is None else run / "lengths", recipe.holdout)
        epochs = Mixture([part.component() for part in parts], recipe.seed, stage.window).epochs(check.drawn)
        mix = _stage_mix(stage.label, parts, epochs, counting)
        stages.append(
            replace(
                mix, stage=stage.stage, steps=stage.steps, train_resolution=stage.resolution, length=stage.length,
                preflight=check,
            )
        )  # fmt: skip
    return MixFigures(recipe.name, _datasets(datasets), stages)


def _datasets(datasets: Mapping[str, Dataset]) -> list[DatasetFigures]:
    return [
        DatasetFigures(name, found.samples, len(found.shards), found.hash, sum(shard.bytes for shard in found.shards))
        for name, found in datasets.items()
    ]


def _stage_mix(name: str, parts: list[MixPart], epochs: list[float], counting: TokenCounting) -> StageMix:
    """The figures of parts that are each seen ``epochs`` times."""
    contents = [read_content(part) for part in parts]
    counts = [count_tokens(part, content, counting) for part, content in zip(parts, contents, strict=True)]
    rows = [_part(*row) for row in zip(parts, contents, epochs, counts, strict=True)]
    shares = zip(rows, _shares(row.seen for row in rows), _shares(row.tokens_seen for row in rows), strict=True)
    cells = _cells(contents, epochs)
    return StageMix(
        name=name,
        parts=[replace(row, share=share, token_share=token_share) for row, share, token_share in shares],
        cells=cells,
        paper=_paper(cells),
        resolutions=_histogram(RESOLUTIONS, [content.resolutions for content in contents], epochs),
        lengths=_histogram(LENGTHS, [content.lengths for content in contents], epochs),
    )


def _part(part: MixPart, content: Content, epochs: float, counted: tuple[TokenSource, int]) -> PartFigures:
    """The figures of one part, its shares still 0."""
    cells = list(content.cells.values())
    samples, tokens = float(content.samples), 0.0
    for cell in cells:  # sum() would round differently
        tokens += cell.tokens
    return PartFigures(
        part=part.label,
        counted=counted[0],
        counted_of=counted[1],
        samples=samples,
        images=float(sum(cell.images for cell in cells)),
        bytes=float(sum(cell.bytes for cell in cells)),
        characters=float(sum(cell.characters for cell in cells)),
        tokens=tokens,
        seen=epochs * samples,
        tokens_seen=epochs * tokens,
        epochs=epochs,
        share=0.0,
        token_share=0.0,
    )


def _cells(contents: list[Content], epochs: list[float]) -> list[CellFigures]:
    """All parts together by task, source and language, the most seen first."""
    found: dict[Kind, CellFigures] = {}
    for content, times in zip(contents, epochs, strict=True):
        for kind, cell in content.cells.items():
            before = found.get(kind) or CellFigures(*kind, 0, 0, 0, 0, 0, 0, 0)
            found[kind] = replace(
                before,
                samples=before.samples + cell.samples,
                images=before.images + cell.images,
                bytes=before.bytes + cell.bytes,
                seen=before.seen + times * cell.samples,
                tokens=before.tokens + times * cell.tokens,
            )
    cells = list(found.values())
    shares = zip(cells, _shares(cell.seen for cell in cells), _shares(cell.tokens for cell in cells), strict=True)
    table = [replace(cell, share=share, token_share=token_share) for cell, share, token_share in shares]
    return sorted(table, key=lambda cell: (-cell.seen, cell.task, cell.source, cell.language))


def _shares(values: Iterable[float]) -> list[float]:
    """Each value as a share of their sum; 0 where the sum is 0."""
    values = list(values)
    total = sum(values) or 1
    return [value / total for value in values]


def _paper(cells: list[CellFigures]) -> PaperComparison:
    """Shares of samples next to the paper's: tasks by Table 3, sources and languages of captions by Table 2."""
    tasks: dict[str, float] = defaultdict(float)
    sources: dict[str, float] = defaultdict(float)
    languages: dict[str, float] = defaultdict(float)
    captions = sum(cell.share for cell in cells if cell.task == "caption")
    for cell in cells:
        tasks[cell.task] += cell.share
        if cell.task == "caption" and captions:
            sources[cell.source] += cell.share / captions
            languages[cell.language] += cell.share / captions
    names = [*TABLE3, *sorted(set(tasks) - set(TABLE3))]
    return PaperComparison(
        tasks=[
            TaskShare(task, TABLE3[task][0] if task in TABLE3 else None, tasks.get(task, 0.0), task_share(task))
            for task in names
        ],
        sources=[
            SourceShare(source, share, *(source_share(source) or (None, None)))
            for source, share in sorted(sources.items(), key=lambda item: -item[1])
        ],
        languages=[
            LanguageShare(language, languages.get(language, 0.0), LANGUAGES.get(language))
            for language in (sorted({*languages, *LANGUAGES}) if captions else ())
        ],
    )


def _histogram(buckets: tuple[str, ...], counts: list[dict[str, Ints]], epochs: list[float]) -> dict[str, list[float]]:
    """Counts of all parts by task and bucket, each part as often as it is seen; tasks without any are left out."""
    sums: dict[str, Floats] = {}
    for by_task, times in zip(counts, epochs, strict=True):
        for task, count in by_task.items():
            sums[task] = sums.get(task, np.zeros(len(buckets))) + times * count
    return {task: count.tolist() for task, count in sorted(sums.items()) if count.any()}
