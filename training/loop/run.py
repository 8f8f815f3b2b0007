"""A run: the stages of a recipe, one after the other.

RUN/run.json                    the recipe; the run resumes with no other one
RUN/lengths/                    measured lengths of samples
RUN/<stage>/start.json          hashes of all tensors before the first step
RUN/<stage>/checkpoints/        step-00000100/ ...
RUN/<stage>/log.jsonl ...       what happened, step by step
RUN/<stage>/model/              the model that the next stage starts from; where it exists, the stage is done
"""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qvl.model.network.presets import PRESETS
from qvl.model.text.tokenizer import token_id
from qvl.model.weights.auto import register
from qvl.pipeline.shards.reader import Dataset
from qvl.pipeline.shards.sample_bytes import CACHE_BYTES, FetchAhead, ShardBytes
from qvl.training.data.datasets import used_datasets
from qvl.training.data.encode import Encoder, Rule
from qvl.training.data.loader import Assembler, StepLoader
from qvl.training.data.schedule import Schedule
from qvl.training.data.stage_schedule import stage_schedule
from qvl.training.loop.contract import check_contract, note_start
from qvl.training.loop.engine import DeepSpeedEngine, full_weights
from qvl.training.loop.run_manifest import accept_recipe, recipe_fingerprint
from qvl.training.loop.scores import evaluator, peak_flops, step_flops
from qvl.training.loop.stage import Stage
from qvl.training.process_group import ProcessGroup
from qvl.training.recipe import StageSpec, TrainRecipe
from qvl.training.weights.export import collect_weights, plain_weights, without_prefix, write_model
from qvl.training.weights.marker_rows import TOKENS
from qvl.training.weights.start import StartModel, load_start
from qvl.training.weights.training_model import TrainingModel, prepare

UNCHECKED = "model.unchecked"


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Where and how a run takes place; nothing here alters its result.

    ``workers``: loader processes of each training process. ``cache``: local folder for shards of a store, with at most
    ``cache_bytes``.
    """

    output: Path
    workers: int = 2
    cache: Path | None = None
    cache_bytes: int = CACHE_BYTES
    wandb: bool = False


def run(recipe: TrainRecipe, options: RunOptions, group: ProcessGroup) -> bool:
    """Run all stages that are not done yet. False where a signal stopped the run. Raises StaleError for another recipe."""
    register()
    datasets = used_datasets(recipe)
    if group.is_first:
        accept_recipe(recipe, options.output, {name: dataset.hash for name, dataset in datasets.items()})
    group.barrier()
    for number, stage in enumerate(recipe.stages):
        folder = options.output / stage.label
        if (folder / "model" / "config.json").exists():
            continue
        previous = options.output / recipe.stages[number - 1].label / "model" if number else None
        if not run_stage(recipe, stage, previous, datasets, options, group):
            return False
    return True


def run_stage(
    recipe: TrainRecipe,
    stage: StageSpec,
    previous: Path | None,
    datasets: dict[str, Dataset],
    options: RunOptions,
    group: ProcessGroup,
) -> bool:
    """Train one stage and write its model. False where a signal stopped it."""
    folder = options.output / stage.label
    start = load_start(recipe, stage, previous)
    encoder = Encoder(start.processor.tokenizer, Rule.of(stage, start.processor.image_seq_length))
    schedule = stage_schedule(recipe, stage, datasets, options.output / "lengths", encoder, group)
    if group.is_first:
        note_start(folder, start.net)
        if previous is None and recipe.start in PRESETS:
            _write_first_weights(options.output / "start", start)
    model = prepare(start.net, stage, [token_id(start.processor.tokenizer, token) for token in TOKENS])
    engine = DeepSpeedEngine(model, stage.engine, stage.optimizer, group.size)

    def export(target: Path) -> None:
        export_model(target, stage, model, engine, start, group)

    running = Stage(
        stage, folder, group, engine, recipe_fingerprint(recipe), recipe.seed, export=export, wandb=options.wandb,
        evaluate=evaluator(recipe, stage, start.net, start.processor), flops=step_flops(stage, start.net.config),
        peak=peak_flops(stage.engine.precision),
    )  # fmt: skip
    if not _train(running, schedule, encoder, options):
        return False
    export(folder / UNCHECKED)
    if group.is_first:
        check_contract(folder, folder / UNCHECKED, stage)
        (folder / UNCHECKED).replace(folder / "model")
    group.barrier()
    return True


def _train(running: Stage, schedule: Schedule, encoder: Encoder, options: RunOptions) -> bool:
    """Run the steps of a stage over its loader. One process of each machine fetches shards of a store ahead."""
    stage, group = running.spec, running.group
    reader = ShardBytes(options.cache, options.cache_bytes)
    assembler = Assembler(encoder, stage.resolution, stage.packing == "isolated", reader)
    with ExitStack() as stack:
        ahead = None
        if options.cache is not None and group.is_first_on_machine:
            ahead = FetchAhead(options.cache, options.cache_bytes)
            stack.callback(ahead.close)
        state = running.progress.state
        return running.run(StepLoader(schedule, assembler, state, group.rank, group.size, options.workers, ahead))


def _write_first_weights(folder: Path, start: StartModel) -> None:
    """Keep the new weights of a preset, so that what training changed can be seen."""
    if not folder.exists():
        config: Any = start.net.config
        weights = without_prefix(start.net.state_dict().items())
        write_model(folder, config, weights, start.processor, start.dtype)


def export_model(
    target: Path,
    stage: StageSpec,
    model: TrainingModel,
    engine: DeepSpeedEngine,
    start: StartModel,
    group: ProcessGroup,
) -> None:
    """Write a model folder from the float32 masters. A collective call; rank 0 writes."""
    masters = ((name, tensors["weight"]) for name, tensors in engine.state())
    weights = collect_weights(full_weights(model), masters, start.dtype, group)
    if group.is_first:
        config: Any = start.net.config
        config.vision_config.image_size = stage.resolution
        write_model(target, config, plain_weights(weights, stage, start.processor), start.processor, start.dtype)
    group.barrier()
