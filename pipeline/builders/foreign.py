"""Convert third-party WebDataset tars to a dataset: `qvl mix index --output`.

The JSON of a sample must be in the same tar as its images (docs/decisions/0008), so image bytes are copied unchanged into
new shards, one per tar. Nothing is filtered; `qvl curate run` does that. Tars whose samples are already in our format are
not converted but indexed (``foreign_index``).
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson
from pydantic import JsonValue

from qvl.pipeline.base.errors import ContractError, DataError, RecipeError
from qvl.pipeline.base.pool import Pool
from qvl.pipeline.builders.foreign_samples import Language, LeftOutError, Provenance, foreign_sample
from qvl.pipeline.commit.attempts import clear_attempts
from qvl.pipeline.commit.fingerprint import file_identity, fingerprint
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.lock import output_lock
from qvl.pipeline.commit.manifests import read_committed
from qvl.pipeline.shards.dataset import commit_shard, finish
from qvl.pipeline.shards.manifests import DatasetManifest, ShardManifest
from qvl.pipeline.shards.order import ShardPlan
from qvl.pipeline.shards.sample import Sample
from qvl.pipeline.sources.tar_index import index_tar
from qvl.pipeline.sources.tar_members import TarSample, group
from qvl.pipeline.storage.atomic import replace_file
from qvl.pipeline.storage.reader import Storage
from qvl.pipeline.takedown.journal import finish_takedown

FOREIGN_VERSION = 1


@dataclass(frozen=True, slots=True)
class ConvertTask:
    """One tar, to be converted to the shard ``name``."""

    tar: str
    name: str
    out: Path
    source: str
    language: Language
    fingerprint: str

    @property
    def left_out(self) -> Path:
        """The file that lists the samples that were not converted."""
        return self.out / "left_out" / f"{self.name}.jsonl"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A sample that was not converted: a line of the file ``left_out``."""

    key: str
    reason: str


@dataclass(frozen=True, slots=True)
class Converted:
    """``dataset.json``, and the number of samples left out by reason, most frequent first."""

    dataset: DatasetManifest
    left_out: dict[str, int]


def convert(tars: list[Path], out: Path, name: str, language: Language, pool: Pool) -> Converted:
    """Convert tars to a dataset in ``out``. Shards that are already converted are kept."""
    layout = Layout(out.resolve())
    with output_lock(layout.out):
        finish_takedown(layout.out)
        clear_attempts(layout.out)
        tasks = _tasks(tars, layout.out, name, language)
        for _ in pool.map(convert_tar, tasks):
            pass
        plans, reasons = _plans(tasks), _left_out_reasons(tasks)
        samples = plans[-1].last if plans else 0
        lineage: dict[str, JsonValue] = {
            "foreign": fingerprint([task.fingerprint for task in tasks]),
            "tars": [tar.name for tar in tars],
            "rows": samples + reasons.total(),
            "left_out": dict(sorted(reasons.items())),
        }
        return Converted(finish(name, layout.out, plans, samples, lineage), dict(reasons.most_common()))


def _tasks(tars: list[Path], out: Path, name: str, language: Language) -> list[ConvertTask]:
    tasks = []
    for number, tar in enumerate(tars):
        identity = _identity(str(tar), name, language)
        tasks.append(ConvertTask(str(tar), f"{name}-{number:06d}", out, name, language, identity))
    return tasks


def _identity(tar: str, name: str, language: Language) -> str:
    """The fingerprint of what a shard is converted from."""
    return fingerprint([FOREIGN_VERSION, file_identity(Storage(), tar), Path(tar).name, name, language])


def _plans(tasks: list[ConvertTask]) -> list[ShardPlan]:
    """The shards in order; each counts the samples that were taken down from it."""
    plans, first = [], 0
    for task in tasks:
        manifest = _committed(task)
        if manifest is None:
            raise ContractError(f"{task.tar}: the tar was reported converted but has no manifest")
        last = first + manifest.samples + manifest.revoked
        plans.append(ShardPlan(task.name, first, last, ()))
        first = last
    return plans


def _left_out_reasons(tasks: list[ConvertTask]) -> Counter[str]:
    reasons: Counter[str] = Counter()
    for task in tasks:
        reasons.update(orjson.loads(line)["reason"] for line in task.left_out.read_bytes().splitlines())
    return reasons


def convert_tar(task: ConvertTask) -> None:
    """Convert one tar, unless it is already converted.

    Raises DataError for a tar that is truncated or corrupted, or that changed since its task was made.
    """
    if _committed(task) is not None:
        return
    with Storage().mapped(task.tar) as data:
        index = index_tar(data)
        if index.fault:
            raise DataError(f"{task.tar}: {index.fault}; fetch it again, or leave it out")
        task.left_out.unlink(missing_ok=True)
        commit_shard(task.out, task.name, _samples(task, group(index.members).samples, data), task.fingerprint)


def _samples(task: ConvertTask, samples: Iterable[TarSample], data: memoryview) -> Iterator[Sample]:
    """The converted samples of a tar.

    The list of samples that were left out is written when this iterator ends, and so before the shard is committed.
    """
    provenance = Provenance(task.name, task.source, Path(task.tar).name)
    left_out = []
    for row, members in enumerate(samples):
        try:
            yield foreign_sample(provenance, row, members, data, task.language)
        except LeftOutError as error:
            left_out.append(LeftOut(members.key, str(error)))
    if _identity(task.tar, task.source, task.language) != task.fingerprint:
        raise DataError(f"{task.tar} changed while it was read; run the same command again when nothing writes to it")
    replace_file(task.left_out, b"".join(orjson.dumps(line) + b"\n" for line in left_out))


def _committed(task: ConvertTask) -> ShardManifest | None:
    layout = Layout(task.out)
    files = [layout.shard(task.name), layout.index(task.name), task.left_out]
    return read_committed(layout.shard_manifest(task.name), task.fingerprint, files, ShardManifest)


def dataset_name(folder: Path) -> str:
    """The folder's name with only characters that ids may contain. Raises RecipeError if none is left."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", folder.resolve().name).strip("_")
    if not name:
        raise RecipeError(f"{folder}: its name cannot become the dataset's name; give one with --name")
    return name
