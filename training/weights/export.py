"""A stage's weights as a model folder: trained tensors from the float32 masters, all others as they were.

Low-rank updates are merged and marker rows are folded in, so that the folder needs no code of training. It appears whole or
not at all.
"""

import shutil
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from qvl.model.network.config import QwenVLConfig
from qvl.model.network.errors import ModelError
from qvl.model.network.processor import QwenVLProcessor
from qvl.model.text.tokenizer import token_id
from qvl.model.weights.convert import expected_shapes
from qvl.model.weights.folder import save_processor, write_model_files
from qvl.model.weights.shards import Planned, write_index, write_shards
from qvl.training.process_group import ProcessGroup
from qvl.training.recipe import StageSpec
from qvl.training.weights.lora import merge
from qvl.training.weights.marker_rows import TOKENS, fold


def plain_weights(weights: dict[str, Tensor], stage: StageSpec, processor: QwenVLProcessor) -> dict[str, Tensor]:
    """Weights under the names of a plain model. Raises ModelError for a quantised base, which updates cannot be added to."""
    if stage.lora is not None and stage.lora.quantize:
        raise ModelError("updates cannot be merged exactly into a 4-bit base: train with `quantize: false` to export")
    if stage.lora is not None:
        weights = merge(weights, stage.lora)
    if stage.trained_markers:
        weights = fold(weights, [token_id(processor.tokenizer, token) for token in TOKENS])
    return weights


def write_model(
    folder: Path, config: QwenVLConfig, weights: dict[str, Tensor], processor: QwenVLProcessor, dtype: torch.dtype
) -> None:
    """Write the folder under a private name, then move it to its own. It replaces an existing folder."""
    private = folder.with_name(f".{folder.name}.writing")
    shutil.rmtree(private, ignore_errors=True)
    private.mkdir(parents=True)
    shapes = expected_shapes(config)
    missing = sorted(set(shapes) - set(weights))
    if missing:
        raise ModelError(f"{len(missing)} tensors are missing for {folder}: {', '.join(missing[:10])}")
    plan = [_planned(name, shape, weights[name], dtype) for name, shape in shapes.items()]
    weight_map = write_shards(private, "model", plan)
    config.dtype = dtype
    write_model_files(private, config)
    save_processor(processor, private)
    write_index(private, weight_map)
    if folder.exists():
        shutil.rmtree(folder)
    private.replace(folder)


def _planned(name: str, shape: tuple[int, ...], tensor: Tensor, dtype: torch.dtype) -> Planned:
    if tuple(tensor.shape) != shape:
        raise ModelError(f"{name}: shape {tuple(tensor.shape)}, its configuration expects {shape}")
    return Planned((name,), (shape,), dtype, lambda: (tensor,))


def without_prefix(tensors: Iterable[tuple[str, Tensor]]) -> dict[str, Tensor]:
    """Tensors of the training model under the names of the model that it wraps."""
    return {name.removeprefix("net."): tensor for name, tensor in tensors}


def collect_weights(
    used: Iterable[tuple[str, Tensor]], masters: Iterable[tuple[str, Tensor]], dtype: torch.dtype, group: ProcessGroup
) -> dict[str, Tensor]:
    """All weights on rank 0: those of the forward pass, with trained ones replaced by their masters in ``dtype``.

    Both iterators gather tensors from all ranks, so every rank runs through them. Other ranks get no weights.
    """
    weights: dict[str, Tensor] = {}
    for name, tensor in used:
        if group.is_first:
            weights |= without_prefix([(name, tensor)])
    for name, tensor in masters:
        if group.is_first:
            weights |= without_prefix([(name, tensor.to("cpu", dtype))])
    return weights
