"""Checkpoints: whole tensors under our own names, written in the background, complete only with their manifest.

Rank r of R keeps every R-th tensor and writes its part; rank 0 writes `checkpoint.json` when all parts are there.
Nothing in them depends on R, so a run goes on with any other number of processes. All ranks must see the folder.
"""

import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.commit.fingerprint import file_hash
from qvl.pipeline.commit.manifests import create_manifest, read_manifest
from qvl.pipeline.storage.atomic import replacing, sync

MANIFEST = "checkpoint.json"
PARTS_TIMEOUT = 1800


class Checkpoints:
    """The checkpoints of one stage, as one rank sees them."""

    def __init__(self, folder: Path, keep: int, rank: int, world: int) -> None:
        self.folder, self.keep, self.rank, self.world = folder, keep, rank, world
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def latest(self) -> Path | None:
        """The newest complete checkpoint."""
        found = complete(self.folder)
        return found[-1] if found else None

    def save(self, step: int, content: dict[str, Any], tensors: Iterable[tuple[str, dict[str, Tensor]]]) -> None:
        """Copy the tensors now, write them in the background. A collective call; waits for the save before it.

        ``tensors`` is gathered on every rank; each keeps its share on the CPU until it is written.
        """
        self.wait()
        mine = {
            f"{name}/{kind}": tensor.detach().to("cpu", copy=True).contiguous()
            for number, (name, parts) in enumerate(tensors)
            for kind, tensor in parts.items()
            if number % self.world == self.rank
        }
        self._thread = threading.Thread(target=self._guarded, args=(step, content, mine), name=f"save-{step}")
        self._thread.start()

    def wait(self) -> None:
        """Until the save under way is on the disk; raises what went wrong in it."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _guarded(self, step: int, content: dict[str, Any], mine: dict[str, Tensor]) -> None:
        try:
            self._write(step, content, mine)
        except (OSError, DataError) as error:  # raised again on the main thread, by `wait`
            self._error = error

    def _write(self, step: int, content: dict[str, Any], mine: dict[str, Tensor]) -> None:
        folder = self.folder / f"step-{step:08d}"
        if (folder / MANIFEST).exists():
            return
        folder.mkdir(parents=True, exist_ok=True)
        attempt = content["attempt"]
        names = [f"part-{rank:05d}-of-{self.world:05d}-{attempt}.safetensors" for rank in range(self.world)]
        with replacing(folder / names[self.rank]) as part:
            save_file(mine, part)
            sync(part)
        sync(folder)
        if self.rank == 0:
            self._complete(folder, names, step, content)

    def _complete(self, folder: Path, names: list[str], step: int, content: dict[str, Any]) -> None:
        deadline = time.monotonic() + PARTS_TIMEOUT
        while not all((folder / name).exists() for name in names):
            if time.monotonic() > deadline:
                raise DataError(
                    f"{folder}: not all parts came in {PARTS_TIMEOUT} s; is the output shared by all machines?"
                )
            time.sleep(0.05)
        parts = [{"file": n, "bytes": (folder / n).stat().st_size, "hash": file_hash(folder / n)} for n in names]
        create_manifest(folder / MANIFEST, {**content, "step": step, "world": self.world, "parts": parts})
        for old in complete(self.folder)[: -self.keep]:
            (old / MANIFEST).unlink()  # first: a half removed checkpoint must not look complete
            shutil.rmtree(old)


def complete(folder: Path) -> list[Path]:
    """Complete checkpoints, oldest first."""
    return sorted(manifest.parent for manifest in folder.glob(f"step-*/{MANIFEST}"))


def read_checkpoint(folder: Path) -> dict[str, Any]:
    """The manifest. Raises DataError where a part is missing or cut."""
    content = read_manifest(folder / MANIFEST)
    if content is None:
        raise DataError(f"{folder}: not a complete checkpoint; take an earlier one")
    for part in content["parts"]:
        path = folder / part["file"]
        if not path.exists() or path.stat().st_size != part["bytes"]:
            raise DataError(f"{path}: missing or cut; delete {folder}, the run goes on from the checkpoint before it")
    return content


def read_tensors(folder: Path) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Every tensor with its moments, one at a time: memory is that of the largest."""
    for part in read_checkpoint(folder)["parts"]:
        with safe_open(folder / part["file"], framework="pt") as file:
            kinds: dict[str, list[str]] = {}
            for key in file.keys():  # noqa: SIM118 (no mapping, only keys())
                name, _, kind = key.rpartition("/")
                kinds.setdefault(name, []).append(kind)
            for name, names in kinds.items():
                yield name, {kind: file.get_tensor(f"{name}/{kind}") for kind in names}
