"""What importing costs and what our names may collide with."""

import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from qvl.failures import EXTRAS
from tests.shared import HANG

ROOT = Path(__file__).parents[2]
PARTS = ("pipeline", "synth_ocr", "grounding_builder", "model", "training")
HEAVY = ("torch", "transformers", "ray", "pyarrow", "numpy", "duckdb", "plotly", "PIL", "fsspec")
# the towers themselves: imported by a worker that scores with CLIP, by nobody else
NEEDS_TORCH = {"qvl.pipeline.images.clip", "qvl.pipeline.images.clip_blocks"}
MODULES = sorted(
    "qvl." + ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in (ROOT / "pipeline").rglob("*.py")
)


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        timeout=HANG,
    )


def test_no_other_distribution_owns_our_name() -> None:
    assert set(packages_distributions().get("qvl", ())) - {"qvl"} == set()


@pytest.mark.parametrize("part", PARTS)
def test_each_part_in_a_checkout_is_the_folder_at_its_top(part: str) -> None:
    link = ROOT / "qvl" / part
    assert link.is_symlink()
    assert link.readlink() == Path("..") / part


def test_no_module_of_ours_imports_a_part_by_a_name_without_qvl() -> None:
    bare = re.compile(rf"^\s*(?:from|import) (?:{'|'.join(PARTS)})\b", re.MULTILINE)
    folders = ("qvl", *PARTS, "tests", "benchmarks", "examples", "scripts")
    found = [
        path for folder in folders for path in (ROOT / folder).rglob("*.py") if bare.search(path.read_text("utf-8"))
    ]
    assert found == []


def test_the_command_imports_nothing_heavy() -> None:
    result = python(f"import sys, qvl, qvl.command; print([name for name in {HEAVY} if name in sys.modules])")
    assert result.stdout == "[]\n", result.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["curate", "--help"], ["curate", "run", "--help"]], ids=" ".join)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = f"""
import atexit, sys
atexit.register(lambda: print("HEAVY", [name for name in {HEAVY} if name in sys.modules]))
from qvl.command import main
main()
"""
    result = python(code, *arguments)
    assert result.returncode == 0, result.stderr
    assert "Usage" in result.stdout
    assert "HEAVY []" in result.stdout


def test_every_module_of_the_pipeline_imports_without_torch_and_ray() -> None:
    code = """
import importlib, sys
for name in ("torch", "ray", "transformers"):
    sys.modules[name] = None  # importing it raises
for name in sys.argv[1:]:
    importlib.import_module(name)
print("done")
"""
    result = python(code, *sorted(set(MODULES) - NEEDS_TORCH))
    assert result.stdout == "done\n", result.stderr[-2_000:]


def test_importing_does_no_work() -> None:
    """No thread is started, nothing is printed and nothing warns."""
    code = """
import importlib, sys, threading
for name in sys.argv[1:]:
    importlib.import_module(name)
assert threading.active_count() == 1, threading.enumerate()
"""
    result = python(code, *sorted(set(MODULES) - NEEDS_TORCH))
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_an_error_of_the_user_is_one_line_and_exit_2(tmp_path: Path) -> None:
    result = python(
        "from qvl.command import main; main()", "curate", "plan", str(tmp_path / "none.yaml"), "--output", str(tmp_path)
    )
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert os.fspath(tmp_path / "none.yaml") in result.stderr


@pytest.mark.parametrize(
    ("module", "words", "extra"),
    [
        ("transformers", ["mix", "stats", "nowhere"], "model"),
        ("torch", ["model", "info", "tiny"], "model"),
        ("torch", ["train", "verify", "nowhere"], "train"),
        ("torch", ["eval", "run", "nowhere", "--data", "nowhere"], "model"),
    ],
)
def test_a_package_that_is_not_installed_is_named_with_its_extra(module: str, words: list[str], extra: str) -> None:
    result = python(f"import sys; sys.modules['{module}'] = None\nfrom qvl.command import main; main()", *words)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    assert "is not installed" in result.stderr
    assert f"pip install 'qvl[{extra}]'" in result.stderr


def test_the_extras_named_are_those_that_bring_the_packages() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    for module, extra in EXTRAS.items():
        name = "open-clip-torch" if module == "open_clip" else module
        assert any(asked.startswith(name) for asked in extras[extra]), module


def test_nothing_imports_the_towers_at_its_head() -> None:
    for path in sorted((ROOT / "pipeline").rglob("*.py")):
        assert not re.search(
            r"^(from|import) qvl\.pipeline\.images\.clip\b", path.read_text(encoding="utf-8"), re.MULTILINE
        ), path
