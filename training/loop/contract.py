"""The contract of a stage: what it freezes stays bit for bit the same, and what it trains has moved."""

import contextlib
from pathlib import Path

from qvl.model.network.errors import ModelError
from qvl.model.network.qwen_vl import QwenVLForConditionalGeneration
from qvl.model.weights.auto import load_model
from qvl.model.weights.freeze import TRAINED, part_of, tensor_hashes
from qvl.pipeline.base.errors import ContractError
from qvl.pipeline.commit.manifests import committed_manifest
from qvl.training.loop.records import StartManifest, write_record
from qvl.training.recipe import StageSpec

START = "start.json"


def note_start(folder: Path, net: QwenVLForConditionalGeneration) -> None:
    """Note the hashes of all tensors before the first step. A resumed stage keeps those that it began with."""
    if not (folder / START).exists():
        write_record(folder / START, StartManifest(tensor_hashes(net)))


def check_contract(folder: Path, model: Path, stage: StageSpec) -> None:
    """Compare a stage's model with the hashes of its start. Raises ContractError where the contract is broken.

    The caller gives the model its final name only afterwards, because the stage counts as done under that name.
    """
    start = committed_manifest(folder / START, StartManifest).tensors
    end = tensor_hashes(load_model(model))
    trained = TRAINED[stage.stage]
    moved = {name for name in end if end[name] != start.get(name)}
    frozen = {name for name in end if not name.endswith("pos_embed") and _part(name) not in trained}
    tables = ("embed_tokens.weight", "lm_head.weight")
    allowed = {name for name in end if stage.trained_markers and name.endswith(tables)}
    broken = sorted((moved & frozen) - allowed)
    if broken:
        raise ContractError(f"stage {stage.label} changed tensors that it freezes: {', '.join(broken[:5])}")
    if not moved - frozen:
        raise ContractError(f"stage {stage.label} trained for {stage.steps} steps, but no tensor changed")


def _part(name: str) -> str:
    with contextlib.suppress(ModelError):
        return part_of(name)
    return "none"
