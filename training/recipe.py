"""The recipe of a training run: datasets, and stages that follow one another. Paper table 8; reference sections 2 and 9.

Everything that alters the result is in the recipe. Where and how a run takes place (processes, workers, folders) is given by
options of the command. `engine` is the exception: it may change when a run is resumed, because it only affects rounding.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from qvl.pipeline.base.recipe_model import RecipeModel
from qvl.pipeline.recipe.file import RecipeContent, anchored, read_recipe
from qvl.pipeline.shards.mixture import DEFAULT_WINDOW
from qvl.pipeline.shards.reader import Selection


class DatasetSpec(RecipeModel):
    """The location of a dataset: its folder of shards, or the output that holds it; a local path or an fsspec URL."""

    path: str


class PartSpec(RecipeModel):
    """One component of a stage's mix. ``weight`` is relative; the paper's numbers of samples can be used as they are."""

    dataset: str
    weight: float = Field(gt=0)
    name: str | None = None
    tasks: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        return self.name or "-".join([self.dataset, *self.tasks, *self.languages, *self.sources])

    @property
    def selection(self) -> Selection:
        return Selection(self.tasks, self.languages, self.sources)


class BatchSpec(RecipeModel):
    """``size``: samples, or packed sequences, per optimizer step over all ranks. ``micro``: sequences per forward pass."""

    size: int = Field(ge=1)
    unit: Literal["samples", "sequences"] = "samples"
    micro: int = Field(default=1, ge=1)


class OptimizerSpec(RecipeModel):
    """AdamW and its schedule: linear warm-up, then half a cosine from ``peak`` to ``minimum``."""

    peak: float = Field(gt=0)
    minimum: float = Field(ge=0)
    warmup: int = Field(ge=0)
    betas: tuple[float, float] = (0.9, 0.98)
    eps: float = 1e-6
    weight_decay: float = 0.05
    clip: float = 1.0
    vision_decay: float = Field(default=0.95, gt=0, le=1)


class Engine(RecipeModel):
    """DeepSpeed's ZeRO stage and offload, the precision of the forward pass, and recomputation of activations."""

    zero: Literal[1, 2, 3] = 1
    offload: Literal["none", "optimizer", "parameters"] = "none"
    precision: Literal["bfloat16", "float32"] = "bfloat16"
    recompute: bool = False
    attention: Literal["sdpa", "eager", "flash_attention_2"] = "sdpa"

    @property
    def element(self) -> int:
        """Bytes of a weight in the forward pass."""
        return 2 if self.precision == "bfloat16" else 4


class Lora(RecipeModel):
    """Low-rank updates of the language model's projections (reference section 14). ``quantize``: 4-bit base (Q-LoRA)."""

    rank: int = Field(default=64, ge=1)
    alpha: float = 16
    dropout: float = Field(default=0.05, ge=0, lt=1)
    quantize: bool = False


class Save(RecipeModel):
    """A checkpoint every ``every`` steps, of which the newest ``keep`` remain. ``export`` adds a model folder to each."""

    every: int = Field(default=500, ge=1)
    keep: int = Field(default=3, ge=1)
    export: bool = False


class EvaluationSpec(RecipeModel):
    """Scores on at most ``limit`` samples of each task of a dataset, every ``every`` steps."""

    dataset: str
    every: int = Field(ge=1)
    tasks: tuple[Literal["caption", "vqa", "grounding", "ocr"], ...] = Field(min_length=1)
    limit: int = Field(default=64, ge=1)


class Tolerance(RecipeModel):
    """When a run stops: above ``damaged`` as a share of the samples read (10 are always allowed), or after more than
    ``skipped`` skipped steps in a row.

    A step is skipped when its loss is NaN or infinite, or above ``spike`` times the running mean.
    """

    damaged: float = Field(default=0.001, ge=0, le=1)
    skipped: int = Field(default=10, ge=0)
    spike: float = Field(default=3.0, gt=1)


