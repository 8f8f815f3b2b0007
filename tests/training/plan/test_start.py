"""The model that a plan starts from."""

from pathlib import Path

from qvl.training.plan.plan import make_plan
from qvl.training.plan.records import Terms
from qvl.training.recipe import load_train_recipe
from tests.training.made import stage, write_recipe


def test_new_weights_have_as_many_rows_as_a_small_tokenizer_needs(datasets: dict[str, Path], tmp_path: Path) -> None:
    tokenizer = str(Path("examples/tokenizer.json").resolve())
    path = write_recipe(tmp_path / "r.yaml", Path("nano"), datasets, stage(), tokenizer=tokenizer)
    plan = make_plan(load_train_recipe(path), Terms(), samples=16)
    assert 750_000 < plan.model.language < 1_100_000  # 3,072 rows and those of the special tokens, 128 wide
