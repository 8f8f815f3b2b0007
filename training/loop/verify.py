"""``qvl train verify``: replays a run's stream, at any number of processes, and compares it with the run's receipts."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qvl.model.weights.auto import load_processor
from qvl.pipeline.base.errors import DataError
from qvl.pipeline.commit.manifests import read_manifest
from qvl.training.data.datasets import used_datasets
from qvl.training.data.encode import Encoder, Rule
from qvl.training.data.schedule import Schedule
from qvl.training.data.steps import Step, StreamState
from qvl.training.loop.checkpoint import complete, read_checkpoint
from qvl.training.loop.logs import read_journal
from qvl.training.loop.run import plan_stage, processor_of_start
from qvl.training.process_group import ProcessGroup
from qvl.training.recipe import StageSpec, TrainRecipe


@dataclass(frozen=True)
class Verified:
    """One stage: steps replayed, samples seen, and the first difference in words, or None."""

    stage: str
    steps: int
    samples: int
    difference: str | None


def verify(run: Path, world: int) -> list[Verified]:
    """Replay every stage that has begun. Raises DataError where the folder is no run."""
    noted = read_manifest(run / "run.json")
    if noted is None:
        raise DataError(f"{run}: no run.json; give the --output of `qvl train run`")
    recipe = TrainRecipe.model_validate(noted["recipe"])
    datasets = used_datasets(recipe)
    results = []
    for number, stage in enumerate(recipe.stages):
        lines = read_journal(run / stage.label / "log.jsonl")
        if not lines:
            continue
        before = run / recipe.stages[number - 1].label / "model" if number else None
        processor = load_processor(before) if before is not None else processor_of_start(recipe, stage)
        encoder = Encoder(processor.tokenizer, Rule.of(stage, processor.image_seq_length))
        schedule = plan_stage(recipe, stage, datasets, run / "lengths", encoder, ProcessGroup())
        saved = [read_checkpoint(folder) for folder in complete(run / stage.label / "checkpoints")]
        results.append(_replay(stage, schedule, lines, saved, world))
    return results


def _replay(
    stage: StageSpec, schedule: Schedule, lines: list[dict[str, Any]], saved: list[dict[str, Any]], world: int
) -> Verified:
    receipts = {content["step"]: content["progress"]["state"]["receipt"] for content in saved}
    state, samples = StreamState(), 0
    for line in lines:
        steps = [schedule.plan(state, rank, world) for rank in range(world)]
        difference = _difference(line, steps, receipts)
        if difference is not None:
            return Verified(stage.label, state.step, samples, difference)
        state, samples = steps[0].after, samples + steps[0].samples
    return Verified(stage.label, state.step, samples, None)


def _difference(line: dict[str, Any], steps: list[Step], receipts: dict[int, str]) -> str | None:
    """What is wrong with a step: the union over ranks, the log's receipt, or a checkpoint's."""
    planned = sorted(steps[0].ids)
    computed = sorted(
        ref.key for step in steps for micro in step.micro_batches for seq in micro.sequences for ref in seq
    )
    after = steps[0].after
    if line["step"] != after.step - 1:
        return f"the log goes from step {after.step - 2} to step {line['step']}"
    if computed != planned or len({step.after for step in steps}) > 1:
        return f"step {line['step']}: {len(steps)} ranks would compute other samples than were planned"
    if line["receipt"] != after.receipt:
        return f"step {line['step']}: the samples of the log have another receipt; the data or the code changed"
    if receipts.get(after.step, after.receipt) != after.receipt:
        return f"checkpoint {after.step}: another receipt than the log's"
    return None
