"""The figures of ``qvl mix stats`` and ``qvl mix plan``, as plain data for a table, a page or JSON."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from qvl.pipeline.shards.mixture import Mixture
from qvl.pipeline.shards.reader import Dataset, Selection
from qvl.training.data.encode import Rule
from qvl.training.data.schedule import MixPart, mix_parts
from qvl.training.pages.mix.content import LENGTHS, RESOLUTIONS, Content, Kind, read_content
from qvl.training.pages.mix.paper import LANGUAGES, TABLE3, source_share, task_share
from qvl.training.pages.mix.preflight import preflight
from qvl.training.pages.mix.tokens import TokenCounting, count_tokens
from qvl.training.plan.plan import start_config, start_tokenizer
from qvl.training.recipe import StageSpec, TrainRecipe

Data = dict[str, Any]


def dataset_stats(name: str, datasets: Mapping[str, Dataset], how: TokenCounting) -> Data:
    """What lies there, every sample counted once."""
    parts = [
        MixPart(label, dataset, Selection(), max(1, dataset.samples), tuple(s.samples for s in dataset.shards))
        for label, dataset in datasets.items()
    ]
    return {
        "name": name,
        "datasets": _datasets(datasets),
        "stages": [_mixture("all samples once", parts, [1.0] * len(parts), how) | {"stage": None}],
    }


def recipe_plan(
    recipe: TrainRecipe, datasets: Mapping[str, Dataset], world: int, per_shard: int, run: Path | None
) -> Data:
    """What each stage will see, and whether it fits ``world`` ranks. ``run``: an output that has measured lengths."""
    tokenizer, positions = start_tokenizer(recipe), start_config(recipe).adapter_config.num_queries
    stages = []
    for stage in recipe.stages:
        parts = mix_parts(stage, dict(datasets))
        rule = Rule.of(stage, positions)
        check = preflight(recipe, stage, parts, tokenizer, positions, world)
        how = TokenCounting(tokenizer, rule, per_shard, None if run is None else run / "lengths", recipe.holdout)
        epochs = Mixture([part.component() for part in parts], recipe.seed, stage.window).epochs(check["drawn"])
        facts = _stage_facts(stage)
        stages.append(_mixture(stage.label, parts, epochs, how) | facts | {"preflight": check})
    return {"name": recipe.name, "datasets": _datasets(datasets), "stages": stages}


def _stage_facts(stage: StageSpec) -> Data:
    return {"stage": stage.stage, "steps": stage.steps, "train_resolution": stage.resolution, "length": stage.length}


def _datasets(datasets: Mapping[str, Dataset]) -> list[Data]:
    return [
        {"name": name, "samples": found.samples, "shards": len(found.shards), "hash": found.hash,
         "bytes": sum(shard.bytes for shard in found.shards)}
        for name, found in datasets.items()
    ]  # fmt: skip


def _mixture(name: str, parts: list[MixPart], epochs: list[float], how: TokenCounting) -> Data:
    """Figures of parts of which each is seen ``epochs`` times."""
    contents = [read_content(part) for part in parts]
    counted = [count_tokens(part, content, how) for part, content in zip(parts, contents, strict=True)]
    cells: dict[Kind, Data] = defaultdict(lambda: dict.fromkeys(("samples", "images", "bytes", "seen", "tokens"), 0))
    rows = []
    for part, content, times, (way, of) in zip(parts, contents, epochs, counted, strict=True):
        row = dict.fromkeys(("samples", "images", "bytes", "characters", "tokens"), 0.0)
        for kind, cell in content.cells.items():
            total = cells[kind]
            for field in ("samples", "images", "bytes", "characters", "tokens"):
                row[field] += getattr(cell, field)
            for field in ("samples", "images", "bytes"):
                total[field] += getattr(cell, field)
            total["seen"] += times * cell.samples
            total["tokens"] += times * cell.tokens
        seen = {"seen": times * row["samples"], "tokens_seen": times * row["tokens"], "epochs": times}
        rows.append({"part": part.label, "counted": way, "counted_of": of} | row | seen)
    _share(rows, ("seen", "share"), ("tokens_seen", "token_share"))
    table: list[Data] = [
        dict(zip(("task", "source", "language"), kind, strict=True)) | cell for kind, cell in cells.items()
    ]
    _share(table, ("seen", "share"), ("tokens", "token_share"))
    table.sort(key=lambda cell: (-cell["seen"], cell["task"], cell["source"], cell["language"]))
    return {"name": name, "parts": rows, "cells": table, "paper": _paper(table), **_histograms(contents, epochs)}


def _share(rows: Iterable[Data], *fields: tuple[str, str]) -> None:
    rows = list(rows)
    for of, share in fields:
        total = sum(row[of] for row in rows) or 1
        for row in rows:
            row[share] = row[of] / total


def _paper(cells: list[Data]) -> Data:
    """Shares of samples beside the paper's: tasks by Table 3, languages and sources of captions by Table 2."""
    shares: dict[str, dict[str, float]] = {kind: defaultdict(float) for kind in ("task", "source", "language")}
    captions = sum(cell["share"] for cell in cells if cell["task"] == "caption")
    for cell in cells:
        shares["task"][cell["task"]] += cell["share"]
        if cell["task"] == "caption" and captions:
            for kind in ("source", "language"):
                shares[kind][cell[kind]] += cell["share"] / captions
    tasks = [*TABLE3, *sorted(set(shares["task"]) - set(TABLE3))]
    sources = sorted(shares["source"].items(), key=lambda item: -item[1])
    languages = sorted({*shares["language"], *LANGUAGES})
    return {
        "tasks": [
            {"task": task, "name": TABLE3[task][0] if task in TABLE3 else None, "share": shares["task"].get(task, 0.0),
             "paper": task_share(task)}
            for task in tasks
        ],
        "sources": [
            {"source": name, "share": share, "name": found[0] if found else None, "paper": found[1] if found else None}
            for name, share in sources
            for found in [source_share(name)]
        ],
        "languages": [
            {"language": word, "share": shares["language"].get(word, 0.0), "paper": LANGUAGES.get(word)}
            for word in (languages if captions else ())
        ],
    }  # fmt: skip


def _histograms(contents: list[Content], epochs: list[float]) -> Data:
    """Images by shorter side and samples by characters, by task, as often as they are seen."""
    found: Data = {}
    for field, names in (("resolutions", RESOLUTIONS), ("lengths", LENGTHS)):
        sums: dict[str, Any] = {}
        for content, times in zip(contents, epochs, strict=True):
            for task, counts in getattr(content, field).items():
                sums[task] = sums.get(task, np.zeros(len(names))) + times * counts
        found[field] = {task: counts.tolist() for task, counts in sorted(sums.items()) if counts.any()}
    return found
