"""Checkpoints: whole tensors under our own names, written in the background, complete only with their manifest.

Rank r of R keeps every R-th tensor and writes one part. Rank 0 writes `checkpoint.json` once all parts are there. No tensor
in them depends on R, so that a run can continue with any other number of processes. All ranks must see the folder.
"""

import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.commit.fingerprint import file_hash
from qvl.pipeline.commit.manifests import create_manifest, read_manifest
from qvl.pipeline.storage.atomic import replacing, sync
from qvl.pipeline.storage.temporary import remove_abandoned
from qvl.training.loop.records import CheckpointManifest, CheckpointPart

MANIFEST = "checkpoint.json"
PARTS_TIMEOUT = 1800
"""Seconds that rank 0 waits for the parts of the others."""


class Checkpoints:
    """The checkpoints of one stage, as one rank sees them. The newest ``keep`` of them are kept."""

    def __init__(self, folder: Path, keep: int, rank: int, world: int) -> None:
        self.folder, self.keep, self.rank, self.world = folder, keep, rank, world
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def latest(self) -> Path | None:
        """The newest complete checkpoint."""
        found = complete_checkpoints(self.folder)
        return found[-1] if found else None

    def save(self, manifest: CheckpointManifest, tensors: Iterable[tuple[str, dict[str, Tensor]]]) -> None:
        """Copy the tensors now and write them in the background. A collective call, which waits for the previous save.

        ``manifest`` has no parts yet. ``tensors`` is gathered on every rank; each keeps its share on the CPU until it is
        written.
        """
        self.wait()
        own = {
            f"{name}/{kind}": tensor.detach().to("cpu", copy=True).contiguous()
            for number, (name, kinds) in enumerate(tensors)
            for kind, tensor in kinds.items()
            if number % self.world == self.rank
        }
        arguments = (manifest, own)
        self._thread = threading.Thread(target=self._write_guarded, args=arguments, name=f"save-{manifest.step}")
        self._thread.start()

    def wait(self) -> None:
        """Wait until the current save is on the disk. Raises the error that it ended with."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _write_guarded(self, manifest: CheckpointManifest, own: dict[str, Tensor]) -> None:
        try:
            self._write(manifest, own)
        except (OSError, DataError) as error:  # raised again on the main thread, by `wait`
            self._error = error

    def _write(self, manifest: CheckpointManifest, own: dict[str, Tensor]) -> None:
        folder = self.folder / f"step-{manifest.step:08d}"
        if (folder / MANIFEST).exists():
            return
        folder.mkdir(parents=True, exist_ok=True)
        remove_abandoned(folder)
        names = [f"part-{rank:05d}-of-{self.world:05d}-{manifest.attempt}.safetensors" for rank in range(self.world)]
        with replacing(folder / names[self.rank]) as part:
            save_file(own, part)
            sync(part)
        sync(folder)
        if self.rank == 0:
            self._complete(folder, names, manifest)

    def _complete(self, folder: Path, names: list[str], manifest: CheckpointManifest) -> None:
        deadline = time.monotonic() + PARTS_TIMEOUT
        while not all((folder / name).exists() for name in names):
            if time.monotonic() > deadline:
                raise DataError(
                    f"{folder}: not all parts arrived within {PARTS_TIMEOUT} s; do all machines share the output?"
                )
            time.sleep(0.05)
        parts = [CheckpointPart(n, (folder / n).stat().st_size, file_hash(folder / n)) for n in names]
        create_manifest(folder / MANIFEST, replace(manifest, parts=parts))
        for old in complete_checkpoints(self.folder)[: -self.keep]:
            (old / MANIFEST).unlink()  # first, because a half-removed checkpoint must not look complete
            shutil.rmtree(old)


def complete_checkpoints(folder: Path) -> list[Path]:
    """Complete checkpoints, oldest first."""
    return sorted(manifest.parent for manifest in folder.glob(f"step-*/{MANIFEST}"))


def read_checkpoint(folder: Path) -> CheckpointManifest:
    """The manifest. Raises DataError where a part is missing or truncated."""
    manifest = read_manifest(folder / MANIFEST, CheckpointManifest)
    if manifest is None:
        raise DataError(f"{folder} is not a complete checkpoint; use an earlier one")
    for part in manifest.parts:
        path = folder / part.file
        if not path.exists() or path.stat().st_size != part.bytes:
            raise DataError(
                f"{path}: missing or truncated; delete {folder}, and the run continues from the checkpoint before it"
            )
    return manifest


def read_tensors(folder: Path) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Every tensor with its moments, one at a time, so that memory holds only the largest."""
    for part in read_checkpoint(folder).parts:
        with safe_open(folder / part.file, framework="pt") as file:
            kinds: dict[str, list[str]] = {}
            for key in file.keys():  # noqa: SIM118 (not a mapping: it has only keys())
                name, _, kind = key.rpartition("/")
                kinds.setdefault(name, []).append(kind)
            for name, names in kinds.items():
                yield name, {kind: file.get_tensor(f"{name}/{kind}") for kind in names}
