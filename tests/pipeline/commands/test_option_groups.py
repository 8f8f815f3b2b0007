"""Groups of options, through Typer and its own command runner."""

from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from qvl.pipeline.commands.option_groups import with_option_groups

app = typer.Typer()


@dataclass(frozen=True, slots=True)
class Size:
    """Options of one group: a required one, and one with a default and another name."""

    width: Annotated[int, typer.Option(min=1, help="Pixels across")]
    colours: Annotated[list[str] | None, typer.Option("--colour", help="Repeatable")] = None


@app.command()
@with_option_groups
def draw(
    name: Annotated[str, typer.Argument()], size: Size, loud: Annotated[bool, typer.Option("--loud")] = False
) -> None:
    """Draw something."""
    typer.echo(f"{name} {size} {loud}")


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        (["cat", "--width", "3"], "cat Size(width=3, colours=None) False"),
        (["--colour", "red", "cat", "--loud", "--width", "7", "--colour", "blue"], "['red', 'blue']) True"),
    ],
)
def test_options_of_a_group_reach_the_command_as_one_record(arguments: list[str], printed: str) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0 and printed in result.output


@pytest.mark.parametrize(("arguments", "said"), [(["cat"], "--width"), (["cat", "--width", "0"], "Invalid value")])
def test_a_group_without_its_required_option_or_out_of_range_is_a_usage_error(arguments: list[str], said: str) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2 and said in result.output


def test_help_lists_the_options_of_a_group_in_the_order_of_its_fields() -> None:
    text = CliRunner().invoke(app, ["--help"]).output
    assert "Draw something." in text
    assert text.index("--width") < text.index("--colour") < text.index("--loud")
