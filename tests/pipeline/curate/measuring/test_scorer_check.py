"""What the contract tests of scorers find: values that depend on other pictures, on state, or on the picture's size."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from qvl.pipeline.commands.plugin import app
from qvl.pipeline.curate.measuring.plugin_check import CheckedPlugin
from qvl.pipeline.curate.measuring.scorer_check import check_scorer
from tests.pipeline.curate.measuring.test_scorers import SIZE
from tests.pipeline.plugins.modules import loaded, write

LINE = "return [image.shape[1] for image in images]"


def checked(tmp_path: Path, body: str) -> CheckedPlugin:
    assert LINE in SIZE
    (plugin,) = loaded(write(tmp_path / "a.py", SIZE.replace(LINE, body))).scorers
    return check_scorer(plugin)


def problems(found: CheckedPlugin) -> list[str]:
    return [finding.what for finding in found.findings if finding.problem is not None]


def test_check_when_a_scorer_is_pure_finds_nothing(tmp_path: Path) -> None:
    found = checked(tmp_path, LINE)
    assert (problems(found), found.passed, found.notes) == ([], True, ())
    assert found.rows_per_second > 0


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return [len(images)] * len(images)", ["the same values for pictures in other batches"]),
        ("self.n = getattr(self, 'n', 0) + 1; return [self.n] * len(images)", ["the same values when it runs again"]),
        ("return list(range(len(images)))", ["the same values for shuffled pictures"]),
        ("return ['x'] * len(images)", ["types"]),
        ("images[0][:] = 0; return [1] * len(images)", ["types"]),
    ],
)
def test_check_when_values_depend_on_more_than_the_picture_says_so(
    tmp_path: Path, body: str, expected: list[str]
) -> None:
    assert problems(checked(tmp_path, body))[:1] == expected


def test_check_when_some_pictures_make_a_scorer_fail_notes_the_size(tmp_path: Path) -> None:
    found = checked(tmp_path, "return [1 // (image.shape[1] // 8) for image in images]")
    assert found.passed
    assert found.notes == (
        "8 of 24 pictures make it fail, such as one of 1 x 1: unreadable:plugin:size:ZeroDivisionError",
    )


def test_command_when_a_module_has_only_a_scorer_prints_its_findings(tmp_path: Path) -> None:
    path = write(tmp_path / "a.py", SIZE)
    done = CliRunner().invoke(app, ["check", path], catch_exceptions=False)
    assert (done.exit_code, done.output.count("  ok  ")) == (0, 4)
    assert CliRunner().invoke(app, ["check", "qvl.scorers.sharpness"], catch_exceptions=False).exit_code == 0
