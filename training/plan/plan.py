"""``qvl train plan``: what a recipe will take before it starts. Every shard is checked for; nothing is written."""

import math
from dataclasses import asdict, dataclass

from qvl.model.network.presets import PRESETS
from qvl.pipeline.base.errors import DataError
from qvl.pipeline.shards.mixture import Component, Mixture
from qvl.pipeline.shards.reader import Dataset
from qvl.training.data.datasets import used_datasets
from qvl.training.data.parts import mix_parts
from qvl.training.plan.cost import Shape, shape_of, trained_parameters, training_flops
from qvl.training.plan.machine import Gpu, Work, gpu
from qvl.training.plan.memory import Offload, stage_memory
from qvl.training.plan.records import (
    DataOrigin,
    ModelParameters,
    Plan,
    PlannedMemory,
    PlannedPart,
    PlannedStage,
    PlannedTraffic,
    PlanTerms,
    PlanTotal,
    SampleTflops,
    StageCost,
    Terms,
    TrafficOfZero,
)
from qvl.training.plan.start import start_config, start_exists, start_tokenizer
from qvl.training.plan.stream_estimate import StreamMeans, StreamSample, assumed_stream, sample_stream, stream_means
from qvl.training.recipe import StageSpec, TrainRecipe

ENCODED = 1024
"""Samples of each stage that are encoded."""
SCALES = (8, 64, 256, 1024)
MEMORY_WAYS: tuple[tuple[int, Offload], ...] = (
    (0, "none"), (1, "none"), (2, "none"), (3, "none"), (2, "optimizer"), (3, "parameters"),
)  # fmt: skip
"""ZeRO stages and offloads that a plan compares."""


@dataclass(frozen=True, slots=True)
class _Inputs:
    """What the plan of every stage depends on."""

    recipe: TrainRecipe
    shape: Shape
    terms: Terms
    kind: Gpu


def make_plan(recipe: TrainRecipe, terms: Terms, text: int | None = None, samples: int = ENCODED) -> Plan:
    """The plan of a recipe. With ``text`` no shard is read: every sample has one image and that many text tokens.

    Raises DataError that names every dataset, shard and index that is missing.
    """
    from qvl.model.text.tokenizer import fit_vocabulary

    kind, config = gpu(terms.gpu), start_config(recipe)
    datasets = {} if text is not None else _opened(recipe)
    tokenizer = None if text is not None else start_tokenizer(recipe)
    if tokenizer is not None and recipe.start in PRESETS:
        fit_vocabulary(config, tokenizer)
    shape, queries = shape_of(config), config.adapter_config.num_queries
    inputs = _Inputs(recipe, shape, terms, kind)
    stages = []
    for stage in recipe.stages:
        if text is not None:
            sample, components = assumed_stream(stage, text, queries), _components_by_weight(stage)
        else:
            parts = mix_parts(stage, datasets)
            components = [part.component() for part in parts]
            sample = sample_stream(stage, parts, recipe.seed, samples, tokenizer, queries)
        stages.append(_stage(inputs, stage, sample, components))
    origin: DataOrigin = "assumed" if text is not None else "encoded" if tokenizer is not None else "estimated"
    return Plan(
        name=recipe.name,
        model=ModelParameters(shape.vision, shape.adapter, shape.language, shape.parameters),
        terms=PlanTerms(**asdict(terms), peak_tflops=kind.bfloat16 / 1e12, gpu_memory_gb=kind.memory / 1e9),
        start=recipe.start if start_exists(recipe) else None,
        data=origin,
        text_tokens=text,
        stages=stages,
        total=_total(stages),
    )


def _total(stages: list[PlannedStage]) -> PlanTotal:
    return PlanTotal(
        samples=sum(stage.samples for stage in stages),
        exaflop=sum(stage.cost.exaflop for stage in stages),
        gpu_hours=sum(stage.cost.gpu_hours for stage in stages),
        days=sum(stage.cost.days for stage in stages),
        cost=sum(stage.cost.cost for stage in stages),
    )


def _opened(recipe: TrainRecipe) -> dict[str, Dataset]:
    if not start_exists(recipe):
        raise DataError(f"start: {recipe.start} is neither a model folder nor one of {', '.join(PRESETS)}")
    return used_datasets(recipe)


def _components_by_weight(stage: StageSpec) -> list[Component]:
    """The mix as if each weight were the number of samples."""
    return [Component(part.label, ((part.label, max(1, round(part.weight))),), part.weight) for part in stage.mix]


