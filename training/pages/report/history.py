"""The history of a training run: steps, scores, quarantined samples, loss spikes, and where it was resumed."""

from dataclasses import dataclass
from pathlib import Path
from typing import cast

from pydantic import JsonValue

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.commit.manifests import read_manifest
from qvl.training.loop.logs import read_journal
from qvl.training.loop.records import QuarantineLine, RunManifest, ScoreLine, SpikeLine, StepLine

RecipePart = dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Resume:
    """A step before which the run was resumed, with ``world`` processes."""

    step: int
    world: int


@dataclass(frozen=True, slots=True)
class StageHistory:
    """One stage. ``steps``: log lines in the order of their steps, each step once; ``planned``: steps of the recipe."""

    name: str
    planned: int
    steps: list[StepLine]
    scores: list[ScoreLine]
    quarantine: list[QuarantineLine]
    spikes: list[SpikeLine]
    resumes: list[Resume]


@dataclass(frozen=True, slots=True)
class History:
    """A run: its recipe as plain data, the number of steps that it plans, and its stages in order."""

    name: str
    recipe: RecipePart
    planned: int
    stages: list[StageHistory]


def read_history(run: Path) -> History:
    """Read a run's folder. Raises DataError if it is not a run, or if no step has been logged yet."""
    manifest = read_manifest(run / "run.json", RunManifest)
    if manifest is None:
        raise DataError(f"{run} has no run.json, so it is not an output of `qvl train run`")
    recipe = manifest.recipe
    planned = cast(list[RecipePart], recipe["stages"])
    stages = [_stage(run, stage) for stage in planned if (run / _label(stage) / "log.jsonl").exists()]
    if not any(stage.steps for stage in stages):
        raise DataError(f"{run}: no step has been logged yet; `qvl train run` writes one line per step")
    steps = sum(cast(int, stage["steps"]) for stage in planned)
    return History(str(recipe["name"]), recipe, steps, [stage for stage in stages if stage.steps])


def _label(stage: RecipePart) -> str:
    return str(stage.get("name") or stage["stage"])


def _stage(run: Path, stage: RecipePart) -> StageHistory:
    folder = run / _label(stage)
    steps, resumes = _in_order(read_journal(folder / "log.jsonl", StepLine))
    return StageHistory(
        _label(stage),
        cast(int, stage["steps"]),
        steps,
        read_journal(folder / "eval.jsonl", ScoreLine),
        read_journal(folder / "quarantine.jsonl", QuarantineLine),
        read_journal(folder / "spikes.jsonl", SpikeLine),
        resumes,
    )


def _in_order(lines: list[StepLine]) -> tuple[list[StepLine], list[Resume]]:
    """Each step once, as it was done last, and the resumes.

    A run was resumed where a step is repeated, or where the attempt or the number of processes changes.
    """
    steps: dict[int, StepLine] = {}
    resumes: dict[int, Resume] = {}
    before: StepLine | None = None
    for line in lines:
        if before is not None and _is_resumed(before, line):
            for step in [step for step in steps if step >= line.step]:
                del steps[step]
            resumes[line.step] = Resume(line.step, line.world)
        steps[line.step] = before = line
    return list(steps.values()), [resumes[step] for step in sorted(resumes)]


def _is_resumed(before: StepLine, line: StepLine) -> bool:
    return (before.attempt, before.world) != (line.attempt, line.world) or line.step <= before.step
