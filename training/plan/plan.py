"""``qvl train plan``: what a recipe will take before anything starts. Every shard is looked for; nothing is written."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from qvl.model.network.config import QwenVLConfig
from qvl.model.network.errors import ModelError
from qvl.model.network.presets import PRESETS, preset
from qvl.pipeline.base.errors import DataError, RecipeError
from qvl.pipeline.shards.mixture import Component, Mixture
from qvl.pipeline.shards.reader import Dataset
from qvl.training.data.datasets import used_datasets
from qvl.training.data.schedule import mix_parts
from qvl.training.plan.cost import Shape, shape_of, trained_parameters, training_flops
from qvl.training.plan.machine import Gpu, Work, gpu
from qvl.training.plan.memory import Memory, stage_memory
from qvl.training.plan.stream_estimate import Drawn, Stream, assumed, draw, stream
from qvl.training.recipe import StageSpec, TrainRecipe

ENCODED = 1024
"""Samples of each stage that are encoded."""
SCALES = (8, 64, 256, 1024)


@dataclass(frozen=True)
class Terms:
    """Where it would run. ``mfu``: share of the peak that a step reaches, recomputation counted; ``price`` per GPU-hour."""

    gpus: int = 8
    gpu: str = "h100"
    mfu: float = 0.4
    price: float = 3.0


def make_plan(recipe: TrainRecipe, terms: Terms, text: int | None = None, samples: int = ENCODED) -> dict[str, Any]:
    """The plan as data. ``text``: no shard is read, every sample has one image and so many tokens.

    Raises DataError that names every dataset, shard and index that is not there.
    """
    from qvl.model.text.tokenizer import fit_vocabulary

    kind, config = gpu(terms.gpu), start_config(recipe)
    datasets = {} if text is not None else _opened(recipe)
    tokenizer = None if text is not None else start_tokenizer(recipe)
    if tokenizer is not None and recipe.start in PRESETS:
        fit_vocabulary(config, tokenizer)
    shape, queries = shape_of(config), config.adapter_config.num_queries
    stages = []
    for stage in recipe.stages:
        if text is not None:
            drawn, components = assumed(stage, text, queries), _weighed(stage)
        else:
            parts = mix_parts(stage, datasets)
            components = [part.component() for part in parts]
            drawn = draw(stage, parts, recipe.seed, samples, tokenizer, queries)
        stages.append(_stage(recipe, stage, shape, terms, kind, drawn, components))
    return {
        "name": recipe.name,
        "model": {
            "vision": shape.vision,
            "adapter": shape.adapter,
            "language": shape.language,
            "all": shape.parameters,
        },
        "terms": asdict(terms) | {"peak_tflops": kind.bfloat16 / 1e12, "gpu_memory_gb": kind.memory / 1e9},
        "start": recipe.start if _has_start(recipe) else None,
        "data": "assumed" if text is not None else "encoded" if tokenizer is not None else "estimated",
        "text_tokens": text,
        "stages": stages,
        "total": {
            name: sum(stage[name] for stage in stages) for name in ("samples", "exaflop", "gpu_hours", "days", "cost")
        },
    }


def _opened(recipe: TrainRecipe) -> dict[str, Dataset]:
    if not _has_start(recipe):
        raise DataError(f"start: {recipe.start} is neither a model folder nor one of {', '.join(PRESETS)}")
    return used_datasets(recipe)


def _has_start(recipe: TrainRecipe) -> bool:
    return recipe.start in PRESETS or (Path(recipe.start) / "config.json").is_file()


def start_config(recipe: TrainRecipe) -> QwenVLConfig:
    """Of the model that the run starts from; where it is still to be made, of the full one."""
    from qvl.model.weights.folder import read_config

    if recipe.start in PRESETS or not _has_start(recipe):
        return preset(recipe.start if recipe.start in PRESETS else "qwen-vl")
    try:
        return read_config(Path(recipe.start))
    except ModelError as error:
        raise RecipeError(f"start: {error}") from None


def start_tokenizer(recipe: TrainRecipe) -> Any:
    """The tokenizer of the recipe or of its start; None where there is none yet (lengths are then estimated)."""
    from qvl.model.text.tokenizer import build_tokenizer

    if recipe.tokenizer is not None:
        if not recipe.tokenizer.is_file():
            raise RecipeError(f"tokenizer: {recipe.tokenizer} is not there")
        return build_tokenizer(recipe.tokenizer)
    if recipe.start in PRESETS:
        return None
    from qvl.model.weights.auto import load_processor

    try:
        return load_processor(Path(recipe.start)).tokenizer
    except ModelError:
        return None


def _weighed(stage: StageSpec) -> list[Component]:
    """The mix as if each weight were its number of samples."""
    return [Component(part.label, ((part.label, max(1, round(part.weight))),), part.weight) for part in stage.mix]


def _stage(
    recipe: TrainRecipe,
    stage: StageSpec,
    shape: Shape,
    terms: Terms,
    kind: Gpu,
    drawn: Drawn,
    components: list[Component],
) -> dict[str, Any]:
    measured = stage.packing != "none" or recipe.holdout is not None  # as qvl.training.loop.run decides
    means = stream(stage, drawn, drawn.tokens if measured else drawn.characters)
    held_out = 0.0 if recipe.holdout is None else recipe.holdout.share
    trained_share = (1 - means.unusable) * (1 - held_out)
    per_step = stage.batch.size * (means.samples_per_sequence if stage.batch.unit == "sequences" else trained_share)
    sample = training_flops(shape, stage, means.load)
    element = 2 if stage.engine.precision == "bfloat16" else 4
    trained = trained_parameters(shape, stage)
    micro_batches = max(1, math.ceil(per_step / means.samples_per_sequence / stage.batch.micro))
    work = Work(per_step * sample.total, micro_batches, shape.parameters, trained, stage.engine.zero, element)
    samples = round(stage.steps * per_step)
    return {
        "stage": stage.stage,
        "name": stage.label,
        "packing": stage.packing,
        "steps": stage.steps,
        "samples": samples,
        "samples_per_step": per_step,
        "stream": asdict(means),
        "drawn": len(drawn.tokens),
        "held_out": held_out,
        "mix": _mix(recipe, stage, drawn, components, round(samples / trained_share)),
        "tflop_per_sample": {name: value / 1e12 for name, value in (*asdict(sample).items(), ("total", sample.total))},
        "trained": trained,
        **_time(stage, work, kind, terms, per_step),
        "memory": _memory(shape, stage, means, terms.gpus, kind),
        "traffic": _traffic(work, kind, terms),
    }


def _time(stage: StageSpec, work: Work, kind: Gpu, terms: Terms, samples_per_step: float) -> dict[str, Any]:
    seconds = work.compute_seconds(terms.gpus, kind, terms.mfu)
    hours = stage.steps * seconds * terms.gpus / 3600
    return {
        "tflop_per_step": work.flops / 1e12,
        "micro_steps": work.micro_steps(terms.gpus),
        "seconds_per_step": seconds,
        "samples_per_second": samples_per_step / seconds,
        "exaflop": work.flops * stage.steps / 1e18,
        "gpu_hours": hours,
        "days": hours / terms.gpus / 24,
        "cost": hours * terms.price,
    }


def _mix(
    recipe: TrainRecipe, stage: StageSpec, drawn: Drawn, components: list[Component], samples: int
) -> list[dict[str, Any]]:
    """Parts of a stage: samples there are, how often they are seen, what one of them holds."""
    epochs = Mixture(components, recipe.seed, stage.window).epochs(samples)
    weights = sum(part.weight for part in components)
    lines = []
    for number, (part, seen) in enumerate(zip(components, epochs, strict=True)):
        here = (drawn.part == number) & (drawn.tokens > 0)
        few = not here.any()
        lines.append(
            {
                "part": part.name,
                "samples": part.rows,
                "share": part.weight / weights,
                "epochs": seen,
                "tokens": None if few else float(drawn.tokens[here].mean()),
                "images": None if few else float(drawn.images[here].mean()),
                "learnt": None if few else float(drawn.labels[here].mean()),
            }
        )
    return lines


def _memory(shape: Shape, stage: StageSpec, means: Stream, gpus: int, kind: Gpu) -> list[dict[str, Any]]:
    """Gigabytes of one GPU under each ZeRO stage, and as the recipe has it."""
    engine, lines = stage.engine, []
    ways: list[tuple[int, Any]] = [
        (0, "none"),
        (1, "none"),
        (2, "none"),
        (3, "none"),
        (2, "optimizer"),
        (3, "parameters"),
    ]
    if (engine.zero, engine.offload) not in ways:
        ways.append((engine.zero, engine.offload))
    for zero, offload in ways:
        found: Memory = stage_memory(shape, stage, means.largest, gpus, zero, offload)
        lines.append(
            {
                "zero": zero,
                "offload": offload,
                "chosen": (zero, offload) == (engine.zero, engine.offload),
                "weights": found.states.weights / 1e9,
                "gradients": found.states.gradients / 1e9,
                "optimizer": found.states.optimizer / 1e9,
                "states": found.states.total / 1e9,
                "activations": found.activations / 1e9,
                "buffers": found.buffers / 1e9,
                "total": found.total / 1e9,
                "host": found.states.host / 1e9,
                "fits": found.total <= kind.memory,
            }
        )
    return lines


def _traffic(work: Work, kind: Gpu, terms: Terms) -> dict[str, Any]:
    """Gradient traffic over computation at several sizes, and the useful ceiling, for ZeRO-1 and for the recipe's stage."""

    def of(zero: int) -> dict[str, Any]:
        sizes = sorted({terms.gpus, *SCALES})
        return {
            "zero": zero,
            "over_compute": {str(size): work.traffic(size, kind, terms.mfu, zero) for size in sizes},
            "useful_gpus": work.useful_gpus(kind, terms.mfu, zero),
        }

    return {"chosen": of(work.zero), "zero_1": of(1)}
