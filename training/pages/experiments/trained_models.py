"""Train the models of the arms. A stage is trained once for all arms that agree up to it, in a folder named by its content.

TRAINED/lengths/                   measured lengths of samples, shared by all stages
TRAINED/<fingerprint>/recipe.yaml  the stage alone; it starts from the model of the stage before it
TRAINED/<fingerprint>/run/         the output of `qvl train run`, which resumes after a kill
TRAINED/<fingerprint>/steps.json   seconds and memory
"""

import os
import threading
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context, parent_process, set_start_method
from multiprocessing.context import BaseContext
from pathlib import Path

from qvl.model.network.presets import PRESETS
from qvl.pipeline.commit.fingerprint import file_hash, fingerprint
from qvl.pipeline.commit.lock import output_lock
from qvl.pipeline.storage.atomic import replace_file
from qvl.training.evaluation.run import model_identity
from qvl.training.loop.launch import Launch, launch_here
from qvl.training.loop.run_manifest import recipe_fingerprint
from qvl.training.pages.experiments.recipe import as_yaml
from qvl.training.pages.journey.steps import Cost, measured, read_costs
from qvl.training.recipe import TrainRecipe

TRAINING = "training"


@dataclass(frozen=True, slots=True)
class TrainedStage:
    """One stage of an arm: its fingerprint, its folder, and the recipe that trains it alone."""

    fingerprint: str
    folder: Path
    recipe: TrainRecipe

    @property
    def run(self) -> Path:
        return self.folder / "run"

    @property
    def model(self) -> Path:
        return self.run / self.recipe.stages[0].label / "model"

    @property
    def done(self) -> bool:
        return (self.model / "config.json").is_file()

    @property
    def cost(self) -> Cost:
        return read_costs(self.folder / "steps.json").get(TRAINING, Cost())


def chain(recipe: TrainRecipe, hashes: Mapping[str, str], trained: Path) -> list[TrainedStage]:
    """The stages of a recipe.

    A fingerprint depends on all stages so far, their datasets and rounding, the seed, the tokenizer and the start.
    """
    found: list[TrainedStage] = []
    start = recipe.start
    start_identity = start if start in PRESETS else model_identity(Path(start))
    tokenizer = file_hash(recipe.tokenizer) if recipe.tokenizer is not None else ""
    for number, stage in enumerate(recipe.stages):
        used = {part.dataset for earlier in recipe.stages[: number + 1] for part in earlier.mix}
        so_far = recipe.model_copy(
            update={
                "name": "experiment", "stages": recipe.stages[: number + 1],
                "datasets": {name: spec for name, spec in recipe.datasets.items() if name in used},
            }
        )  # fmt: skip
        shards = sorted((name, hashes[name]) for name in used)
        rounding = [
            [each.engine.precision, each.engine.attention, each.tolerance.model_dump()] for each in so_far.stages
        ]
        stage_fingerprint = fingerprint([recipe_fingerprint(so_far), rounding, shards, start_identity, tokenizer])
        needed = {part.dataset for part in stage.mix} | ({stage.evaluate.dataset} if stage.evaluate else set())
        own = {name: spec for name, spec in recipe.datasets.items() if name in needed}
        fresh = recipe.fresh if number == 0 else ()
        alone = so_far.model_copy(update={"stages": (stage,), "datasets": own, "start": start, "fresh": fresh})
        found.append(TrainedStage(stage_fingerprint, trained / stage_fingerprint[:16], alone))
        start = str(found[-1].model)
    return found


def train(stages: list[TrainedStage], processes: int, workers: int) -> bool:
    """Train what is not trained yet, each stage in its own process. Returns False if a signal stopped a training."""
    for stage in stages:
        if stage.done:
            continue
        with output_lock(stage.folder):
            replace_file(stage.folder / "recipe.yaml", as_yaml(stage.recipe))
            _share_lengths(stage)
            launch = Launch(stage.folder / "recipe.yaml", stage.run, workers, None, 0, False)
            with ProcessPoolExecutor(1, _processes()) as pool:
                finished = pool.submit(_train, launch, processes, stage.folder / "steps.json").result()
        if not finished:
            return False
    return True


def _share_lengths(stage: TrainedStage) -> None:
    """Let all stages share one folder of lengths, whose files are named by shard, tokenizer and rule."""
    (stage.folder.parent / "lengths").mkdir(exist_ok=True)
    stage.run.mkdir(exist_ok=True)
    link = stage.run / "lengths"
    if not link.is_symlink():
        link.symlink_to(Path("../../lengths"))


def _processes() -> BaseContext:
    """Processes that have run nothing yet; the imports are made once, in the fork server."""
    context = get_context("forkserver")
    context.set_forkserver_preload(["qvl.training.loop.run", "qvl.training.evaluation.scoring"])
    return context


def _train(launch: Launch, processes: int, costs: Path) -> bool:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    set_start_method(None, force=True)  # or loader workers would belong to the fork server and outlive this process
    with measured(costs, TRAINING):
        return launch_here(launch, processes)


def _end_with_parent() -> None:
    """End this process when the experiment is killed, so that it does not train at the same time as the next run."""
    experiment = parent_process()
    if experiment is not None:
        experiment.join()
        os._exit(1)
