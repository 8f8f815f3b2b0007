"""Import and export: tensors survive the round trip, errors list what is wrong, memory is bounded by the largest tensor."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from qvl.model.network.errors import ModelError
from qvl.model.weights.auto import load_model
from qvl.model.weights.convert import export_model, import_checkpoint
from qvl.model.weights.shards import open_checkpoint
from tests.model.small_checkpoints import RANKS, released_weights, small_ranks, write_ranks, write_released


def test_export_gives_the_imported_tensors_back_unchanged(imported: Path, tmp_path: Path) -> None:
    export_model(imported, tmp_path / "back", layout="released", shard_bytes=300_000)
    wanted, found = released_weights(), open_checkpoint(tmp_path / "back")
    assert len(list((tmp_path / "back").glob("*.safetensors"))) > 3
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert torch.equal(found[name].load(), tensor), name


def test_import_reads_what_export_wrote_in_the_released_layout(imported: Path, tmp_path: Path) -> None:
    export_model(imported, tmp_path / "back", layout="released")
    shutil.copy(imported / "config.json", tmp_path / "first.json")
    import_checkpoint("qwen-vl", tmp_path / "back", tmp_path / "again")
    first, again = load_model(imported), load_model(tmp_path / "again")
    assert again.config.vision_config.to_dict() == first.config.vision_config.to_dict()
    assert all(torch.equal(again.state_dict()[name], tensor) for name, tensor in first.state_dict().items())


def test_import_converts_to_bfloat16_on_request(released: Path, tmp_path: Path) -> None:
    import_checkpoint("qwen-vl", released, tmp_path / "half", dtype=torch.bfloat16)
    model = load_model(tmp_path / "half")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    features = model.model.encode_images(torch.randn(1, 3, 448, 448))
    assert features.dtype == torch.bfloat16
    assert bool(features.isfinite().all())
    wanted = released_weights()["lm_head.weight"].bfloat16()
    assert torch.equal(model.lm_head.weight, wanted)


def test_import_lists_missing_and_unexpected_tensors(tmp_path: Path) -> None:
    weights = released_weights()
    del weights["transformer.h.1.mlp.w2.weight"], weights["transformer.visual.proj"]
    weights["transformer.visual.extra"] = torch.zeros(2)
    write_released(tmp_path / "broken", weights)
    with pytest.raises(ModelError) as error:
        import_checkpoint("qwen-vl", tmp_path / "broken", tmp_path / "out")
    assert "2 missing: transformer.h.1.mlp.w2.weight, transformer.visual.proj" in str(error.value)
    assert "1 unexpected: transformer.visual.extra" in str(error.value)
    assert not (tmp_path / "out").exists()


def test_import_raises_when_the_config_contradicts_the_weights(tmp_path: Path) -> None:
    weights = released_weights()
    weights["transformer.visual.attn_pool.kv_proj.weight"] = torch.zeros(256, 25)
    write_released(tmp_path / "broken", weights)
    with pytest.raises(ModelError, match=r"kv_proj\.weight \[256, 25\], expected \[256, 24\]"):
        import_checkpoint("qwen-vl", tmp_path / "broken", tmp_path / "out")


def test_export_raises_when_the_folder_is_not_empty(imported: Path) -> None:
    with pytest.raises(ModelError, match="not empty"):
        export_model(imported, imported)


def test_export_of_a_tied_model_leaves_the_head_out(tmp_path: Path) -> None:
    from qvl.model.network.presets import preset
    from qvl.model.network.qwen_vl import QwenVLForConditionalGeneration
    from qvl.model.weights.folder import write_model_files

    config = preset("tiny")
    config.text_config.vocab_size = 400
    model = QwenVLForConditionalGeneration(config)
    assert model.lm_head.weight is model.get_input_embeddings().weight
    model.save_pretrained(tmp_path / "tied")
    write_model_files(tmp_path / "tied", config)
    export_model(tmp_path / "tied", tmp_path / "out")
    again = load_model(tmp_path / "out")
    assert again.lm_head.weight is again.get_input_embeddings().weight
    assert torch.equal(again.lm_head.weight, model.lm_head.weight)


PEAK = """
import resource, sys
from pathlib import Path
from qvl.model.weights.convert import import_checkpoint
small, large, out = map(Path, sys.argv[1:])
import_checkpoint("qwen-vl", small, out / "small")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
import_checkpoint("qwen-vl", large, out / "large")
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


