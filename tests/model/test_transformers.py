"""Integration with transformers: an exported folder in a new process, Auto classes, generation, device maps."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText

from qvl.model.network.errors import ModelError
from qvl.model.weights.auto import load_model, load_processor
from tests.model.small_checkpoints import RANKS, START

PAD = START + 2


def prompt(folder: Path) -> dict[str, torch.Tensor]:
    processor = load_processor(folder)
    texts = ["<img></img>the cat", "and"]
    return dict(processor(images=[Image.radial_gradient("L")], text=texts, return_tensors="pt", padding=True))


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
