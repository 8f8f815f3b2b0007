"""Generate docs/commands.md from the commands themselves: ``python -m tests.docs.reference``."""

from collections.abc import Iterator
from enum import EnumType
from typing import Any

import typer.main

from qvl.command import app
from tests.docs.pages import ROOT

PAGE = ROOT / "docs" / "commands.md"
HEAD = """# Every command

Generated from `--help` by `python -m tests.docs.reference`; a test checks that it is up to date. Options say where and how
to run; everything that changes the data is in the recipe.

## Exit status

An error is one line on standard error.

| status | meaning |
|---|---|
| 0 | The command did what it was asked. |
| 1 | The command did it, and the answer is no: a discrepancy, a finding, something that is missing. |
| 2 | An error that you can fix: in the recipe, the options, the data, the machine or the store. |
| 70 | An error that nobody foresaw, a fault of `qvl`. The same command with `QVL_TRACEBACK=1` shows the traceback. |
| 130 | Ctrl-C in a command that leaves nothing to continue. Runs end with 2 and say how to continue. |
| 141 | Whatever read the command's output, such as `head`, stopped reading. |
| 143 | SIGTERM or Ctrl-C stopped a training run after it saved a checkpoint. |
"""
READ = {
    "view": "view.md",
    "doctor": "mix.md#doctor",
    "demo": "journey.md",
    "recipes": "sources/README.md",
    "curate": "curation.md",
    "ground": "grounding.md",
    "ocr": "ocr.md",
    "text": "text.md",
    "plugin": "plugins.md",
    "model": "model.md",
    "train": "training.md",
    "eval": "evaluation.md",
    "mix": "mix.md",
}


def commands() -> Iterator[tuple[tuple[str, ...], Any]]:
    """The words and the click command of every command, without groups."""

    def below(command: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
        if not hasattr(command, "commands"):
            yield words, command
            return
        for name, each in command.commands.items():
            yield from below(each, (*words, name))

    yield from below(typer.main.get_command(app), ("qvl",))


def reference() -> str:
    """The text of docs/commands.md."""
    lines, group = [HEAD], ""
    for words, command in commands():
        if words[1] != group:
            group = words[1]
            lines.append(f"## {' '.join(words[:2])}\n\n[{READ[group]}]({READ[group]})\n")
        lines.append(section(words, command))
    return "\n".join(lines)


def section(words: tuple[str, ...], command: Any) -> str:
    """The section of one command: its usage, what it does, its options with their defaults."""
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    named = [(each.metavar or each.name.upper(), each) for each in arguments]
    shown = [name if each.required else f"[{name}]" for name, each in named]
    text = " ".join((command.help or "").split())
    lines = [f"### `{' '.join((*words, *shown))}`", "", text, "", "| | default | |", "|---|---|---|"]
    lines += [f"| `{name}` | | {help_text(each)} |" for name, each in named]
    lines += [option(each) for each in command.params if each.param_type_name == "option"]
    return "\n".join(lines) + "\n"


def option(each: Any) -> str:
    if each.required:
        default = "required"
    elif each.is_flag or each.default in (None, ()):
        default = ""
    else:
        default = f"`{getattr(each.default, 'value', each.default)}`"
    names = ", ".join(f"`{name}`" for name in each.opts)
    return f"| {names} | {default} | {help_text(each)} |"


def help_text(each: Any) -> str:
    """The help text, and the values to choose from."""
    kind = each.type_descriptor.annotation
    values = [one.value for one in kind] if isinstance(kind, EnumType) else []
    choice = f"; one of {', '.join(values)}" if values else ""
    return f"{each.help or ''}{choice}".replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(reference(), "utf-8")