def _stage(inputs: _Inputs, stage: StageSpec, sample: StreamSample, components: list[Component]) -> PlannedStage:
    recipe, shape, terms = inputs.recipe, inputs.shape, inputs.terms
    means = stream_means(stage, sample, sample.tokens if recipe.needs_lengths(stage) else sample.characters)
    held_out = 0.0 if recipe.holdout is None else recipe.holdout.share
    trained_share = (1 - means.unusable) * (1 - held_out)
    per_step = stage.batch.size * (means.samples_per_sequence if stage.batch.unit == "sequences" else trained_share)
    flops = training_flops(shape, stage, means.load)
    trained = trained_parameters(shape, stage)
    micro_batches = max(1, math.ceil(per_step / means.samples_per_sequence / stage.batch.micro))
    work = Work(
        per_step * flops.total, micro_batches, shape.parameters, trained, stage.engine.zero, stage.engine.element
    )
    samples = round(stage.steps * per_step)
    return PlannedStage(
        stage=stage.stage,
        name=stage.label,
        packing=stage.packing,
        steps=stage.steps,
        samples=samples,
        samples_per_step=per_step,
        stream=means,
        drawn=len(sample.tokens),
        held_out=held_out,
        mix=_mix(recipe, stage, sample, components, round(samples / trained_share)),
        tflop_per_sample=SampleTflops(
            vision=flops.vision / 1e12,
            adapter=flops.adapter / 1e12,
            language=flops.language / 1e12,
            head=flops.head / 1e12,
            recompute=flops.recompute / 1e12,
            total=flops.total / 1e12,
        ),
        trained=trained,
        cost=_cost(stage, work, inputs.kind, terms, per_step),
        memory=_memory(shape, stage, means, terms.gpus, inputs.kind),
        traffic=_traffic(work, inputs.kind, terms),
    )


def _cost(stage: StageSpec, work: Work, kind: Gpu, terms: Terms, samples_per_step: float) -> StageCost:
    seconds = work.compute_seconds(terms.gpus, kind, terms.mfu)
    hours = stage.steps * seconds * terms.gpus / 3600
    return StageCost(
        tflop_per_step=work.flops / 1e12,
        micro_steps=work.micro_steps(terms.gpus),
        seconds_per_step=seconds,
        samples_per_second=samples_per_step / seconds,
        exaflop=work.flops * stage.steps / 1e18,
        gpu_hours=hours,
        days=hours / terms.gpus / 24,
        cost=hours * terms.price,
    )


def _mix(
    recipe: TrainRecipe, stage: StageSpec, sample: StreamSample, components: list[Component], samples: int
) -> list[PlannedPart]:
    """The parts of a stage that draws ``samples`` samples."""
    epochs = Mixture(components, recipe.seed, stage.window).epochs(samples)
    weights = sum(part.weight for part in components)
    parts = []
    for number, (part, seen) in enumerate(zip(components, epochs, strict=True)):
        of_part = (sample.parts == number) & (sample.tokens > 0)
        tokens, images, supervised = (
            float(column[of_part].mean()) if of_part.any() else None
            for column in (sample.tokens, sample.images, sample.labels)
        )
        parts.append(PlannedPart(part.name, part.rows, part.weight / weights, seen, tokens, images, supervised))
    return parts


def _memory(shape: Shape, stage: StageSpec, means: StreamMeans, gpus: int, kind: Gpu) -> list[PlannedMemory]:
    """Memory of one GPU under each ZeRO stage and offload, the recipe's among them."""
    chosen = (stage.engine.zero, stage.engine.offload)
    return [
        _memory_under(shape, stage, means, gpus, kind, zero, offload)
        for zero, offload in dict.fromkeys((*MEMORY_WAYS, chosen))
    ]


def _memory_under(
    shape: Shape, stage: StageSpec, means: StreamMeans, gpus: int, kind: Gpu, zero: int, offload: Offload
) -> PlannedMemory:
    found = stage_memory(shape, stage, means.largest, gpus, zero, offload)
    return PlannedMemory(
        zero=zero,
        offload=offload,
        chosen=(zero, offload) == (stage.engine.zero, stage.engine.offload),
        weights=found.states.weights / 1e9,
        gradients=found.states.gradients / 1e9,
        optimizer=found.states.optimizer / 1e9,
        states=found.states.total / 1e9,
        activations=found.activations / 1e9,
        buffers=found.buffers / 1e9,
        total=found.total / 1e9,
        host=found.states.host / 1e9,
        fits=found.total <= kind.memory,
    )


def _traffic(work: Work, kind: Gpu, terms: Terms) -> PlannedTraffic:
    """Gradient traffic over computation at several sizes, and how many GPUs are useful."""

    def under(zero: int) -> TrafficOfZero:
        sizes = sorted({terms.gpus, *SCALES})
        over_compute = {str(size): work.traffic(size, kind, terms.mfu, zero) for size in sizes}
        return TrafficOfZero(zero, over_compute, work.useful_gpus(kind, terms.mfu, zero))

    return PlannedTraffic(under(work.zero), under(1))
