"""Packages that are missing or too old, by the metadata of a project."""

import sys
from pathlib import Path

from qvl.training.commands.doctor.packages import installed, packages, required
from tests.training.commands.doctor.running import doctor


def test_packages_that_are_missing_or_too_old_end_the_command_with_1(tmp_path: Path) -> None:
    info = tmp_path / "qvl-9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: qvl\nVersion: 9\nProvides-Extra: view\nProvides-Extra: train\nProvides-Extra: model\n"
        "Requires-Dist: numpy>=999\nRequires-Dist: no-such-package>=1\nRequires-Dist: starlette>=0.1; extra == 'view'\n"
        "Requires-Dist: torch>=2; extra == 'model'\nRequires-Dist: qvl[model]; extra == 'train'\n"
        "Requires-Dist: no-such-engine; extra == 'train'\n"
    )
    code, found = doctor("--folder", str(tmp_path), PYTHONPATH=str(tmp_path))
    assert code == 1 and not found["ok"]
    checks = {check["name"]: check for check in found["checks"]}
    base = checks["packages: curation, text, grounding"]
    assert "no-such-package>=1" in base["found"] and f"numpy>=999 (is {installed('numpy')})" in base["found"]
    assert base["repair"] == "pip install qvl"
    assert checks["packages: the app"]["state"] == "ok" and checks["packages: the model"]["state"] == "ok"
    assert checks["packages: training"]["found"] == "no-such-engine"
    assert checks["packages: training"]["repair"] == "pip install 'qvl[train]'"
    assert checks["packages: OCR pages"]["found"] == "the installed qvl is older than this code"


def test_required_when_the_extra_is_empty_gives_the_packages_of_the_project() -> None:
    names = {requirement.name for requirement in required("")}
    assert {"duckdb", "pyarrow", "ray", "typer"} <= names and "torch" not in names
    assert packages()[0].found == ".".join(map(str, sys.version_info[:3]))
