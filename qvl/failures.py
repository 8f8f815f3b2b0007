"""How a command ends: the one handler of every error, with one line on stderr and an exit status.

| status | meaning |
|---|---|
| 0 | the command did what it was asked |
| 1 | it did, and the answer is no: a discrepancy, a finding, something that is missing |
| 2 | an error that the user can fix |
| 70 | an error that nobody foresaw: a fault of qvl; ``QVL_TRACEBACK=1`` shows where |
| 130 | Ctrl-C, where no run could say how to continue |
| 141 | whatever read standard output stopped reading |
| 143 | a signal stopped a training run, which had saved a checkpoint |
"""

import io
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import typer

from qvl.pipeline.base.addresses import without_secrets
from qvl.pipeline.base.errors import QvlError, require_utf8
from qvl.pipeline.base.terminal import visible, visible_lines

if TYPE_CHECKING:
    from typing_extensions import Buffer

FIXABLE, UNFORESEEN, INTERRUPTED, READER_GONE = 2, 70, 130, 141
TRACEBACK = "QVL_TRACEBACK"
OUTPUT = "standard output"
USAGE_ERROR: Any = typer.BadParameter.__bases__[0]  # UsageError, which Typer does not export
format_warning = warnings.formatwarning
LONGEST = 2_000  # characters of a message
EXTRAS = {  # module that a command imports late -> extra of pyproject.toml that installs it
    "open_clip": "clip",
    **dict.fromkeys(("safetensors", "tokenizers", "torch", "transformers"), "model"),
    **dict.fromkeys(("deepspeed", "peft", "tensorboard"), "train"),
}


def exit_status(command: Callable[[], object], arguments: list[str]) -> int:
    """Run a command to its end and return its exit status. An error is one line on stderr.

    ``command`` prints its own usage errors and ends them with SystemExit, as Typer does.
    """
    open_standard_output()
    filter_messages_of_libraries()
    try:
        for argument in arguments:
            require_utf8(argument)
        command()
        status = 0
    except SystemExit as ending:
        # Typer and Rich turn a closed pipe into the status 1, which also is an answer of ours
        status = READER_GONE if isinstance(ending.__context__, BrokenPipeError) else _code(ending)
    except KeyboardInterrupt:
        status = INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the only handler of errors that nobody foresaw
        status = _reported(error, arguments)
    return _flushed(status)


@contextmanager
def readable_usage_errors() -> Iterator[None]:
    """Show the arguments that a usage error quotes as all texts are shown. Typer prints the error."""
    try:
        yield
    except USAGE_ERROR as error:
        error.message = visible(without_secrets(error.message))
        raise


def filter_messages_of_libraries() -> None:
    """Warnings of Python and log lines of libraries are shown as our messages are: no control characters, no secrets."""
    warnings.formatwarning = _warning
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(_LogLine())


def _warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    return visible_lines(without_secrets(format_warning(message, category, filename, lineno, line)))


class _LogLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return visible_lines(without_secrets(super().format(record)))


class _StandardOutput(io.FileIO):
    """Descriptor 1, whose errors say what failed."""

    def write(self, data: "Buffer", /) -> int | None:  # type: ignore[override]  # typeshed leaves out None
        try:
            return super().write(data)
        except OSError as error:
            error.filename = OUTPUT
            raise


def open_standard_output() -> None:
    """Let standard output say so when it is full, and show a name that its encoding cannot express instead of failing."""
    before = sys.__stdout__
    if before is None or sys.stdout is not before:
        return
    before.flush()
    raw = _StandardOutput(before.fileno(), "w", closefd=False)
    unbuffered = before.write_through  # python -u
    sys.stdout = io.TextIOWrapper(
        cast(BinaryIO, raw) if unbuffered else io.BufferedWriter(raw),
        before.encoding,
        "backslashreplace",
        line_buffering=before.line_buffering,
        write_through=unbuffered,
    )


def one_line(text: str) -> str:
    """A message as one line that a terminal can show: no control characters, no secrets of addresses, and not too long."""
    line = " ".join(without_secrets(text).split())
    shown = visible(line)
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST // 2]} ... {shown[-LONGEST // 2 :]}"


def _code(ending: SystemExit) -> int:
    if isinstance(ending.code, str):
        _say(ending.code)
    return ending.code if isinstance(ending.code, int) else 1 if ending.code else 0


def _reported(error: Exception, arguments: list[str]) -> int:
    """Print the line of an error. Returns the exit status."""
    if isinstance(error, BrokenPipeError):
        return READER_GONE
    if os.environ.get(TRACEBACK):
        _say(visible_lines(without_secrets("".join(traceback.format_exception(error)).rstrip())))
    line = _fixable(error, arguments)
    if line is not None:
        _say(f"error: {one_line(line)}")
        return FIXABLE
    kind, text = type(error).__name__, f": {error}" if str(error) else ""
    _say(
        f"error: unforeseen {one_line(kind + text)} ({_where(error)}); this is a fault of qvl: {TRACEBACK}=1 in front of "
        "the same command shows its traceback, which belongs in a report of the fault"
    )
    return UNFORESEEN


def _fixable(error: Exception, arguments: list[str]) -> str | None:
    """The message of an error that the user can fix; None for any other."""
    if isinstance(error, QvlError):
        return str(error)
    if isinstance(error, ModuleNotFoundError):
        extra = extra_of(error.name, arguments)
        hint = f"{error.name} is not installed; pip install 'qvl[{extra}]' (in a checkout '.[{extra}]')"
        return hint if extra is not None else None
    if isinstance(error, MemoryError):
        return f"out of memory{': ' if str(error) else ''}{error}"
    if isinstance(error, OSError):
        cause = error.strerror or str(error) or type(error).__name__
        return f"{os.fsdecode(error.filename)}: {cause}" if isinstance(error.filename, str | bytes) else cause
    return None


def extra_of(module: str | None, arguments: list[str]) -> str | None:
    """The extra that installs ``module`` for the command in ``arguments``; None for a module of the base installation."""
    extra = EXTRAS.get((module or "").partition(".")[0])
    return arguments[0] if extra == "model" and arguments[:1] == ["train"] else extra


def _where(error: Exception) -> str:
    """File and line where the error arose: the last one in qvl, otherwise the last one of all."""
    frames = traceback.extract_tb(error.__traceback__)
    root = str(Path(__file__).resolve().parents[1])
    ours = [frame for frame in frames if frame.filename.startswith(root)]
    last = (ours or frames)[-1]
    return f"{Path(last.filename).name}:{last.lineno}"


def _say(text: str) -> None:
    """Write to stderr. Where even that is closed or full, the exit status alone must do."""
    try:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
    except (OSError, AttributeError):
        _discard(sys.stderr, 2)


def _flushed(status: int) -> int:
    """The exit status once everything is written to standard output, which may be full or closed."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        _discard(sys.stdout, 1)
        return status or READER_GONE
    except OSError as error:
        _discard(sys.stdout, 1)
        if status == 0:
            _say(f"error: {OUTPUT}: {error.strerror}")
        return status or FIXABLE
    return status


def _discard(stream: object, descriptor: int) -> None:
    """Send what is left in a stream's buffer nowhere, or Python would fail again when it ends."""
    if stream is not None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)
