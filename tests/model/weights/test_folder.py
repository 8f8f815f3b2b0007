"""A model folder carries its own code, and loads without this package."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageTextToText, AutoProcessor

from qvl.model.network.qwen_vl import QwenVLForConditionalGeneration
from qvl.model.weights.auto import load_model, load_processor
from qvl.model.weights.folder import SHIPPED
from tests.shared import ROOT

FRESH = """
import sys, torch
from PIL import Image
from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoModelForImageTextToText, AutoProcessor
torch.set_num_threads(1)
folder, out = sys.argv[1:]
model = AutoModelForImageTextToText.from_pretrained(folder, trust_remote_code=True).eval()
processor = AutoProcessor.from_pretrained(folder, trust_remote_code=True)
assert type(model).__module__.startswith("transformers_modules"), type(model).__module__
assert type(processor).__module__.startswith("transformers_modules"), type(processor).__module__
assert "qvl" not in sys.modules
base = AutoModel.from_pretrained(folder, trust_remote_code=True)
assert type(base).__name__ == "QwenVLModel"
image = Image.radial_gradient("L")
batch = processor(images=[image], text=["<img></img>the cat", "and"], return_tensors="pt", padding=True)
with torch.no_grad():
    logits = model(**batch).logits
tokens = model.generate(**batch, max_new_tokens=4, do_sample=False)
assert base.get_image_features(batch["pixel_values"]).pooler_output.shape == (1, 256, 256)
torch.save({"logits": logits, "tokens": tokens, "ids": batch["input_ids"]}, out)
"""


def prompt(folder: Path) -> dict[str, torch.Tensor]:
    processor = load_processor(folder)
    texts = ["<img></img>the cat", "and"]
    return dict(processor(images=[Image.radial_gradient("L")], text=texts, return_tensors="pt", padding=True))


def test_exported_folder_loads_in_a_new_process_without_this_package(exported: Path, tmp_path: Path) -> None:
    """With plain transformers, without this package and in another working directory: equal logits and tokens."""
    script = tmp_path / "fresh.py"
    script.write_text(FRESH)
    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home"), "PATH": "", "PYTHONPATH": ""}
    command = [sys.executable, "-P", str(script), str(exported), str(tmp_path / "out.pt")]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    fresh = torch.load(tmp_path / "out.pt")
    model, batch = load_model(exported).eval(), prompt(exported)
    assert torch.equal(batch["input_ids"], fresh["ids"])
    with torch.no_grad():
        torch.testing.assert_close(model(**batch).logits, fresh["logits"], atol=1e-4, rtol=0)
    tokens = model.generate(**batch, max_new_tokens=4, do_sample=False)
    assert torch.equal(tokens, fresh["tokens"])
    assert len(list(exported.glob("*.safetensors"))) > 1


def test_copied_files_import_only_one_another() -> None:
    for name in SHIPPED:
        lines = (ROOT / "model" / "network" / f"{name}.py").read_text().splitlines()
        for line in lines:
            assert not line.strip().startswith(("from qvl", "import qvl")), f"{name}: {line}"
            if line.startswith("from ."):
                assert line.split()[1].removeprefix(".") in SHIPPED, f"{name}: {line}"


def test_auto_classes_give_the_classes_of_this_package(exported: Path) -> None:
    assert type(AutoConfig.from_pretrained(exported)).__module__ == "qvl.model.network.config"
    assert type(AutoModelForImageTextToText.from_pretrained(exported)) is QwenVLForConditionalGeneration
    try:
        AutoImageProcessor.register  # noqa: B018
    except ImportError:
        pytest.skip("this transformers hides AutoImageProcessor where torchvision is not installed")
    assert type(AutoProcessor.from_pretrained(exported)).__module__ == "qvl.model.network.processor"


def test_save_pretrained_writes_a_folder_that_carries_its_code(exported: Path, tmp_path: Path) -> None:
    """Like `export`, but by save_pretrained alone."""
    model = load_model(exported)
    model.save_pretrained(tmp_path)
    load_processor(exported).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["model_type"] == "qwen_vl"
    assert config["text_config"]["model_type"] == "qwen2"
    assert config["auto_map"]["AutoModelForImageTextToText"] == "qwen_vl.QwenVLForConditionalGeneration"
    assert {f"{name}.py" for name in SHIPPED} <= {path.name for path in tmp_path.iterdir()}
    again = load_model(tmp_path)
    assert all(torch.equal(again.state_dict()[name], tensor) for name, tensor in model.state_dict().items())
    assert load_processor(tmp_path).tokenizer.get_vocab() == load_processor(exported).tokenizer.get_vocab()
