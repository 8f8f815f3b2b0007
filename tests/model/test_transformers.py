"""Integration with transformers: an exported folder in a new process, Auto classes, generation, device maps."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageTextToText, AutoProcessor

from qvl.model.network.errors import ModelError
from qvl.model.network.qwen_vl import QwenVLForConditionalGeneration
from qvl.model.weights.auto import load_model, load_processor
from qvl.model.weights.convert import export_model
from qvl.model.weights.folder import SHIPPED
from tests.model.small_checkpoints import RANKS, START

PAD = START + 2

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


@pytest.fixture(scope="module")
def exported(imported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "model"
    export_model(imported, folder, shard_bytes=2**20)
    return folder


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
        lines = (Path(__file__).parents[2] / "model" / "network" / f"{name}.py").read_text().splitlines()
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


def test_loading_does_not_reinitialise_loaded_weights(exported: Path) -> None:
    """transformers 5 calls `_init_weights` after loading, which must not change what was in the files."""
    from qvl.model.weights.shards import open_checkpoint

    stored = open_checkpoint(exported)
    for model in (load_model(exported), AutoModelForImageTextToText.from_pretrained(exported)):
        for name, tensor in model.state_dict().items():
            assert torch.equal(tensor, stored[name].load()), name


def test_missing_adapter_is_initialised_when_it_may_be_missing(exported: Path, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    state = {name: tensor for name, tensor in load_model(exported).state_dict().items() if "adapter" not in name}
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_bytes((exported / "config.json").read_bytes())
    with pytest.raises(ModelError, match=r"missing: model\.adapter"):
        load_model(tmp_path)
    model = load_model(tmp_path, fresh=("model.adapter.",)).requires_grad_(False)
    from qvl.model.network.positions import sincos_2d

    assert torch.equal(model.model.adapter.pos_embed, sincos_2d(16, 256))
    for name, tensor in model.model.adapter.named_parameters():
        assert bool(tensor.isfinite().all()), name
        assert float(tensor.abs().max()) < 1.01, name


def test_generate_equals_uncached_decoding_step_by_step(exported: Path) -> None:
    """Greedy decoding of a batch with KV cache and left padding equals decoding each row alone without a cache."""
    model, batch = load_model(exported).eval(), prompt(exported)
    tokens = model.generate(**batch, max_new_tokens=6, do_sample=False, eos_token_id=None)
    length = batch["input_ids"].shape[1]
    for row in range(2):
        ids = batch["input_ids"][row][batch["attention_mask"][row].bool()][None]
        pixels = batch["pixel_values"] if row == 0 else None
        for step in range(6):
            with torch.no_grad():
                best = model(ids, pixels, logits_to_keep=1).logits[0, -1].argmax()
            assert int(best) == int(tokens[row, length + step]), (row, step)
            ids = torch.cat([ids, best.view(1, 1)], dim=1)


def test_generate_runs_the_vision_path_once_per_prompt(exported: Path) -> None:
    model, batch = load_model(exported).eval(), prompt(exported)
    calls: list[int] = []
    model.model.vision_tower.register_forward_hook(lambda *_: calls.append(1))
    model.generate(**batch, max_new_tokens=5, do_sample=False, eos_token_id=None)
    assert calls == [1]


def test_beam_search_keeps_the_images_of_a_row_together(exported: Path) -> None:
    model = load_model(exported).eval()
    ids = torch.tensor([[START, *[PAD] * 256, START + 1] * 2])
    pixels = torch.arange(2.0).view(2, 1, 1, 1).expand(2, 3, 224, 224)
    expanded, others = model._expand_inputs_for_generation(expand_size=2, input_ids=ids, pixel_values=pixels)
    assert expanded is not None
    assert len(expanded) == 2
    assert others["pixel_values"][:, 0, 0, 0].tolist() == [0, 1, 0, 1]
    batch = prompt(exported)
    beams = model.generate(**batch, max_new_tokens=3, num_beams=2, do_sample=False)
    assert beams.shape[0] == 2


def test_generate_stops_at_end_of_text_and_at_end_of_turn(exported: Path) -> None:
    model = load_model(exported)
    assert model.generation_config.eos_token_id == [RANKS, RANKS + 2]
    assert model.generation_config.pad_token_id == RANKS


def test_model_loads_with_a_device_map(exported: Path, tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    whole, batch = load_model(exported).eval(), prompt(exported)
    with torch.no_grad():
        wanted = whole(**batch).logits
        for device_map in ({"": "cpu"}, {"model.vision_tower": "cpu", "model.adapter": "cpu", "lm_head": "cpu"}):
            placed = dict(device_map)
            if "lm_head" in placed:
                placed["model.language_model"] = "disk"
            model = load_model(exported, device_map=placed, offload_folder=str(tmp_path / "offload")).eval()
            torch.testing.assert_close(model(**batch).logits, wanted, atol=1e-5, rtol=1e-5)


def test_embedding_row_of_end_of_text_is_trained(exported: Path) -> None:
    """Padding is end-of-text: as the embedding's padding_idx it would freeze that row."""
    model = load_model(exported).train()
    ids = torch.tensor([[5, RANKS, 7, 9]])
    model(ids, labels=ids).loss.backward()
    assert model.get_input_embeddings().weight.grad[RANKS].abs().sum() > 0


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_attention_implementations_give_equal_logits(exported: Path, implementation: str) -> None:
    batch = prompt(exported)
    model = load_model(exported, attn_implementation=implementation).eval()
    assert model.model.language_model.config._attn_implementation == implementation
    real = batch["attention_mask"].bool()
    with torch.no_grad():
        wanted = load_model(exported).eval()(**batch).logits
        torch.testing.assert_close(model(**batch).logits[real], wanted[real], atol=1e-4, rtol=1e-4)
