"""A run: the stages of a recipe, one after the other, each with its contract.

RUN/run.json                    the recipe; another one is refused
RUN/lengths/                    measured lengths of samples
RUN/<stage>/start.json          hashes of all tensors before the first step
RUN/<stage>/checkpoints/        step-00000100/ ...
RUN/<stage>/log.jsonl ...       what happened, step by step
RUN/<stage>/model/              the model that the next stage starts from; where it exists, the stage is done
"""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from qvl.model.network.errors import ModelError
from qvl.model.network.presets import PRESETS, preset
from qvl.model.network.processor import QwenVLProcessor
from qvl.model.network.qwen_vl import QwenVLForConditionalGeneration
from qvl.model.text.tokenizer import build_processor, fit_vocabulary, match_config, token_id
from qvl.model.weights.auto import load_model, load_processor, register
from qvl.model.weights.freeze import PARTS, TRAINED, part_of, tensor_hashes
from qvl.pipeline.base.errors import ContractError, RecipeError, StaleError
from qvl.pipeline.commit.fingerprint import fingerprint
from qvl.pipeline.commit.manifests import read_manifest
from qvl.pipeline.shards.reader import Dataset
from qvl.pipeline.shards.sample_bytes import CACHE_BYTES, FetchAhead, ShardBytes
from qvl.training.data.datasets import used_datasets
from qvl.training.data.encode import Encoder, Rule
from qvl.training.data.lengths import LengthsFolder, LengthsTask, measure_lengths, rule_fingerprint
from qvl.training.data.loader import Assembler, StepLoader
from qvl.training.data.parts import mix_parts
from qvl.training.data.schedule import Schedule
from qvl.training.loop.engine import DeepSpeedEngine, full_weights
from qvl.training.loop.export import plain_weights, without_prefix, write_model
from qvl.training.loop.logs import write_json
from qvl.training.loop.marker_rows import TOKENS
from qvl.training.loop.scores import evaluator, peak_flops, step_flops
from qvl.training.loop.stage import Stage
from qvl.training.loop.training_model import TrainingModel, prepare
from qvl.training.process_group import ProcessGroup
from qvl.training.recipe import StageSpec, TrainRecipe

UNCHECKED = "model.unchecked"


@dataclass(frozen=True)
class Where:
    """Where and how a run runs: nothing here alters its result."""

    output: Path
    workers: int = 2
    cache: Path | None = None
    cache_bytes: int = CACHE_BYTES
    wandb: bool = False


@dataclass
class Loaded:
    """A model before its stage, with its processor and the type that its folder stores."""

    net: QwenVLForConditionalGeneration
    processor: QwenVLProcessor
    dtype: torch.dtype


def run(recipe: TrainRecipe, where: Where, group: ProcessGroup) -> bool:
    """All stages that are not done yet; False where a signal stopped the run. Raises StaleError for another recipe."""
    register()
    datasets = used_datasets(recipe)
    if group.is_first:
        accept_recipe(recipe, where.output, {name: dataset.hash for name, dataset in datasets.items()})
    group.barrier()
    for number, stage in enumerate(recipe.stages):
        folder = where.output / stage.label
        if (folder / "model" / "config.json").exists():
            continue
        before = where.output / recipe.stages[number - 1].label / "model" if number else None
        if not run_stage(recipe, stage, before, datasets, where, group):
            return False
    return True


def accept_recipe(recipe: TrainRecipe, output: Path, hashes: dict[str, str]) -> None:
    """Note the recipe and the datasets' hashes. Raises StaleError where the output was made with others.

    `engine`, `save`, `evaluate` and `tolerance` may differ; a dataset of which samples were taken down may not: its
    order is another one.
    """
    content: dict[str, Any] = {
        "recipe": recipe.model_dump(mode="json"),
        "fingerprint": recipe_fingerprint(recipe),
        "datasets": hashes,
    }
    noted = read_manifest(output / "run.json")
    if noted is not None and noted["fingerprint"] != content["fingerprint"]:
        names = _differences(_essence(noted["recipe"]), _essence(content["recipe"]))
        raise StaleError(f"{output} was made with another recipe ({'; '.join(names)}); choose another --output")
    before = (noted or {}).get("datasets", hashes)
    changed = sorted(name for name in hashes if before.get(name) != hashes[name])
    if changed:
        raise StaleError(
            f"{output}: other samples than when the run began in {', '.join(changed)}; put them back, "
            "or choose another --output"
        )
    write_json(output / "run.json", content)