def test_import_needs_memory_for_its_largest_tensor_only(released: Path, tmp_path: Path) -> None:
    """A sharded checkpoint of 110 MB whose largest tensor has 12 MB, written as one file: the peak is near that tensor."""
    small = released_weights()
    weights = {
        name: torch.zeros(enlarged(name, tensor.shape))
        for layer in range(8)
        for name, tensor in more_layers(small, layer).items()
    }
    write_released(tmp_path / "large", weights, shards=4)
    config = json.loads((tmp_path / "large" / "config.json").read_text())
    config |= {"hidden_size": 512, "num_hidden_layers": 8, "kv_channels": 128, "intermediate_size": 2048}
    config |= {"vocab_size": 6000, "visual": {**config["visual"], "output_dim": 512}}
    (tmp_path / "large" / "config.json").write_text(json.dumps(config))
    total, largest = (f(tensor.nbytes for tensor in weights.values()) for f in (sum, max))
    command = [sys.executable, "-c", PEAK, str(released), str(tmp_path / "large"), str(tmp_path / "out")]
    root = Path(__file__).parents[3]
    peak = int(subprocess.run(command, check=True, capture_output=True, text=True, cwd=root).stdout.split()[-1])
    assert total > 8 * largest
    assert peak < 2.5 * largest, f"{peak / 2**20:.0f} MB, the largest tensor has {largest / 2**20:.0f} MB"


def more_layers(weights: dict[str, torch.Tensor], layer: int) -> dict[str, torch.Tensor]:
    """The weights again with their second language block numbered `layer`."""
    return {name.replace("transformer.h.1.", f"transformer.h.{layer}."): tensor for name, tensor in weights.items()}


def enlarged(name: str, shape: torch.Size) -> list[int]:
    """The language model's width 256 -> 512, its MLP 96 -> 1024, its vocabulary -> 6000; the ViT stays."""
    if name.startswith(("transformer.wte", "lm_head")):
        return [6000, 512]
    if "resblocks" in name or name.endswith(("conv1.weight", "positional_embedding")) or "ln_pre" in name:
        return list(shape)
    sizes = {256: 512, 768: 1536, 96: 1024}
    first = [256] if name.endswith(("query", "pos_embed")) else []
    return first + [sizes.get(size, size) for size in shape[len(first) :]]


def test_import_of_the_released_size_fits_the_stated_memory() -> None:
    """Float32 in, bfloat16 out: a tensor as read and as converted, three times in the worst link (join of q, k, v)."""
    from qvl.model.network.presets import preset
    from qvl.model.weights.convert import expected_shapes

    largest = max(torch.Size(shape).numel() for shape in expected_shapes(preset("qwen-vl")).values())
    assert largest == 151936 * 4096
    assert largest * (4 + 4 + 2) < 20e9


def test_import_takes_another_causal_lm_as_the_language_model(tmp_path: Path) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=600,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=True,
    )
    llama = LlamaForCausalLM(config).eval()
    llama.save_pretrained(tmp_path / "llama")
    write_ranks(tmp_path / "llama" / "qwen.tiktoken", small_ranks())
    import_checkpoint("causal-lm", tmp_path / "llama", tmp_path / "ours", start="tiny")
    ours = load_model(tmp_path / "ours", fresh=("model.adapter.", "model.vision_tower.")).eval()
    ids = torch.tensor([[1, 2, 3, 4]])
    torch.testing.assert_close(ours(ids).logits, llama(ids).logits, atol=1e-5, rtol=1e-5)
    assert ours.config.image_token_id == RANKS + 216
