"""The cluster files against Ray's own schema, and against the wheel that they install."""

import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray.autoscaler
import yaml

from tests.end_to_end.conftest import ROOT

FILES = ["ray_cluster.yaml", "ray_cluster_on_premise.yaml"]
SCHEMA = json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text())


def content(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / name).read_text())
    return loaded


@pytest.mark.parametrize("name", FILES)
def test_ray_accepts_the_file(name: str) -> None:
    jsonschema.validate(content(name), SCHEMA)


@pytest.mark.parametrize("name", FILES)
def test_the_schema_would_notice_a_mistake(name: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**content(name), "max_worker": 3}, SCHEMA)


@pytest.mark.parametrize("name", FILES)
def test_every_node_installs_the_same_wheel_and_mounts_nothing_of_this_machine(name: str) -> None:
    loaded = content(name)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    installs = [line for line in loaded["setup_commands"] if "pip install" in line and "[clip]" in line]
    assert len(installs) == 1
    assert f"qvl-{version}-py3-none-any.whl[clip]" in installs[0]
    assert not loaded.keys() & {"file_mounts", "cluster_synced_files", "initialization_commands"}


def test_aws_has_a_head_without_work_and_both_kinds_of_workers() -> None:
    loaded = content("ray_cluster.yaml")
    kinds = loaded["available_node_types"]
    assert set(kinds) == {"head", "cpu", "gpu"}
    assert kinds[loaded["head_node_type"]]["resources"]["CPU"] == 0
    assert "--num-cpus=0" in loaded["head_start_ray_commands"][-1]
    assert sum(kind["max_workers"] for kind in kinds.values()) == loaded["max_workers"]
    assert kinds["cpu"]["min_workers"] >= 10


def test_on_premise_counts_its_machines() -> None:
    loaded = content("ray_cluster_on_premise.yaml")
    assert loaded["max_workers"] == len(loaded["provider"]["worker_ips"])
    assert loaded["provider"]["head_ip"] not in loaded["provider"]["worker_ips"]
