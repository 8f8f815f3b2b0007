"""Import and export of weights, streamed tensor by tensor (reference sections 12.1, 12.5, 17, 18)."""

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

import torch
from transformers import AutoConfig, PreTrainedConfig

from qvl.model.network.config import AdapterConfig, QwenVLConfig
from qvl.model.network.errors import ModelError
from qvl.model.network.language import build_language_model
from qvl.model.network.presets import preset
from qvl.model.network.qwen_vl import QwenVLForConditionalGeneration
from qvl.model.weights.folder import copy_processor, import_tokenizer, read_config, write_model_files
from qvl.model.weights.foreign import (
    HEAD_WIDTH,
    openclip_config,
    read_json,
    released_config,
    released_text_config,
    to_released,
)
from qvl.model.weights.layouts import (
    OPENCLIP_IGNORED,
    QWEN_IGNORED,
    RELEASED_IGNORED,
    Link,
    causal_lm_links,
    language_links,
    openclip_links,
    released_links,
)
from qvl.model.weights.shards import (
    INDEX,
    SHARD_BYTES,
    Planned,
    Stored,
    open_checkpoint,
    replace_text,
    write_index,
    write_shards,
)

Kind = Literal["openclip", "qwen", "qwen-vl", "causal-lm"]
Layout = Literal["transformers", "released"]
Shapes = dict[str, tuple[int, ...]]


def import_checkpoint(
    kind: Kind,
    source: Path,
    out: Path,
    *,
    dtype: torch.dtype | None = None,
    start: str = "qwen-vl",
    shard_bytes: int = SHARD_BYTES,
) -> QwenVLConfig:
    """Convert third-party weights to one of our model folders, or to a part of one; returns its configuration.

    `causal-lm` imports the folder of any causal LM of transformers (SmolLM2, Qwen2.5, ...) as the language model. If
    `out` already holds another part, this part is added: `openclip` followed by `qwen` gives the start of stage 1, in
    which only the adapter is missing (`load_model(..., fresh=...)`). Parts that have not been imported yet are described
    by the preset `start`. Raises ModelError listing the tensors that are wrong.
    """
    stored = open_checkpoint(source)
    before = read_config(out) if (out / "config.json").is_file() else preset(start)
    config, links, ignored = _recognise(kind, source, stored, before)
    stored = {name: tensor for name, tensor in stored.items() if not ignored.search(name)}
    compare_names(source, {link.theirs for link in links}, stored)
    plan = [_plan_import(link, stored[link.theirs], dtype) for link in links]
    compare_shapes(source, expected_shapes(config), plan)
    out.mkdir(parents=True, exist_ok=True)
    weight_map = read_json(out / INDEX)["weight_map"] if (out / INDEX).is_file() else {}
    weight_map |= write_shards(out, kind, plan, shard_bytes)
    config.dtype = plan[0].dtype
    import_tokenizer(source, out, config)
    write_model_files(out, config)
    write_index(out, weight_map)
    return config


