"""How the steps of select exchange arrays: each is committed once, whole or in parts, and parts are read on their own."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from qvl.pipeline.base.errors import ContractError
from qvl.pipeline.commit.attempts import attempt, publish
from qvl.pipeline.commit.fingerprint import file_hash
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import create_manifest, read_committed, read_manifest
from qvl.pipeline.curate.selection.manifests import ArrayManifest
from qvl.pipeline.curate.selection.task import SelectTask
from qvl.pipeline.storage.arrow_files import load_slice


@dataclass(frozen=True, slots=True)
class DividedArray:
    """An array in consecutive parts: part i holds rows [``offsets[i]``, ``offsets[i + 1]``)."""

    rows: np.ndarray
    offsets: tuple[int, ...]


def commit_array(task: SelectTask, step: str, compute: Callable[[], np.ndarray]) -> ArrayManifest:
    """Commit an array under the name of a step, unless it is committed already."""
    return committed_array(task, step) or _commit(task, step, compute(), None)


def commit_divided_array(task: SelectTask, step: str, compute: Callable[[], DividedArray]) -> ArrayManifest:
    """Commit an array and the offsets of its parts under the name of a step, unless it is committed already."""
    committed = committed_array(task, step)
    if committed is not None:
        return committed
    array = compute()
    return _commit(task, step, array.rows, array.offsets)


def commit_losers(task: SelectTask, step: str, compute: Callable[[], np.ndarray]) -> ArrayManifest:
    """Commit losers (LOSER, sorted by group); part i holds those of group i."""

    def divided() -> DividedArray:
        losers = compute()
        offsets = np.searchsorted(losers["group"], np.arange(len(task.groups) + 1)).tolist()
        return DividedArray(losers, tuple(offsets))

    return commit_divided_array(task, step, divided)


def committed_array(task: SelectTask, step: str) -> ArrayManifest | None:
    """The manifest of an array that is committed already, or None."""
    layout = Layout(task.out)
    files = [layout.work(step, task.number)]
    return read_committed(layout.group_manifest(step, task.number), task.fingerprint, files, ArrayManifest)


def load_part(task: SelectTask, step: str, number: int, part: int) -> np.ndarray:
    """Part ``part`` of array ``number`` of a step; on a store only its bytes are read. Raises ContractError if missing."""
    layout = Layout(task.out)
    manifest = read_manifest(layout.group_manifest(step, number), ArrayManifest)
    if manifest is None or manifest.offsets is None:
        raise ContractError(f"{task.out}: step {step} of group {number} is missing; run the same command again")
    first, last = manifest.offsets[part : part + 2]
    return load_slice(layout.work(step, number), first, last)


def _commit(task: SelectTask, step: str, rows: np.ndarray, offsets: tuple[int, ...] | None) -> ArrayManifest:
    layout = Layout(task.out)
    with attempt(task.out) as folder:
        written = folder / "work.npy"
        np.save(written, rows)
        digest = file_hash(written)
        publish(written, layout.work(step, task.number), digest)
    manifest = ArrayManifest(task.fingerprint, len(rows), digest, offsets)
    return create_manifest(layout.group_manifest(step, task.number), manifest)
