"""The plan of the paper's recipes against the reference, and of small recipes against what the loader delivers."""

from pathlib import Path

import pytest

from qvl.pipeline.base.errors import DataError
from qvl.training.plan.plan import make_plan
from qvl.training.plan.records import Terms
from qvl.training.recipe import load_train_recipe
from tests.training.made import of_task, stage, write_dataset, write_recipe

RECIPES = Path("training/recipes")
HALF = Terms(gpus=8, gpu="h200", mfu=0.5)


@pytest.mark.parametrize(
    ("name", "text", "tflop", "hours"),
    [("stage1_pretrain", 68, 11.7, 10_087), ("stage2_multitask", 122, 27.8, 1_212)],
)
def test_hours_of_the_paper_stages_match_the_reference(name: str, text: int, tflop: float, hours: float) -> None:
    (made,) = make_plan(load_train_recipe(RECIPES / f"{name}.yaml"), HALF, text).stages
    assert made.tflop_per_sample.total == pytest.approx(tflop, rel=0.03)
    assert made.cost.gpu_hours == pytest.approx(hours, rel=0.03)
    assert made.cost.samples_per_second * made.cost.seconds_per_step == pytest.approx(made.samples_per_step)


def test_the_plan_of_one_file_adds_up_over_its_stages() -> None:
    made = make_plan(load_train_recipe(RECIPES / "one_file.yaml"), HALF, 68)
    assert [each.name for each in made.stages] == ["pretrain", "multitask", "sft"]
    assert made.total.gpu_hours == pytest.approx(sum(each.cost.gpu_hours for each in made.stages))
    assert 11_000 < made.total.gpu_hours < 16_900  # the reference's "packed" range
    assert made.total.cost == pytest.approx(3 * made.total.gpu_hours)
    assert made.start is None and made.model.all == 9_655_886_592
    epochs = [part.epochs for part in made.stages[0].mix]
    assert epochs == pytest.approx([1_536 / 1_417.4] * 10, rel=1e-3)
    memory = {(way.zero, way.offload): way for way in made.stages[1].memory}
    assert memory[2, "none"].chosen and memory[2, "none"].states == pytest.approx(36.2, abs=0.05)


def test_every_missing_file_is_named_in_one_error(start: Path, tmp_path: Path) -> None:
    whole = write_dataset(tmp_path / "whole", "whole", [of_task("caption", number) for number in range(40)])
    (whole / "whole-000001.tar").unlink()
    (whole / "whole-000000.parquet").unlink()
    cut = whole / "whole-000002.tar"
    cut.write_bytes(cut.read_bytes()[:-512])
    folders = {"whole": whole, "gone": tmp_path / "nowhere"}
    mix = [{"dataset": "whole", "weight": 1}, {"dataset": "gone", "weight": 1}]
    path = write_recipe(tmp_path / "r.yaml", start, folders, stage(mix=mix))
    with pytest.raises(DataError) as error:
        make_plan(load_train_recipe(path), Terms())
    for words in (
        "whole-000001.tar: missing",
        "whole-000000.parquet: missing",
        "whole-000002.tar: ",
        "dataset gone: ",
        "nowhere",
    ):
        assert words in str(error.value)
    with pytest.raises(DataError, match=r"start: .* neither a model folder"):
        make_plan(load_train_recipe(RECIPES / "stage3_sft.yaml"), Terms())