def recipe_fingerprint(recipe: TrainRecipe) -> str:
    """Of all that alters the result: not of paths, precision, or how often something is saved or scored."""
    return fingerprint(_essence(recipe.model_dump(mode="json")))


def _essence(content: dict[str, Any]) -> dict[str, Any]:
    left_out = ("engine", "save", "evaluate", "tolerance")
    stages = [{key: value for key, value in stage.items() if key not in left_out} for stage in content["stages"]]
    datasets = sorted(content["datasets"])
    return {**content, "stages": stages, "datasets": datasets, "tokenizer": None, "start": Path(content["start"]).name}


def _differences(before: Any, after: Any, place: str = "") -> list[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        keys = sorted({*before, *after})
        return [line for key in keys for line in _differences(before.get(key), after.get(key), f"{place}.{key}")]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return [line for at, (a, b) in pairs for line in _differences(a, b, f"{place}.{at}")]
    return [] if before == after else [f"{place.lstrip('.')}: {before} -> {after}"]


def run_stage(
    recipe: TrainRecipe,
    stage: StageSpec,
    before: Path | None,
    datasets: dict[str, Dataset],
    where: Where,
    group: ProcessGroup,
) -> bool:
    """Train one stage and write its model; False where a signal stopped it."""
    folder = where.output / stage.label
    loaded = load_start(recipe, stage, before)
    encoder = Encoder(loaded.processor.tokenizer, Rule.of(stage, loaded.processor.image_seq_length))
    schedule = plan_stage(recipe, stage, datasets, where.output / "lengths", encoder, group)
    if group.is_first:
        _note_start(folder, loaded.net)
        if before is None and recipe.start in PRESETS and not (where.output / "start").exists():
            config: Any = loaded.net.config
            weights = without_prefix(loaded.net.state_dict().items())
            write_model(where.output / "start", config, weights, loaded.processor, loaded.dtype)
    ids = [token_id(loaded.processor.tokenizer, token) for token in TOKENS]
    model = prepare(loaded.net, stage, ids)
    engine = DeepSpeedEngine(model, stage.engine, stage.optimizer, group.size)

    def export(target: Path) -> None:
        export_model(target, stage, model, engine, loaded, group)

    mark = recipe_fingerprint(recipe)
    running = Stage(
        stage, folder, group, engine, mark, recipe.seed, export=export, wandb=where.wandb,
        evaluate=evaluator(recipe, stage, loaded.net, loaded.processor), flops=step_flops(stage, loaded.net.config),
        peak=peak_flops(stage.engine.precision),
    )  # fmt: skip
    assembler = Assembler(
        encoder, stage.resolution, stage.packing == "isolated", ShardBytes(where.cache, where.cache_bytes)
    )
    ahead = (
        FetchAhead(where.cache, where.cache_bytes) if where.cache is not None and group.is_first_on_machine else None
    )
    loader = StepLoader(schedule, assembler, running.progress.state, group.rank, group.size, where.workers, ahead)
    finished = running.run(loader)
    if ahead is not None:
        ahead.close()
    if not finished:
        return False
    export(folder / UNCHECKED)
    if group.is_first:
        _check_contract(folder, stage)
        (folder / UNCHECKED).replace(folder / "model")
    group.barrier()
    return True


def plan_stage(
    recipe: TrainRecipe,
    stage: StageSpec,
    datasets: dict[str, Dataset],
    lengths: Path,
    encoder: Encoder,
    group: ProcessGroup,
) -> Schedule:
    """The stage's schedule; measures lengths first where it needs them, the shards shared out over the ranks."""
    parts = mix_parts(stage, datasets)
    if not recipe.needs_lengths(stage):
        return Schedule(stage, parts, stage_seed(recipe, stage))
    measured = LengthsFolder(lengths, rule_fingerprint(encoder.tokenizer, encoder.rule, recipe.holdout))
    shards = {shard.hash: shard for part in parts for shard in part.dataset.shards}
    for shard in list(shards.values())[group.rank :: group.size]:
        task = LengthsTask(shard, measured.path_of(shard), encoder.tokenizer, encoder.rule, recipe.holdout)
        measure_lengths(task)
    group.barrier()
    return Schedule(stage, parts, stage_seed(recipe, stage), measured)


def stage_seed(recipe: TrainRecipe, stage: StageSpec) -> int:
    """Each stage sees its data in an order of its own."""
    return int(fingerprint([recipe.seed, stage.label])[:12], 16)


def load_start(recipe: TrainRecipe, stage: StageSpec, before: Path | None) -> Loaded:
    """The model that a stage starts from: of the stage before, of a folder, or a preset with first weights."""
    torch.manual_seed(recipe.seed)
    settings = {"attn_implementation": stage.engine.attention}
    if before is None and recipe.start in PRESETS:
        config, processor = preset(recipe.start), processor_of_start(recipe, stage)
        config.text_config._attn_implementation = stage.engine.attention
        fit_vocabulary(config, processor.tokenizer)
        match_config(config, processor.tokenizer)
        net = QwenVLForConditionalGeneration(config)
        return Loaded(net, processor, torch.float32)
    folder = before or Path(recipe.start)
    if not (folder / "config.json").is_file():
        raise RecipeError(f"start: {recipe.start} is neither a preset ({', '.join(PRESETS)}) nor a model folder")
    fresh = tuple(prefix for part in (recipe.fresh if before is None else ()) for prefix in PARTS[part])
    extra: dict[str, Any] = {**settings, **_quantized(stage)}
    net = load_model(folder, fresh=fresh, **extra)
    processor = load_processor(folder)
    processor.image_processor.image_size = stage.resolution
    return Loaded(net, processor, next(net.parameters()).dtype)


def processor_of_start(recipe: TrainRecipe, stage: StageSpec) -> QwenVLProcessor:
    """The processor that the first stage starts with. Raises RecipeError for a preset without tokenizer."""
    if recipe.start not in PRESETS:
        return load_processor(Path(recipe.start))
    if recipe.tokenizer is None:
        raise RecipeError(f"start: {recipe.start} needs `tokenizer:`, a qwen.tiktoken or tokenizer.json")
    return build_processor(recipe.tokenizer, stage.resolution, preset(recipe.start).adapter_config.num_queries)


def _quantized(stage: StageSpec) -> dict[str, Any]:
    if stage.lora is None or not stage.lora.quantize:
        return {}
    if not torch.cuda.is_available():
        raise RecipeError("lora.quantize needs a CUDA GPU (bitsandbytes); set it to false here")
    from transformers import BitsAndBytesConfig

    kinds = {"bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": torch.bfloat16, "load_in_4bit": True}
    skip = ["vision_tower", "adapter", "lm_head"]
    make: Any = BitsAndBytesConfig
    return {"quantization_config": make(**kinds, llm_int8_skip_modules=skip)}


def export_model(
    target: Path, stage: StageSpec, model: TrainingModel, engine: DeepSpeedEngine, loaded: Loaded, group: ProcessGroup
) -> None:
    """Write a model folder from the masters. A collective call; rank 0 writes."""
    weights: dict[str, Tensor] = {}
    for name, tensor in full_weights(model):
        if group.is_first:
            weights[name.removeprefix("net.")] = tensor
    masters = ((name, tensors["weight"]) for name, tensors in engine.state())
    for name, tensor in masters:
        if group.is_first:
            weights |= without_prefix([(name, tensor.to("cpu", loaded.dtype))])
    if group.is_first:
        config: Any = loaded.net.config
        config.vision_config.image_size = stage.resolution
        write_model(target, config, plain_weights(weights, stage, loaded.processor), loaded.processor, loaded.dtype)
    group.barrier()


def _note_start(folder: Path, net: QwenVLForConditionalGeneration) -> None:
    """Hashes of all tensors before the first step; those of a run that goes on stay."""
    if not (folder / "start.json").exists():
        write_json(folder / "start.json", {"tensors": tensor_hashes(net)})


def _check_contract(folder: Path, stage: StageSpec) -> None:
    """What the stage freezes is bit for bit as before; what it trains has moved. Raises ContractError.

    The model gets its name, by which the stage counts as done, behind this.
    """
    start = (read_manifest(folder / "start.json") or {})["tensors"]
    end = tensor_hashes(load_model(folder / UNCHECKED))
    trained = TRAINED[stage.stage]
    moved = {name for name in end if end[name] != start.get(name)}
    frozen = {name for name in end if not name.endswith("pos_embed") and _part(name) not in trained}
    allowed = {
        name for name in end if stage.trained_markers and name.endswith(("embed_tokens.weight", "lm_head.weight"))
    }
    broken = sorted((moved & frozen) - allowed)
    if broken:
        raise ContractError(f"stage {stage.label} moved tensors that it freezes: {', '.join(broken[:5])}")
    if not moved - frozen:
        raise ContractError(f"stage {stage.label} trained for {stage.steps} steps, but no tensor moved")


def _part(name: str) -> str:
    with contextlib.suppress(ModelError):
        return part_of(name)
    return "none"
