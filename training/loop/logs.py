"""What a stage tells while it runs: JSON lines always, TensorBoard, optional wandb, and a line on the terminal."""

import json
import sys
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from qvl.pipeline.storage.atomic import replace_file

LINES_WITHOUT_TERMINAL = 20
SCALARS = ("loss", "lr", "grad_norm", "mfu", "memory_gb")


class Journal:
    """An append-only file of JSON lines. Lines of steps that a killed run did not save are cut off on resume."""

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        lines = [line for line in read_journal(path) if line["step"] < step]
        replace_file(path, b"".join(orjson.dumps(line) + b"\n" for line in lines))
        self.lines = len(lines)
        self._file = path.open("ab")

    def write(self, line: dict[str, Any]) -> None:
        """Append a line; it is in the file when this returns."""
        self._file.write(orjson.dumps(line, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n")
        self._file.flush()
        self.lines += 1

    def close(self) -> None:
        self._file.close()


def read_journal(path: Path) -> list[dict[str, Any]]:
    """The lines of a journal; one that a kill cut in the middle is left out."""
    lines = []
    for line in path.read_bytes().splitlines() if path.exists() else ():
        try:
            lines.append(orjson.loads(line))
        except orjson.JSONDecodeError:
            continue
    return lines


class StageLog:
    """The log of one stage, written by rank 0. ``step`` is where it goes on."""

    def __init__(self, folder: Path, stage: str, step: int, steps: int, wandb: bool = False) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.steps = steps
        self.journal = Journal(folder / "log.jsonl", step)
        self.quarantine = Journal(folder / "quarantine.jsonl", step)
        self.spikes = Journal(folder / "spikes.jsonl", step)
        self.scores = Journal(folder / "eval.jsonl", step)
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step)
        self._wandb = _open_wandb(folder, stage) if wandb else None
        self._console = Console(stderr=True, markup=False, emoji=False, highlight=False)
        columns = (
            TextColumn("{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn(),
            TextColumn("{task.fields[line]}"), TimeElapsedColumn(), TimeRemainingColumn(),
        )  # fmt: skip
        self._bar = Progress(*columns, console=self._console, disable=not sys.stderr.isatty())
        self._task = self._bar.add_task(stage, total=steps, completed=step, line="")
        self._stage = stage
        self._bar.start()

    def step(self, line: dict[str, Any]) -> None:
        """One optimizer step."""
        self.journal.write(line)
        number, seconds = line["step"], max(line["seconds"], 1e-9)
        scalars = {name: line[name] for name in SCALARS if line[name] is not None}
        scalars |= {"samples_per_second": line["samples"] / seconds, "tokens_per_second": line["tokens"] / seconds}
        scalars |= {"data_wait_share": line["data_wait"] / seconds}
        for kind in ("loss_by_source", "loss_by_class"):
            scalars |= {f"{kind}/{name}": total / count for name, (total, count) in line[kind].items() if count}
        for name, value in scalars.items():
            self._board.add_scalar(name, value, number)
        if self._wandb is not None:
            self._wandb.log(scalars, step=number)
        text = _line(line)
        self._bar.update(self._task, completed=number + 1, line=text)
        if self._bar.disable and ((number + 1) % max(1, self.steps // LINES_WITHOUT_TERMINAL) == 0 or number == 0):
            self._console.print(f"{self._stage} {number + 1}/{self.steps}  {text}")

    def say(self, text: str) -> None:
        """A line for the person who watches."""
        self._console.print(text)

    def close(self) -> None:
        self._bar.stop()
        self._board.close()
        for journal in (self.journal, self.quarantine, self.spikes, self.scores):
            journal.close()
        if self._wandb is not None:
            self._wandb.finish()


def _line(line: dict[str, Any]) -> str:
    seconds = max(line["seconds"], 1e-9)
    loss = "  none" if line["loss"] is None else f"{line['loss']:.4f}"
    parts = [
        f"loss {loss}",
        f"lr {line['lr']:.2e}",
        f"{line['samples'] / seconds:,.1f} samples/s",
        f"{line['tokens'] / seconds:,.0f} tokens/s",
        f"wait {line['data_wait'] / seconds:.0%}",
    ]
    if line["mfu"] is not None:
        parts.append(f"MFU {line['mfu']:.0%}")
    if line["skipped"]:
        parts.append("SKIPPED")
    return "  ".join(parts)


def _open_wandb(folder: Path, stage: str) -> Any:
    import wandb  # type: ignore[import-not-found]

    return wandb.init(project="qvl", name=f"{folder.parent.name}-{stage}", dir=str(folder), resume="allow")


def write_json(path: Path, content: dict[str, Any]) -> None:
    """A small file, whole or not at all."""
    replace_file(path, (json.dumps(content, indent=2, sort_keys=True) + "\n").encode())
