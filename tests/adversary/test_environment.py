"""Environment variables that we or our libraries read, with values that mean nothing: ignored, or refused in one line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT
from tests.s3_server import CREDENTIALS

PLAN = ("curate", "plan", "examples/demo.yaml", "--output")


def run(arguments: tuple[str, ...], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "qvl", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        timeout=120,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_ENDPOINT_URL", "nonsense"),
        ("AWS_ENDPOINT_URL", "http://["),
        ("AWS_MAX_ATTEMPTS", "many"),
        ("FSSPEC_S3", '{"config_kwargs": 5}'),
        ("FSSPEC_S3", '{"config_kwargs": {"nonsense": 5}}'),
        ("FSSPEC_S3", '{"nonsense": 1}'),
    ],
)
def test_setting_of_the_store_when_it_means_nothing_is_refused_in_one_line(name: str, value: str) -> None:
    ended = run((*PLAN, "s3://bucket/out"), {**CREDENTIALS, name: value})
    assert ended.returncode == 2, ended.stderr
    assert ended.stderr.startswith("error: ")
    assert ended.stderr.count("\n") == 1
    assert "AWS_*, FSSPEC_*" in ended.stderr


@pytest.mark.parametrize(
    "setting",
    [
        *("TMPDIR=/nowhere", "HOME=/dev/null", "XDG_CACHE_HOME=/dev/null", "TZ=nonsense", "COLUMNS=many", "COLUMNS=-5"),
        *("LINES=x", "TERM=nonsense", "FORCE_COLOR=x", "LC_ALL=nonsense", "LC_ALL=C", "PYTHONIOENCODING=ascii"),
        *("OMP_NUM_THREADS=many", "ARROW_DEFAULT_MEMORY_POOL=x", "FSSPEC_FILE=[1]", "FSSPEC_CONFIG_DIR=/dev/null"),
    ],
)
def test_setting_of_the_machine_when_it_means_nothing_does_not_stop_a_command(setting: str, tmp_path: Path) -> None:
    name, _, value = setting.partition("=")
    ended = run((*PLAN, str(tmp_path / "out")), {name: value})
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
