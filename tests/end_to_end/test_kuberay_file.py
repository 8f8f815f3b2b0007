"""The KubeRay file as Ray's own autoscaler reads it; the operator's schema is in no package, so names are checked here."""

import tomllib
from importlib.metadata import version
from typing import Any

import jsonschema
import pytest
import yaml
from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr

from tests.end_to_end.conftest import ROOT

CLUSTER: dict[str, Any] = yaml.safe_load((ROOT / "ray_cluster_kuberay.yaml").read_text())
SPEC = CLUSTER["spec"]
GROUPS = [SPEC["headGroupSpec"], *SPEC["workerGroupSpecs"]]


def read_by_ray(cluster: dict[str, Any]) -> dict[str, Any]:
    """What the autoscaler makes of the resource; the name space is the API server's to add."""
    with_place = {**cluster, "metadata": {**cluster["metadata"], "namespace": "default"}}
    found: dict[str, Any] = _derive_autoscaling_config_from_ray_cr(with_place)
    return found


def test_ray_reads_a_head_without_work_and_both_kinds_of_workers() -> None:
    found = read_by_ray(CLUSTER)
    kinds = found["available_node_types"]
    assert set(kinds) == {"headgroup", "cpu", "gpu"}
    assert kinds[found["head_node_type"]]["resources"]["CPU"] == 0
    assert kinds["cpu"]["resources"]["CPU"] == 30
    assert "GPU" not in kinds["cpu"]["resources"]
    assert (kinds["gpu"]["resources"]["GPU"], kinds["gpu"]["min_workers"]) == (1, 0)
    assert kinds["cpu"]["min_workers"] >= 10
    assert found["idle_timeout_minutes"] == 10


@pytest.mark.parametrize(("place", "value"), [("minReplicas", "ten"), ("maxReplicas", -1)])
def test_ray_would_notice_a_mistake(place: str, value: object) -> None:
    broken = {**SPEC, "workerGroupSpecs": [{**SPEC["workerGroupSpecs"][0], place: value}]}
    with pytest.raises(jsonschema.ValidationError):
        read_by_ray({**CLUSTER, "spec": broken})


def test_every_pod_runs_the_same_image_and_sees_the_shared_folder() -> None:
    release = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    images = set()
    for group in GROUPS:
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        images.add(container["image"])
        assert container["resources"]["requests"] == container["resources"]["limits"]
        assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/shared"]
        assert [volume["name"] for volume in pod["volumes"]] == [container["volumeMounts"][0]["name"]]
    assert images == {f"YOUR-REGISTRY/qvl:{release}"}


def test_only_names_that_the_operator_knows() -> None:
    assert (CLUSTER["apiVersion"], CLUSTER["kind"]) == ("ray.io/v1", "RayCluster")
    assert set(SPEC) == {
        "rayVersion",
        "enableInTreeAutoscaling",
        "autoscalerOptions",
        "headGroupSpec",
        "workerGroupSpecs",
    }
    assert set(SPEC["headGroupSpec"]) == {"serviceType", "rayStartParams", "template"}
    for group in SPEC["workerGroupSpecs"]:
        assert set(group) == {"groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template"}
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    for group in GROUPS:
        assert all(isinstance(value, str) for value in group["rayStartParams"].values()), (
            "the operator takes strings alone"
        )


def test_the_image_has_the_tested_ray() -> None:
    text = (ROOT / "ray_cluster_kuberay.yaml").read_text()
    assert SPEC["rayVersion"] == version("ray")
    assert f"FROM rayproject/ray:{version('ray')}-py311" in text
