"""Small images and builds for the tests."""

import io
import json
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from qvl.grounding_builder.build.builder import Grounding
from qvl.grounding_builder.drafts.drafts import Annotations, Draft
from qvl.pipeline.base.pool import SerialPool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.builders.build import build
from qvl.pipeline.exclusion.exclusion import Exclusion
from qvl.pipeline.finished.audit import audit
from qvl.pipeline.sources.tar_index import index_tar
from qvl.pipeline.storage.reader import Storage

EXAMPLES = Path(__file__).parents[2] / "examples"
DATA = EXAMPLES / "grounding"


def jpeg(width: int, height: int, orientation: int = 1, shade: int = 90) -> bytes:
    """A picture with a visible shape on it."""
    image = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    image.paste((shade, 200, 40), (width // 4, height // 5, width // 2, height // 2))
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    image.save(file, "JPEG", quality=80, exif=exif)
    return file.getvalue()


def dump(path: Path, content: Any) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return str(path)


def table(path: Path, rows: list[dict[str, Any]]) -> str:
    pq.write_table(pa.Table.from_pylist(rows), path)
    return str(path)


def drafts(source: Annotations) -> list[Draft]:
    """All rows of a source, without reading images."""
    storage = Storage()
    return [draft for piece in source.pieces(storage) for draft in source.drafts(piece, storage)]


def answers(draft: Draft, task: str = "referring") -> list[str]:
    """The texts of a row's samples of one task, with all turns joined."""
    return ["".join(turn.text for turn in item.turns) for item in draft.items if item.task == task]


def make(source: Annotations, out: Path, exclusion: Exclusion | None = None) -> list[dict[str, Any]]:
    """Build one source and audit it; returns the ledger's rows in order."""
    builder = Grounding("test", (source,), exclusion or Exclusion())
    dataset = build(builder, out, SerialPool(), RunProgress(), shard_rows=50, seed=0)
    assert audit(out).discrepancy is None
    return [row for unit in dataset.units for row in pq.read_table(out / "ledger" / f"{unit}.parquet").to_pylist()]


def samples(out: Path) -> list[dict[str, Any]]:
    """The JSON of all samples in the shards."""
    found = []
    for path in sorted((out / "shards").glob("*.tar")):
        data = memoryview(path.read_bytes())
        for member in index_tar(data).members:
            if member.name.endswith(".json"):
                found.append(orjson.loads(data[member.offset : member.offset + member.size]))
    return found