class StageSpec(RecipeModel):
    """One stage. ``stage`` says what is trained (model.weights.freeze); ``name`` is its folder.

    Stage ``language`` reads the text of all samples without their images.
    """

    stage: Literal["language", "pretrain", "multitask", "sft"]
    name: str | None = None
    steps: int = Field(ge=1)
    resolution: int = Field(ge=14)
    length: int = Field(ge=2)
    mix: tuple[PartSpec, ...] = Field(min_length=1)
    batch: BatchSpec
    packing: Literal["none", "causal", "isolated"] = "none"
    pack_window: int = Field(default=4096, ge=1)
    images_per_sequence: int = Field(default=7, ge=1)
    chatml: Literal["chat", "all"] = "chat"
    loss: Literal["released", "answers"] = "answers"
    optimizer: OptimizerSpec
    engine: Engine = Engine()
    frozen_vision_blocks: int = 0
    trained_markers: bool = False
    lora: Lora | None = None
    save: Save = Save()
    evaluate: EvaluationSpec | None = None
    tolerance: Tolerance = Tolerance()
    window: int = Field(default=DEFAULT_WINDOW, ge=1)

    @property
    def label(self) -> str:
        return self.name or self.stage

    @property
    def steps_count_packs(self) -> bool:
        """Whether ``batch.size`` counts packed sequences, which are taken from windows of ``pack_window`` samples."""
        return self.packing != "none" and self.batch.unit == "sequences"

    @model_validator(mode="after")
    def _fits(self) -> "StageSpec":
        if self.resolution % 14:
            raise ValueError(f"resolution {self.resolution} is not a multiple of the patch size 14")
        if self.batch.unit == "samples" and self.packing != "none" and self.batch.size < 2:
            raise ValueError("a batch of one sample cannot be packed; use packing: none")
        if self.optimizer.warmup > self.steps:
            raise ValueError(f"warm-up of {self.optimizer.warmup} steps is longer than the stage of {self.steps} steps")
        if self.evaluate is not None and self.engine.zero == 3:
            raise ValueError(
                "evaluate needs whole weights on every rank: use engine.zero 1 or 2, or `qvl eval run` afterwards"
            )
        if self.save.export and self.lora is not None and self.lora.quantize:
            raise ValueError("save.export cannot merge low-rank updates into a 4-bit base; remove it")
        if self.lora is not None and self.stage != "sft":
            raise ValueError(
                "lora is for stage sft only: in the others the language model is frozen or trained as a whole"
            )
        if self.trained_markers and self.stage != "pretrain":
            raise ValueError("trained_markers is for stage pretrain only, where the language model is frozen")
        labels = [part.label for part in self.mix]
        if len(set(labels)) != len(labels):
            raise ValueError(f"two parts of the mix have the same label ({', '.join(labels)}); give them a `name`")
        return self


class Holdout(RecipeModel):
    """A share of all images, chosen by a seeded hash of their bytes, that is kept for `qvl eval run --split heldout`."""

    share: float = Field(gt=0, lt=1)
    seed: int = 0


class TrainRecipe(RecipeModel):
    """A run. ``start``: a preset, which needs a ``tokenizer``, or a model folder. ``fresh``: parts that get new weights."""

    name: str
    start: str
    tokenizer: Path | None = None
    fresh: tuple[Literal["adapter", "vision", "language"], ...] = ()
    seed: int = 0
    holdout: Holdout | None = None
    datasets: dict[str, DatasetSpec]
    stages: tuple[StageSpec, ...] = Field(min_length=1)

    def needs_lengths(self, stage: StageSpec) -> bool:
        """Whether the lengths of samples must be measured before a stage, to pack them or to leave out held-out ones."""
        return stage.packing != "none" or self.holdout is not None

    @model_validator(mode="after")
    def _names_exist(self) -> "TrainRecipe":
        labels = [stage.label for stage in self.stages]
        if len(set(labels)) != len(labels):
            raise ValueError(f"two stages have the same name ({', '.join(labels)})")
        for stage in self.stages:
            used = [part.dataset for part in stage.mix] + ([stage.evaluate.dataset] if stage.evaluate else [])
            for name in used:
                if name not in self.datasets:
                    raise ValueError(f"stage {stage.label}: dataset {name} is not listed in `datasets`")
        return self


def load_train_recipe(path: Path) -> TrainRecipe:
    """Read a training recipe; relative paths start at its folder. Raises RecipeError that locates each mistake."""
    return read_recipe(path, TrainRecipe, _anchor_paths)


def _anchor_paths(content: RecipeContent, folder: Path) -> RecipeContent:
    datasets = content.get("datasets")
    for dataset in datasets.values() if isinstance(datasets, dict) else ():
        if isinstance(dataset, dict) and "path" in dataset:
            dataset["path"] = anchored(dataset["path"], folder)
    if content.get("tokenizer") is not None:
        content["tokenizer"] = anchored(content["tokenizer"], folder)
    start = content.get("start")
    if isinstance(start, str) and ("/" in start or (folder / start).is_dir()):
        content["start"] = anchored(start, folder)
    return content
