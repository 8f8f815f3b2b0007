"""What a run would do."""

from pathlib import Path

import yaml

from qvl.pipeline.curate.plan import StagesDone, make_plan
from qvl.pipeline.recipe.recipe import load_recipe
from tests.pipeline.curate.small_run import content, curate


def test_make_plan_before_and_after_a_run_and_after_a_change_says_what_runs(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (data / "recipe.yaml").write_text(yaml.safe_dump(content()))
    recipe = load_recipe(data / "recipe.yaml")
    before = make_plan(recipe, out)
    assert not out.exists()
    assert {name: (s.units, s.reused) for name, s in before.sources.items()} == {"web": (2, 0), "disk": (1, 0)}
    assert before.sources["web"].bytes == sum(p.stat().st_size for p in (data / "web").glob("*.tar"))
    curate(data, out)
    after = make_plan(recipe, out)
    assert {name: (s.reused, s.rows) for name, s in after.sources.items()} == {"web": (2, 26), "disk": (1, 6)}
    assert after.stages == StagesDone(scan=True, select=True, pack=True)
    assert after.stale is None
    (data / "recipe.yaml").write_text(yaml.safe_dump(content(dedup={"image": False})))
    assert "dedup.image" in str(make_plan(load_recipe(data / "recipe.yaml"), out).stale)
