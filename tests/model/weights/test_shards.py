"""Weight files: truncated, untrusted and missing ones."""

import shutil
from pathlib import Path

import pytest
import torch

from qvl.model.network.errors import ModelError
from qvl.model.weights.auto import load_model
from qvl.model.weights.convert import export_model, import_checkpoint
from qvl.model.weights.shards import open_checkpoint


@pytest.mark.parametrize("cut", [3, 60, -7])
def test_loading_raises_when_a_safetensors_file_is_truncated(imported: Path, tmp_path: Path, cut: int) -> None:
    folder = shutil.copytree(imported, tmp_path / "model")
    file = next(folder.glob("*.safetensors"))
    file.write_bytes(file.read_bytes()[:cut])
    with pytest.raises(ModelError, match="truncated"):
        export_model(folder, tmp_path / "out")
    with pytest.raises(ModelError, match="truncated"):
        load_model(folder)


def test_import_names_the_shard_that_is_missing(released: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(released, tmp_path / "model")
    (folder / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(ModelError, match="model-00002-of-00003"):
        import_checkpoint("qwen-vl", folder, tmp_path / "out")


def test_torch_pickles_are_read_without_running_their_code(tmp_path: Path) -> None:
    torch.save({"state_dict": {"module.a": torch.ones(3, 2)}}, tmp_path / "x.pt")
    assert torch.equal(open_checkpoint(tmp_path / "x.pt")["a"].load(), torch.ones(3, 2))
    torch.save({"a": Path("code")}, tmp_path / "bad.pt")
    with pytest.raises(ModelError, match=r"bad\.pt"):
        open_checkpoint(tmp_path / "bad.pt")
