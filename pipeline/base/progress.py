"""What a run shows while it works: units done, rows per second, time left, and how many rows were dropped, by reason."""

from collections import Counter
from contextlib import suppress
from types import TracebackType

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from qvl.pipeline.base.addresses import without_secrets
from qvl.pipeline.base.screen import Screen
from qvl.pipeline.base.terminal import has_terminal, visible

SHOWN_REASONS = 4
LINES_WITHOUT_TERMINAL = 10


class RunProgress:
    """One bar per stage on a terminal; elsewhere, such as in a log file, ten plain lines per stage. Writes to stderr."""

    def __init__(self) -> None:
        self.console = Screen(stderr=True)
        columns = (
            TextColumn("{task.description:<8}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[drops]}", style="dim", markup=False),  # a reason may contain text from the data
        )
        self._bars = Progress(*columns, console=self.console, disable=not has_terminal())
        self._task: TaskID | None = None
        self._drops: Counter[str] = Counter()
        self._rows = self._done = self._total = 0

    def __enter__(self) -> "RunProgress":
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def warn(self, line: str) -> None:
        """Show a warning that does not stop the run."""
        self.console.print(f"warning: {without_secrets(line)}", highlight=False, soft_wrap=True)

    def stage(self, name: str, total: int, done: int = 0) -> None:
        """Start a stage of ``total`` pieces of work, of which ``done`` are reused from an earlier run."""
        self._rows, self._done, self._total, self._drops = 0, done, total, Counter()
        self._name = name
        self._task = self._bars.add_task(name, total=total, completed=done, rate="", drops="")

    def advance(self, rows: int = 0, drops: dict[str, int] | None = None) -> None:
        """One more piece is done. It had ``rows`` rows, and ``drops`` of them were dropped, by reason."""
        if self._task is None:
            return
        self._rows += rows
        self._done += 1
        self._drops.update(drops or {})
        elapsed = self._bars.tasks[self._task].elapsed or 0.0
        rate = f"{self._rows / elapsed:,.0f} rows/s" if elapsed and self._rows else ""
        shown = self._drops.most_common(SHOWN_REASONS)
        drops_text = visible("  ".join(f"{reason} {count:,}" for reason, count in shown))
        self._bars.update(self._task, advance=1, rate=rate, drops=drops_text)
        if self._bars.disable and self._done % max(1, self._total // LINES_WITHOUT_TERMINAL) == 0:
            with suppress(OSError):  # a log that is full or closed does not end a run
                self.console.print(f"{self._name} {self._done}/{self._total} {rate} {drops_text}", soft_wrap=True)
