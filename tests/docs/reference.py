"""docs/commands.md, made from the commands themselves: ``python -m tests.docs.reference`` writes it."""

from collections.abc import Iterator
from enum import EnumType
from typing import Any

import typer.main

from qvl.command import app
from tests.docs.pages import ROOT

PAGE = ROOT / "docs" / "commands.md"
HEAD = """# Every command

Made from `--help` by `python -m tests.docs.reference`; a test compares. Errors that you can mend are one
line and exit code 2. Flags say where and how; what alters data is in the recipe.
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
    "model": "model.md",
    "train": "training.md",
    "eval": "evaluation.md",
    "mix": "mix.md",
}


def commands() -> Iterator[tuple[tuple[str, ...], Any]]:
    """Words and click command of every command, groups left out."""

    def below(command: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
        if not hasattr(command, "commands"):
            yield words, command
            return
        for name, each in command.commands.items():
            yield from below(each, (*words, name))

    yield from below(typer.main.get_command(app), ("qvl",))


def reference() -> str:
    """The page."""
    lines, group = [HEAD], ""
    for words, command in commands():
        if words[1] != group:
            group = words[1]
            lines.append(f"## {' '.join(words[:2])}\n\n[{READ[group]}]({READ[group]})\n")
        lines.append(section(words, command))
    return "\n".join(lines)


def section(words: tuple[str, ...], command: Any) -> str:
    """One command: its line, what it does, its options with their defaults."""
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    named = [(each.metavar or each.name.upper(), each) for each in arguments]
    shown = [name if each.required else f"[{name}]" for name, each in named]
    text = " ".join((command.help or "").split())
    lines = [f"### `{' '.join((*words, *shown))}`", "", text, "", "| | default | |", "|---|---|---|"]
    lines += [f"| `{name}` | | {said(each)} |" for name, each in named]
    lines += [option(each) for each in command.params if each.param_type_name == "option"]
    return "\n".join(lines) + "\n"


def option(each: Any) -> str:
    if each.required:
        default = "must be given"
    elif each.is_flag or each.default in (None, ()):
        default = ""
    else:
        default = f"`{getattr(each.default, 'value', each.default)}`"
    names = ", ".join(f"`{name}`" for name in each.opts)
    return f"| {names} | {default} | {said(each)} |"


def said(each: Any) -> str:
    """The help text, and the words that may be chosen."""
    kind = each.type_descriptor.annotation
    words = [one.value for one in kind] if isinstance(kind, EnumType) else []
    chosen = f"; one of {', '.join(words)}" if words else ""
    return f"{each.help or ''}{chosen}".replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(reference(), "utf-8")
