"""How many tokens and images each sample has under an encoding rule: measured once per shard and stored in the run's folder.

Packing needs lengths before any sample is read. The file of a shard's lengths is named by the shard's hash and the rule's
fingerprint: it stays valid when folders move, and lengths are measured again when the tokenizer changes.
"""

from collections.abc import Iterator
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from transformers import PreTrainedTokenizerBase

from qvl.model.network.config import IGNORE
from qvl.pipeline.base.errors import DataError
from qvl.pipeline.commit.attempts import attempt, publish
from qvl.pipeline.commit.fingerprint import file_hash, fingerprint
from qvl.pipeline.shards.reader import ShardFile, read_index
from qvl.pipeline.shards.sample import SampleRecord, decode_sample
from qvl.pipeline.shards.sample_bytes import ShardBytes
from qvl.training.data.encode import ENCODE_VERSION, Encoder, Rule, SampleError
from qvl.training.data.holdout import held_out, image_hash
from qvl.training.recipe import Holdout

HELD_OUT = "held_out"

SCHEMA = pa.schema(
    [
        ("tokens", pa.int32()),  # 0 for a sample that cannot be trained on
        ("learnt", pa.int32()),  # tokens with a loss
        ("images", pa.int16()),
        ("cut", pa.int32()),  # tokens beyond the longest sequence
        ("reason", pa.string()),  # why it cannot be trained on, or null
    ]
)


@dataclass(frozen=True, slots=True)
class LengthsTask:
    """A shard to measure, and the file for its lengths."""

    shard: ShardFile
    path: Path
    tokenizer: PreTrainedTokenizerBase
    rule: Rule
    holdout: Holdout | None = None


@dataclass(frozen=True, slots=True)
class Lengths:
    """Lengths of one shard, in index order. ``supervised``: tokens with a loss (column ``learnt`` of the file)."""

    tokens: npt.NDArray[np.int64]
    supervised: npt.NDArray[np.int64]
    images: npt.NDArray[np.int64]
    cut: npt.NDArray[np.int64]
    reasons: list[str | None]


def rule_fingerprint(tokenizer: PreTrainedTokenizerBase, rule: Rule, holdout: Holdout | None = None) -> str:
    """What lengths depend on apart from the shard: the tokenizer's own definition, the rule, and what is held out."""
    definition = tokenizer.backend_tokenizer.to_str()
    split = None if holdout is None else [holdout.share, holdout.seed]
    return fingerprint([ENCODE_VERSION, definition, *astuple(rule), split])


@dataclass(frozen=True, slots=True)
class LengthsFolder:
    """The measured lengths under one rule. ``fingerprint`` is the rule's (``rule_fingerprint``)."""

    folder: Path
    fingerprint: str

    def path_of(self, shard: ShardFile) -> Path:
        """The file with the lengths of a shard."""
        return self.folder / self.fingerprint[:16] / f"{shard.name}-{shard.hash}.parquet"


def measure_lengths(task: LengthsTask) -> Path:
    """Encode every sample of a shard and store the lengths, unless they are stored already."""
    if task.path.is_file():
        return task.path
    rows = list(_rows(task))
    columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in SCHEMA]
    table = pa.table([pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)], SCHEMA)
    task.path.parent.mkdir(parents=True, exist_ok=True)
    with attempt(task.path.parent) as folder:
        written = folder / "lengths.parquet"
        pq.write_table(table, written, compression="zstd")
        publish(written, task.path, file_hash(written))
    return task.path


def _rows(task: LengthsTask) -> Iterator[tuple[int, int, int, int, str | None]]:
    encoder, reader = Encoder(task.tokenizer, task.rule), ShardBytes()
    index = read_index(task.shard.index, ["key", "json_offset", "json_size", "image_offsets", "image_sizes"])
    for key, offset, size, *images in zip(*(index.column(n).to_pylist() for n in index.column_names), strict=True):
        spans = list(zip(*images, strict=True))
        data = reader.read(task.shard.tar, offset, size)
        try:
            record = decode_sample(data, task.shard.tar, key)
        except DataError:
            yield 0, 0, 0, 0, "json"
            continue
        try:
            if task.holdout is not None and _held_out(task, reader, record, spans):
                raise SampleError(HELD_OUT)
            sample = encoder.encode(record)
            if any(number >= len(spans) for number in sample.images):
                raise SampleError("image_missing")
        except SampleError as error:
            yield 0, 0, 0, 0, str(error).partition(":")[0]
        except (ValueError, KeyError, TypeError, AttributeError):
            yield 0, 0, 0, 0, "json"
        else:
            supervised = int((sample.labels != IGNORE).sum())
            yield len(sample.ids), supervised, len(sample.images), sample.cut, None
    reader.close()


def _held_out(task: LengthsTask, reader: ShardBytes, record: SampleRecord, spans: list[tuple[int, int]]) -> bool:
    """Whether one of the sample's images is held out; a sample without images is split by its id."""
    assert task.holdout is not None
    if len(spans) == 1 and record.origin.sha:
        hashes = [record.origin.sha]
    else:
        hashes = [image_hash(reader.read(task.shard.tar, *span)) for span in spans] or [image_hash(record.id.encode())]
    return any(held_out(sha, task.holdout.share, task.holdout.seed) for sha in hashes)


def read_lengths(path: Path) -> Lengths:
    """The stored lengths of a shard."""
    table = pq.read_table(path)
    tokens, supervised, images, cut = (table.column(at).to_numpy().astype(np.int64) for at in range(4))
    return Lengths(tokens, supervised, images, cut, table.column("reason").to_pylist())
