"""Every module of logic has a test file of its name, in the same folder below ``tests``."""

import ast
from pathlib import Path

from tests.shared import ROOT

PARTS = ("pipeline", "synth_ocr", "grounding_builder", "model", "training")
LEAST = 20
"""Lines of functions from which on a module has logic of its own; records and short helpers have fewer."""
RUNS = {
    # commands: their options and what they print are tested by running them
    "pipeline/commands/summary.py": "tests/end_to_end/test_demo_parts.py",
    "pipeline/commands/thresholds.py": "tests/pipeline/finished/test_solve.py",
    "pipeline/commands/view.py": "tests/pipeline/view/test_run.py",
    "training/commands/evaluate.py": "tests/training/evaluation/test_command.py",
    "training/commands/experiment.py": "tests/training/pages/experiments/test_run.py",
    "training/commands/train.py": "tests/training/loop/test_run.py",
    "synth_ocr/command.py": "tests/synth_ocr/build/test_run.py",
    "grounding_builder/command.py": "tests/grounding_builder/build/test_run.py",
    # base classes without behaviour
    "pipeline/plugins/bases.py": "tests/pipeline/plugins/test_operators.py",
    # pages: sections are tested where a whole page is written
    "pipeline/report/sections.py": "tests/pipeline/report/test_page.py",
    "pipeline/builders/text/report.py": "tests/pipeline/builders/text/test_run.py",
    "grounding_builder/report/report.py": "tests/grounding_builder/build/test_run.py",
    "training/evaluation/page.py": "tests/training/evaluation/test_run.py",
    "training/plan/tables.py": "tests/training/commands/test_plan.py",
    # parts of a run that need trained models or several processes
    "pipeline/view/predictions.py": "tests/training/evaluation/test_view.py",
    "training/heldout/questions.py": "tests/training/heldout/test_documents.py",
    "training/loop/engine.py": "tests/training/loop/test_run.py",
    "training/loop/launch.py": "tests/training/loop/test_run.py",
    "training/pages/experiments/measure.py": "tests/training/pages/experiments/test_run.py",
    "training/pages/experiments/page.py": "tests/training/pages/experiments/test_run.py",
    "training/pages/experiments/results.py": "tests/training/pages/experiments/test_run.py",
    "training/pages/experiments/trained_models.py": "tests/training/pages/experiments/test_run.py",
}
"""Modules that are tested through a run, with the test file that runs them."""


def lines_of_functions(module: Path) -> int:
    """The number of lines in functions and methods; those of a function within another one count twice."""
    nodes = ast.walk(ast.parse(module.read_text("utf-8")))
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return sum((node.end_lineno or node.lineno) - node.lineno + 1 for node in functions)


MODULES = {
    str(path.relative_to(ROOT)): path
    for part in PARTS
    for path in sorted((ROOT / part).rglob("*.py"))
    if not path.name.startswith("__")
}


def mirrored(name: str) -> Path:
    return ROOT / "tests" / Path(name).with_name(f"test_{Path(name).name}")


def test_every_module_with_logic_has_a_test_file_of_its_name() -> None:
    logic = [name for name, module in MODULES.items() if name not in RUNS and lines_of_functions(module) >= LEAST]
    assert [name for name in logic if not mirrored(name).is_file()] == []


def test_modules_that_runs_test_exist_have_no_test_file_and_name_one_that_exists() -> None:
    assert set(RUNS) <= set(MODULES)
    assert [name for name in RUNS if mirrored(name).exists()] == []
    assert [test for test in RUNS.values() if not (ROOT / test).is_file()] == []
