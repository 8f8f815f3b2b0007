"""The history of a training run: steps, scores, quarantined samples, loss spikes, and where it was resumed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from qvl.pipeline.base.errors import DataError
from qvl.training.loop.logs import read_lines

Line = dict[str, Any]


@dataclass(frozen=True)
class Resume:
    """A step before which the run was resumed, with ``world`` processes if the log says so."""

    step: int
    world: int | None


@dataclass(frozen=True)
class StageHistory:
    """One stage. ``steps``: log lines in the order of their steps, each step once; ``planned``: steps of the recipe."""

    name: str
    planned: int
    steps: list[Line]
    scores: list[Line]
    quarantine: list[Line]
    spikes: list[Line]
    resumes: list[Resume]


@dataclass(frozen=True)
class History:
    """A run: its recipe as plain data, and its stages in order."""

    name: str
    recipe: Line
    stages: list[StageHistory]


def read_history(run: Path) -> History:
    """Read a run's folder. Raises DataError if it is not a run, or if no step has been logged yet."""
    try:
        content = orjson.loads((run / "run.json").read_bytes())
    except FileNotFoundError:
        raise DataError(f"{run}: no run.json; this is no output of `qvl train run`") from None
    except orjson.JSONDecodeError:
        raise DataError(f"{run}/run.json is damaged; start the run again, it writes the file anew") from None
    recipe = content["recipe"]
    stages = [_stage(run, stage) for stage in recipe["stages"] if (run / _label(stage) / "log.jsonl").exists()]
    if not any(stage.steps for stage in stages):
        raise DataError(f"{run}: no step was logged yet; `qvl train run` writes one line per step")
    return History(recipe["name"], recipe, [stage for stage in stages if stage.steps])


def _label(stage: Line) -> str:
    return str(stage.get("name") or stage["stage"])


def _stage(run: Path, stage: Line) -> StageHistory:
    folder = run / _label(stage)
    steps, resumes = _in_order(read_lines(folder / "log.jsonl"))
    scores, quarantine, spikes = (read_lines(folder / f"{name}.jsonl") for name in ("eval", "quarantine", "spikes"))
    return StageHistory(_label(stage), stage["steps"], steps, scores, quarantine, spikes, resumes)


def _in_order(lines: list[Line]) -> tuple[list[Line], list[Resume]]:
    """Each step once, as it was done last, and the resumes.

    A run was resumed where a step is repeated, or where the attempt or the number of processes changes.
    """
    steps: dict[int, Line] = {}
    resumes: dict[int, Resume] = {}
    before: Line | None = None
    for line in lines:
        if before is not None and _is_resumed(before, line):
            for step in [step for step in steps if step >= line["step"]]:
                del steps[step]
            resumes[line["step"]] = Resume(line["step"], line.get("world"))
        steps[line["step"]] = before = line
    return list(steps.values()), [resumes[step] for step in sorted(resumes)]


def _is_resumed(before: Line, line: Line) -> bool:
    other = any(name in line and line[name] != before.get(name) for name in ("attempt", "world"))
    return other or line["step"] <= before["step"]
