"""``qvl train verify``: replays a run's stream at any number of processes and compares it with the run's receipts."""

from dataclasses import dataclass
from pathlib import Path

from qvl.model.weights.auto import load_processor
from qvl.pipeline.base.errors import DataError
from qvl.pipeline.commit.manifests import read_manifest
from qvl.training.data.datasets import used_datasets
from qvl.training.data.encode import Encoder, Rule
from qvl.training.data.schedule import Schedule
from qvl.training.data.stage_schedule import stage_schedule
from qvl.training.data.steps import STREAM_START, Step
from qvl.training.loop.checkpoint import complete_checkpoints, read_checkpoint
from qvl.training.loop.logs import read_journal
from qvl.training.loop.records import CheckpointManifest, RunManifest, StepLine
from qvl.training.loop.run_manifest import MANIFEST
from qvl.training.process_group import ProcessGroup
from qvl.training.recipe import StageSpec, TrainRecipe
from qvl.training.weights.start import processor_of_start


@dataclass(frozen=True)
class Verified:
    """One stage: steps replayed, samples in them, and a sentence about the first difference, None where there is none."""

    stage: str
    steps: int
    samples: int
    difference: str | None


def verify(run: Path, world: int) -> list[Verified]:
    """Replay every stage that has begun, as ``world`` ranks. Raises DataError where the folder is not a run."""
    manifest = read_manifest(run / MANIFEST, RunManifest)
    if manifest is None:
        raise DataError(f"{run} has no {MANIFEST}; give the --output of `qvl train run`")
    recipe = TrainRecipe.model_validate(manifest.recipe)
    datasets = used_datasets(recipe)
    results = []
    for number, stage in enumerate(recipe.stages):
        lines = read_journal(run / stage.label / "log.jsonl", StepLine)
        if not lines:
            continue
        previous = run / recipe.stages[number - 1].label / "model" if number else None
        processor = load_processor(previous) if previous is not None else processor_of_start(recipe, stage)
        encoder = Encoder(processor.tokenizer, Rule.of(stage, processor.image_seq_length))
        schedule = stage_schedule(recipe, stage, datasets, run / "lengths", encoder, ProcessGroup())
        saved = [read_checkpoint(folder) for folder in complete_checkpoints(run / stage.label / "checkpoints")]
        results.append(_replay(stage, schedule, lines, saved, world))
    return results


def _replay(
    stage: StageSpec, schedule: Schedule, lines: list[StepLine], saved: list[CheckpointManifest], world: int
) -> Verified:
    receipts = {manifest.step: manifest.progress.state.receipt for manifest in saved}
    state, samples = STREAM_START, 0
    for line in lines:
        steps = [schedule.plan(state, rank, world) for rank in range(world)]
        difference = _difference(line, steps, receipts)
        if difference is not None:
            return Verified(stage.label, state.step, samples, difference)
        state, samples = steps[0].after, samples + steps[0].samples
    return Verified(stage.label, state.step, samples, None)


def _difference(line: StepLine, steps: list[Step], receipts: dict[int, str]) -> str | None:
    """What is wrong with a step: the samples of all ranks together, the log's receipt, or a checkpoint's receipt."""
    planned = sorted(steps[0].ids)
    computed = sorted(
        ref.key for step in steps for micro in step.micro_batches for seq in micro.sequences for ref in seq
    )
    after = steps[0].after
    if line.step != after.step - 1:
        return f"the log goes from step {after.step - 2} to step {line.step}"
    if computed != planned or len({step.after for step in steps}) > 1:
        return f"step {line.step}: {len(steps)} ranks would compute other samples than planned"
    if line.receipt != after.receipt:
        return f"step {line.step}: the log has another receipt for these samples; the data or the code has changed"
    if receipts.get(after.step, after.receipt) != after.receipt:
        return f"checkpoint {after.step}: its receipt differs from that of the log"
    return None
