"""What a stage reports while it runs: journals of JSON lines, TensorBoard, optionally wandb, and a line on the terminal."""

from pathlib import Path
from typing import Any, Generic, TypeVar

import orjson
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from qvl.pipeline.base.screen import Screen
from qvl.pipeline.base.terminal import has_terminal
from qvl.pipeline.commit.records import decode
from qvl.pipeline.storage.atomic import replace_file
from qvl.training.loop.records import QuarantineLine, ScoreLine, SpikeLine, StepLine

LINES_WITHOUT_TERMINAL = 20
"""The number of lines that a whole stage prints when it has no terminal for a progress bar."""

Line = TypeVar("Line", StepLine, QuarantineLine, SpikeLine, ScoreLine)


class Journal(Generic[Line]):
    """An append-only file of JSON lines. Opening it for ``step`` drops the lines of that step and of later ones.

    A resumed run does those steps again: the killed one wrote their lines, but no checkpoint.
    """

    def __init__(self, path: Path, step: int) -> None:
        kept = [line for line in _whole_lines(path) if orjson.loads(line)["step"] < step]
        replace_file(path, b"".join(line + b"\n" for line in kept))
        self._file = path.open("ab")

    def write(self, line: Line) -> None:
        """Append a line. It is in the file when this returns."""
        self._file.write(orjson.dumps(line, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def read_journal(path: Path, kind: type[Line]) -> list[Line]:
    """The lines of a journal, empty if the file does not exist. A line that was cut off by a kill is left out.

    Raises DataError for a line with unknown or missing keys.
    """
    return [decode(kind, line, str(path)) for line in _whole_lines(path)]


def _whole_lines(path: Path) -> list[bytes]:
    lines = path.read_bytes().splitlines() if path.exists() else []
    return [line for line in lines if _is_json(line)]


def _is_json(line: bytes) -> bool:
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return True


class StageLog:
    """The log of one stage, written by rank 0. ``step``: the step that it continues at; ``steps``: those of the stage."""

    def __init__(self, folder: Path, stage: str, step: int, steps: int, wandb: bool = False) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.steps = steps
        self.journal: Journal[StepLine] = Journal(folder / "log.jsonl", step)
        self.quarantine: Journal[QuarantineLine] = Journal(folder / "quarantine.jsonl", step)
        self.spikes: Journal[SpikeLine] = Journal(folder / "spikes.jsonl", step)
        self.scores: Journal[ScoreLine] = Journal(folder / "eval.jsonl", step)
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step)
        self._wandb = _open_wandb(folder, stage) if wandb else None
        self._console = Screen(stderr=True)
        columns = (
            TextColumn("{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn(),
            TextColumn("{task.fields[line]}"), TimeElapsedColumn(), TimeRemainingColumn(),
        )  # fmt: skip
        self._bar = Progress(*columns, console=self._console, disable=not has_terminal())
        self._task = self._bar.add_task(stage, total=steps, completed=step, line="")
        self._stage = stage
        self._bar.start()

    def step(self, line: StepLine) -> None:
        """Record one optimizer step everywhere."""
        self.journal.write(line)
        for name, value in _scalars(line).items():
            self._board.add_scalar(name, value, line.step)
        if self._wandb is not None:
            self._wandb.log(_scalars(line), step=line.step)
        text, done = _summary(line), line.step + 1
        self._bar.update(self._task, completed=done, line=text)
        if self._bar.disable and (done % max(1, self.steps // LINES_WITHOUT_TERMINAL) == 0 or done == 1):
            self._console.print(f"{self._stage} {done}/{self.steps}  {text}")

    def close(self) -> None:
        self._bar.stop()
        self._board.close()
        for journal in (self.journal, self.quarantine, self.spikes, self.scores):
            journal.close()
        if self._wandb is not None:
            self._wandb.finish()


def _scalars(line: StepLine) -> dict[str, float]:
    """The curves of TensorBoard and wandb at one step."""
    seconds = max(line.seconds, 1e-9)
    measured = {
        "loss": line.loss,
        "lr": line.lr,
        "grad_norm": line.grad_norm,
        "mfu": line.mfu,
        "memory_gb": line.memory_gb,
        "samples_per_second": line.samples / seconds,
        "tokens_per_second": line.tokens / seconds,
        "data_wait_share": line.data_wait / seconds,
    }
    scalars = {name: value for name, value in measured.items() if value is not None}
    for kind, losses in (("loss_by_source", line.loss_by_source), ("loss_by_class", line.loss_by_class)):
        scalars |= {
            f"{kind}/{name}": total / count for name, (total, count) in losses.items() if count and total is not None
        }
    return scalars


def _summary(line: StepLine) -> str:
    seconds = max(line.seconds, 1e-9)
    loss = "  none" if line.loss is None else f"{line.loss:.4f}"
    parts = [
        f"loss {loss}",
        f"lr {line.lr:.2e}",
        f"{line.samples / seconds:,.1f} samples/s",
        f"{line.tokens / seconds:,.0f} tokens/s",
        f"wait {line.data_wait / seconds:.0%}",
    ]
    if line.mfu is not None:
        parts.append(f"MFU {line.mfu:.0%}")
    if line.skipped:
        parts.append("SKIPPED")
    return "  ".join(parts)


def _open_wandb(folder: Path, stage: str) -> Any:
    import wandb  # type: ignore[import-not-found]

    return wandb.init(project="qvl", name=f"{folder.parent.name}-{stage}", dir=str(folder), resume="allow")
