"""A run with balance that is killed while it balances: the same command finishes to the same bytes, serial and on Ray."""

import re
from pathlib import Path

import pytest

from tests.end_to_end.conftest import contents, dataset_hash, kill_and_finish, qvl, run_to_the_end

BALANCE = """balance:
  - {name: lengths, cap: {per: [words], count: 20}}
  - {name: longest, top: {by: characters, share: 0.8, per: [source]}}
  - {name: drawn, sample: {by: characters, temperature: 30, count: 100}}
"""


def decided(out: Path) -> dict[str, bytes]:
    """The ledger, the shards and what select committed."""
    return contents(out, ("ledger", "shards", "manifests/select", "manifests/ledger"))


@pytest.fixture(scope="module")
def recipe(many_units: Path) -> Path:
    """The recipe over twelve tars with three steps of balance."""
    path = many_units.with_name("balance.yaml")
    path.write_text(many_units.read_text() + BALANCE)
    return path


@pytest.fixture(scope="module")
def undisturbed_balance(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("balance") / "out"
    run_to_the_end(recipe, out)
    return out


@pytest.mark.parametrize("workers", ["serial", "ray"])
@pytest.mark.parametrize("step", ["offered-lengths", "balanced-longest", "balanced-drawn"])
def test_a_run_killed_while_it_balances_is_finished_by_the_same_command_to_the_same_bytes(
    recipe: Path, undisturbed_balance: Path, tmp_path: Path, workers: str, step: str
) -> None:
    out = tmp_path / "out"
    select = out / "manifests" / "select"
    kill_and_finish(recipe, out, workers, lambda: any(select.glob(f"{step}-*.json")))
    assert decided(out) == decided(undisturbed_balance)


def test_the_command_whatif_over_balance_answers_what_a_run_of_the_changed_recipe_keeps(
    recipe: Path, undisturbed_balance: Path, tmp_path: Path
) -> None:
    asked = qvl("curate", "whatif", str(undisturbed_balance), "balance.drawn=null", "balance.lengths.cap.count=5")
    assert asked.returncode == 0, asked.stderr
    changed = recipe.with_name("changed.yaml")
    lines = recipe.read_text().replace("count: 20", "count: 5").splitlines()
    changed.write_text("\n".join(line for line in lines if "drawn" not in line))
    run_to_the_end(changed, tmp_path / "out")
    assert dataset_hash(tmp_path / "out") != dataset_hash(undisturbed_balance)
    kept = re.search(r'"samples":\s*(\d+)', (tmp_path / "out" / "shards" / "dataset.json").read_text())
    assert kept is not None
    assert f", {kept[1]} after (" in asked.stdout
