"""Loading a model folder whose weights contradict its configuration."""

import json
import shutil
from pathlib import Path

import pytest

from qvl.model.network.errors import ModelError
from qvl.model.weights.auto import load_model
from qvl.model.weights.convert import export_model


def test_loading_raises_when_a_shape_contradicts_the_config(imported: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(imported, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["intermediate_size"] = 100
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"of another shape than config\.json says.*mlp\.down_proj"):
        load_model(folder)
    with pytest.raises(ModelError, match="contradict the configuration"):
        export_model(folder, tmp_path / "out")
