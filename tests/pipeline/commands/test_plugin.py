"""``qvl plugin``: a new file runs and passes its own check; a broken one ends with status 1."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.commands.plugin import app
from tests.pipeline.curate.measuring.test_computed import HOST, curate, folder
from tests.pipeline.plugins.modules import write

__all__ = ["folder"]  # a fixture


def test_new_file_when_checked_passes_every_test(tmp_path: Path) -> None:
    path = tmp_path / "plugins" / "my_ops.py"
    made = CliRunner().invoke(app, ["new", str(path)], catch_exceptions=False)
    assert (made.exit_code, path.is_file()) == (0, True)
    done = CliRunner().invoke(app, ["check", str(path)], catch_exceptions=False)
    assert done.exit_code == 0
    assert "my_ops  writes my_ops_length (int32)" in done.output
    assert done.output.count("  ok  ") == 5
    assert "rows per CPU second" in done.output


@pytest.mark.parametrize("name", ["my-ops.py", "ops.txt", "1.py"])
def test_new_file_when_its_name_cannot_be_a_module_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(RecipeError, match=r"name a file such as my_ops\.py"):
        CliRunner().invoke(app, ["new", str(tmp_path / name)], catch_exceptions=False)


def test_new_file_when_it_exists_is_left_alone(tmp_path: Path) -> None:
    write(tmp_path / "a.py", "x = 1\n")
    with pytest.raises(RecipeError, match="exists already"):
        CliRunner().invoke(app, ["new", str(tmp_path / "a.py")], catch_exceptions=False)
    assert (tmp_path / "a.py").read_text() == "x = 1\n"


def test_check_when_an_operator_fails_a_test_ends_with_status_1_and_the_values(tmp_path: Path) -> None:
    body = HOST.replace('{"host": "string"}', '{"host": "int64"}').split("        return")[0]
    path = write(tmp_path / "a.py", f"{body}        return list(range(len(batch)))\n")
    done = CliRunner().invoke(app, ["check", path], catch_exceptions=False)
    assert done.exit_code == 1
    assert "FAILED  the same values for shuffled rows\n          host: " in done.output


def test_check_when_a_run_is_named_uses_its_rows_and_what_it_carries(folder: Path, tmp_path: Path) -> None:
    out = curate(folder)
    done = CliRunner().invoke(app, ["check", str(folder / "host.py"), "--on", str(out)], catch_exceptions=False)
    assert done.exit_code == 0
    assert "1 of 9 rows make it fail" in done.output
    with pytest.raises(RecipeError, match="no scanned rows"):
        CliRunner().invoke(app, ["check", str(folder / "host.py"), "--on", str(tmp_path)], catch_exceptions=False)
