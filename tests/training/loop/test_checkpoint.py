"""What a checkpoint promises: complete with all its parts, readable, and byte for byte the manifest of version 0.1."""

from pathlib import Path

import pytest
import torch

from qvl.pipeline.base.errors import DataError
from qvl.training.data.steps import StreamState
from qvl.training.loop.checkpoint import MANIFEST, Checkpoints, complete_checkpoints, read_checkpoint, read_tensors
from qvl.training.loop.records import CheckpointManifest, Progress

VERSION_0_1 = """{
  "attempt": "18",
  "fingerprint": "f",
  "parts": [],
  "progress": {
    "counted": 0,
    "damaged": 2,
    "loss": 1.25,
    "samples": 40,
    "skipped": 0,
    "state": {
      "offset": 0,
      "receipt": "r",
      "step": 5,
      "window": 0
    }
  },
  "step": 5,
  "updates": 4,
  "world": 2
}
"""


def manifest(step: int) -> CheckpointManifest:
    return CheckpointManifest(step, "recipe", "x", step, Progress.at_start(), 2, [])


def tensors(value: float) -> list[tuple[str, dict[str, torch.Tensor]]]:
    names = ("a.weight", "b.weight", "c.bias")
    return [(name, {kind: torch.full((3,), value) for kind in ("weight", "exp_avg", "exp_avg_sq")}) for name in names]


def test_a_checkpoint_is_complete_with_all_its_parts_and_old_ones_are_removed(tmp_path: Path) -> None:
    ranks = [Checkpoints(tmp_path, 2, rank, 2) for rank in range(2)]
    for step in (1, 2, 3):
        for rank in ranks:
            rank.save(manifest(step), tensors(step))
        for rank in ranks:
            rank.wait()
    assert [folder.name for folder in complete_checkpoints(tmp_path)] == ["step-00000002", "step-00000003"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000002", "step-00000003"]
    found = dict(read_tensors(complete_checkpoints(tmp_path)[-1]))
    assert set(found) == {"a.weight", "b.weight", "c.bias"}
    assert all(bool((tensor == 3).all()) for kinds in found.values() for tensor in kinds.values())


def test_a_save_that_lacks_a_part_is_not_a_checkpoint(tmp_path: Path) -> None:
    alone = Checkpoints(tmp_path, 2, 1, 2)  # rank 0 died before it wrote
    alone.save(manifest(5), tensors(5))
    alone.wait()
    assert complete_checkpoints(tmp_path) == [] and alone.latest() is None


def test_a_truncated_part_is_an_error_that_names_it(tmp_path: Path) -> None:
    alone = Checkpoints(tmp_path, 2, 0, 1)
    alone.save(manifest(5), tensors(5))
    alone.wait()
    part = next((tmp_path / "step-00000005").glob("*.safetensors"))
    part.write_bytes(part.read_bytes()[:-10])
    with pytest.raises(DataError, match="missing or truncated"):
        read_checkpoint(tmp_path / "step-00000005")


def test_a_manifest_of_version_0_1_is_read_and_its_unknown_key_refused(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_text(VERSION_0_1)
    progress = Progress(StreamState(5, 0, 0, "r"), 1.25, 0, 0, 40, 2)
    assert read_checkpoint(tmp_path) == CheckpointManifest(5, "f", "18", 4, progress, 2, [])
    (tmp_path / MANIFEST).write_text(VERSION_0_1.replace('"world"', '"whirled"'))
    with pytest.raises(DataError, match=MANIFEST):
        read_checkpoint(tmp_path)
    with pytest.raises(DataError, match="not a complete checkpoint"):
        read_checkpoint(tmp_path / "nowhere")


def test_a_checkpoint_without_parts_is_written_as_version_0_1_wrote_it(tmp_path: Path) -> None:
    alone = Checkpoints(tmp_path, 1, 0, 1)
    progress = Progress(StreamState(5, 0, 0, "r"), 1.25, 0, 0, 40, 2)
    alone.save(CheckpointManifest(5, "f", "18", 4, progress, 2, []), [])
    alone.wait()
    written = (tmp_path / "step-00000005" / MANIFEST).read_text()
    head, tail = VERSION_0_1.split('"parts": []')
    assert written.startswith(head) and written.endswith(tail)