def _recognise(
    kind: Kind, source: Path, stored: dict[str, Stored], before: QwenVLConfig
) -> tuple[QwenVLConfig, list[Link], re.Pattern[str]]:
    """The configuration of the whole model with this part in it, the part's links, and the names that are ignored."""
    if kind == "qwen-vl":
        config = released_config(read_json(source / "config.json"))
        return config, released_links(config), RELEASED_IGNORED
    if kind == "openclip":
        config = QwenVLConfig(openclip_config(source, stored), before.adapter_config, before.text_config)
        return config, openclip_links(config), OPENCLIP_IGNORED
    text: PreTrainedConfig = (
        released_text_config(read_json(source / "config.json"))
        if kind == "qwen"
        else AutoConfig.from_pretrained(source)
    )
    adapter = AdapterConfig(
        query_grid=before.adapter_config.query_grid, num_attention_heads=max(1, text.hidden_size // HEAD_WIDTH)
    )
    config = QwenVLConfig(before.vision_config, adapter, text)
    if kind == "qwen":
        return config, language_links(config), QWEN_IGNORED
    with torch.device("meta"):
        prefix = build_language_model(text).base_model_prefix
    return config, causal_lm_links(prefix, expected_shapes(config)), RELEASED_IGNORED


def export_model(
    source: Path,
    out: Path,
    layout: Layout = "transformers",
    dtype: torch.dtype | None = None,
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Write a self-contained model folder (code, processor and weights), or the weights in the released layout.

    Raises ModelError listing missing, unexpected or misshapen tensors before anything is written.
    """
    if out.exists() and any(out.iterdir()):
        raise ModelError(f"{out} is not empty; export to a new folder")
    config, stored = read_config(source), open_checkpoint(source)
    shapes = expected_shapes(config)
    compare_names(source, shapes, stored)
    whole = [_plan_whole(name, stored[name], dtype) for name in shapes]
    compare_shapes(source, shapes, whole)
    if layout == "released":
        settings = to_released(config)
        plan = [_plan_release(link, stored, dtype) for link in released_links(config)]
    else:
        plan = whole
    out.mkdir(parents=True, exist_ok=True)
    weight_map = write_shards(out, "model", plan, shard_bytes)
    if layout == "released":
        replace_text(out / "config.json", json.dumps(settings, indent=2))
    else:
        config.dtype = plan[0].dtype
        write_model_files(out, config)
        copy_processor(source, out)
    write_index(out, weight_map)


def expected_shapes(config: QwenVLConfig) -> Shapes:
    """Name and shape of every tensor that a folder with this configuration must hold. Allocates nothing."""
    with torch.device("meta"):
        model = QwenVLForConditionalGeneration(config)
    tied = set(model.get_expanded_tied_weights_keys(all_submodels=True))
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items() if name not in tied}


def compare_names(source: Path, wanted: Iterable[str], found: Iterable[str]) -> None:
    """Raise ModelError listing missing and unexpected tensors, if there are any."""
    missing, unexpected = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
    if missing or unexpected:
        lines = [f"{source} does not hold the tensors that its configuration requires"]
        lines += [f"{len(names)} {problem}: {_short(names)}" for problem, names in _named(missing, unexpected) if names]
        raise ModelError("\n".join(lines))


def compare_shapes(source: Path, wanted: Shapes, plan: list[Planned]) -> None:
    """Raise ModelError listing the tensors whose shape contradicts the configuration, if there are any."""
    found = {name: shape for planned in plan for name, shape in zip(planned.names, planned.shapes, strict=True)}
    wrong = [
        f"{name} {list(shape)}, expected {list(wanted[name])}" for name, shape in found.items() if wanted[name] != shape
    ]
    if wrong:
        raise ModelError(f"{source}: {len(wrong)} tensor(s) contradict the configuration: {_short(wrong, '; ')}")


def _named(missing: list[str], unexpected: list[str]) -> tuple[tuple[str, list[str]], ...]:
    return ("missing", missing), ("unexpected", unexpected)


def _short(names: list[str], between: str = ", ", most: int = 50) -> str:
    return between.join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _plan_import(link: Link, stored: Stored, dtype: torch.dtype | None) -> Planned:
    shapes = tuple(tuple(part.shape) for part in link.split(torch.empty(stored.shape, device="meta")))
    return Planned(link.ours, shapes, dtype or stored.dtype, lambda: link.split(stored.load()))


def _plan_whole(name: str, stored: Stored, dtype: torch.dtype | None) -> Planned:
    return Planned((name,), (stored.shape,), dtype or stored.dtype, lambda: (stored.load(),))


def _plan_release(link: Link, stored: dict[str, Stored], dtype: torch.dtype | None) -> Planned:
    parts = [stored[name] for name in link.ours]
    shape = tuple(link.join(tuple(torch.empty(part.shape, device="meta") for part in parts)).shape)
    make: Callable[[], tuple[torch.Tensor, ...]] = lambda: (link.join(tuple(part.load() for part in parts)),)  # noqa: E731
    return Planned((link.theirs,), (shape,), dtype or parts[0].dtype, make)
