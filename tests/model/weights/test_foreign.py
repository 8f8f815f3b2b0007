"""Patch features of a small random ViT in OpenCLIP's layout equal those that OpenCLIP itself computes."""

import importlib
import json
import types
from pathlib import Path

import pytest
import torch

from qvl.model.network.errors import ModelError
from qvl.model.weights.auto import load_model
from qvl.model.weights.convert import import_checkpoint


@pytest.fixture
def openclip_transformer() -> types.ModuleType:
    """open_clip.transformer itself."""
    transformer: types.ModuleType = importlib.import_module("open_clip.transformer")
    return transformer


def small_vit(module: types.ModuleType) -> torch.nn.Module:
    torch.manual_seed(3)
    vit = module.VisionTransformer(
        image_size=224, patch_size=14, width=48, layers=3, heads=4, mlp_ratio=4.9231, output_dim=20
    ).eval()
    with torch.no_grad():
        for parameter in vit.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.2 + (parameter.ndim == 1) * 0.5)
    return vit


def test_patch_features_equal_those_of_openclip(openclip_transformer: types.ModuleType, tmp_path: Path) -> None:
    vit = small_vit(openclip_transformer)
    source = tmp_path / "openclip"
    source.mkdir()
    state = {f"visual.{name}": tensor for name, tensor in vit.state_dict().items()} | {"logit_scale": torch.zeros(())}
    torch.save(state, source / "open_clip_pytorch_model.bin")
    (source / "open_clip_config.json").write_text(json.dumps({"model_cfg": {"vision_cfg": {"head_width": 12}}}))
    config = import_checkpoint("openclip", source, tmp_path / "ours")
    assert config.vision_config.num_hidden_layers == 3
    assert config.vision_config.num_attention_heads == 4

    from safetensors.torch import load_file

    from qvl.model.network.vision import VisionTransformer

    ours = VisionTransformer(config.vision_config).eval()
    stored = load_file(tmp_path / "ours" / "openclip-00001-of-00001.safetensors")
    ours.load_state_dict({name.removeprefix("model.vision_tower."): tensor for name, tensor in stored.items()})
    for norm in (module for module in ours.modules() if isinstance(module, torch.nn.LayerNorm)):
        norm.eps = 1e-5  # OpenCLIP's; Qwen-VL's is 1e-6, which the features would feel

    pixels = torch.randn(2, 3, 224, 224)
    seen: list[torch.Tensor] = []
    vit.transformer.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    with torch.no_grad():
        drop_class_token(vit)
        vit(pixels)
        torch.testing.assert_close(ours(pixels), seen[0], atol=1e-5, rtol=1e-5)


def drop_class_token(vit: torch.nn.Module) -> None:
    """Make OpenCLIP's ViT run without its class token, as Qwen-VL does: the token would change every patch."""
    vit._embeds = types.MethodType(patches_only, vit)


def patches_only(vit: torch.nn.Module, pixels: torch.Tensor) -> torch.Tensor:
    return vit.ln_pre(vit.conv1(pixels).flatten(2).transpose(1, 2) + vit.positional_embedding[1:])


def test_importing_openclip_and_qwen_gives_the_start_of_stage_1(
    openclip_transformer: types.ModuleType, released: Path, tmp_path: Path
) -> None:
    """Importing OpenCLIP and then Qwen into one folder leaves only the adapter missing, which loading reports."""
    source, out = tmp_path / "clip.pt", tmp_path / "start"
    vit = small_vit(openclip_transformer)
    torch.save({f"visual.{name}": tensor for name, tensor in vit.state_dict().items()}, source)
    with pytest.raises(ModelError, match="head width"):
        import_checkpoint("openclip", source, out)
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": {"vision_cfg": {"head_width": 12}}}))
    import_checkpoint("openclip", source, out)
    import_checkpoint("qwen", released, out)
    with pytest.raises(ModelError, match=r"missing.*model\.adapter\.kv_proj"):
        load_model(out)
    model = load_model(out, fresh=("model.adapter.",)).requires_grad_(False)
    adapter = model.model.adapter
    assert 0.018 < float(adapter.query.std()) < 0.022
    assert abs(float(adapter.proj.std()) * 256**0.5 - 1) < 0.02
    assert float(adapter.ln_q.weight.min()) == 1 == float(adapter.ln_q.weight.max())
    assert float(adapter.attn.q_proj.bias.abs().max()) == 0
    torch.testing.assert_close(model.model.vision_tower.conv1.weight, vit.conv1.weight)
