"""Recipes with values replaced, dropped or repeated: each is read or refused in one line, never with a traceback.

The recipes are those of the repository. Each is read, its units are listed, and what does not take long is done with it.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from qvl.failures import exit_status
from tests.adversary.commands import qvl
from tests.adversary.mutations import DROPPED, REPEATED, changed, paths
from tests.docs.pages import ROOT

EXAMPLES = 40
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 5, 2**63, 2**70, -(2**70), 0.5, -0.5, 1e300, float("nan"), float("inf")),
    *("", "x", "a b", "a" * 5_000, "\x1b[31m", "é", "None", "/", "..", ".", "~", "/dev/null", "/proc/self/mem", "missing"),
    *("*", "**", "[", "[!", "{", "{0..9", "{0..99999999999}", "{a,b}", "{" * 30 + "," + "}" * 30, "*" * 50),
    *("s3:/x", "://", "x://y", "file://x", "file:///", "memory://x", "2024-01-01", "{0..9999}" * 3),
    *([], [[]], [None], ["x"], [1, "x"], ["x", "x"], {}, {"a": 1}, {"kind": "x"}, {"kind": None}, [{}], [{"name": "x"}]),
)  # fmt: skip


def recipe_of(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text("utf-8"))


@st.composite
def mutations(draw: st.DrawFn, name: str) -> Any:
    content = recipe_of(name)
    for _ in range(draw(st.integers(1, 2))):
        path = draw(st.sampled_from(paths(content)))
        content = changed(content, path, draw(st.sampled_from((DROPPED, REPEATED, *VALUES))))
    return content


def home(folder: Path, name: str) -> Path:
    """A copy of the recipe's folder in which only the recipe is a file of its own."""
    original = (ROOT / name).parent
    folder.mkdir()
    for path in original.iterdir():
        if path.name != Path(name).name:
            (folder / path.name).symlink_to(path)
    return folder / Path(name).name


def listed(load: Callable[[Path], Any]) -> Callable[[Path], object]:
    """Read a recipe and list the units and parts of its builder, which must all be JSON."""

    def check(path: Path) -> object:
        from qvl.pipeline.commit.fingerprint import fingerprint

        builder = load(path)
        return [fingerprint(builder.parts(unit)) for unit in builder.units()[:20]]

    return check


def text_builder(path: Path) -> Any:
    from qvl.pipeline.builders.text.builder import text_builder as built
    from qvl.pipeline.builders.text.recipe import load_recipe

    return built(load_recipe(path))


def grounding_builder(path: Path) -> Any:
    from qvl.grounding_builder.build.benchmarks import exclusion
    from qvl.grounding_builder.build.builder import Grounding
    from qvl.grounding_builder.build.recipe import load_recipe
    from qvl.pipeline.storage.reader import Storage

    recipe = load_recipe(path)
    return Grounding(recipe.name, recipe.sources, exclusion(recipe.exclude, Storage()))


def ocr_builder(path: Path) -> Any:
    from qvl.synth_ocr.build.builder import OcrBuilder
    from qvl.synth_ocr.build.recipe import load_recipe
    from qvl.synth_ocr.build.run import without_missing_sources

    return OcrBuilder(without_missing_sources(load_recipe(path))[0])


def experiment(path: Path) -> object:
    from qvl.training.pages.experiments.recipe import load_experiment, planned_runs

    return planned_runs(load_experiment(path))


CHECKS: dict[str, Callable[[Path], object]] = {
    "examples/text_demo.yaml": listed(text_builder),
    "examples/grounding_demo.yaml": listed(grounding_builder),
    "examples/ocr_demo.yaml": listed(ocr_builder),
    "training/recipes/experiments/prompts.yaml": experiment,
    "training/recipes/experiments/resolution.yaml": experiment,
}
COMMANDS: dict[str, tuple[str, ...]] = {
    "examples/demo.yaml": ("curate", "plan", "--output", "out"),
    "pipeline/recipes/qwen_vl_stage1.yaml": ("curate", "plan", "--output", "out"),
    "examples/train_tiny.yaml": ("train", "plan", "--assume", "100"),
    "training/recipes/stage2_multitask.yaml": ("train", "plan", "--assume", "100"),
}


def check_file(name: str, content: Any, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Write a recipe into a copy of its folder and use it."""
    shutil.rmtree(folder / "home", ignore_errors=True)
    path = home(folder / "home", name)
    path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    if name in CHECKS:
        status, error = exit_status(lambda: CHECKS[name](path), []), capsys.readouterr().err
    else:
        arguments = [str(folder / "out") if each == "out" else each for each in COMMANDS[name]]
        ended = qvl(*arguments[:2], str(path), *arguments[2:])
        status, error = ended.status, ended.err
    assert status in (0, 2), error
    assert status == 0 or (error.startswith("error: ") and error.count("\n") == 1), error


@pytest.mark.parametrize("name", [*CHECKS, *COMMANDS])
def test_recipe_when_changed_is_used_or_refused_in_one_line(
    name: str, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path_factory.mktemp("recipe")

    @settings(max_examples=EXAMPLES)
    @given(mutations(name))
    def check(content: Any) -> None:
        check_file(name, content, folder, capsys)

    check()


@pytest.mark.long
@pytest.mark.parametrize("name", [*CHECKS, *COMMANDS])
def test_recipe_when_any_one_value_is_changed_is_used_or_refused(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = recipe_of(name)
    for path in paths(content):
        for value in (DROPPED, REPEATED, *VALUES):
            check_file(name, changed(content, path, value), tmp_path, capsys)
