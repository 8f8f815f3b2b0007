"""The image vectors of a unit as a parquet file of their own: row, model and vector (fp16)."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from qvl.pipeline.commit.attempts import publish
from qvl.pipeline.commit.fingerprint import file_hash
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.curate.measuring.columns import CATEGORY
from qvl.pipeline.curate.measuring.score_columns import VECTORS
from qvl.pipeline.images.score_images import Vectors
from qvl.pipeline.recipe.score import Clip
from qvl.pipeline.storage.paths import AnyPath


@dataclass(frozen=True, slots=True)
class PublishedVectors:
    """The hash of each model's weights (None without CLIP), and of the vectors' file (None where it is not kept)."""

    weights: dict[str, str] | None = None
    file_hash: str | None = None


def publish_vectors(out: AnyPath, unit: str, clip: Clip | None, vectors: Vectors, folder: Path) -> PublishedVectors:
    """Write a unit's vectors by way of the attempt's ``folder``, if the recipe keeps them."""
    if clip is None:
        return PublishedVectors()
    from qvl.pipeline.images.clip import scorer

    weights = {name: scorer(spec, clip.compile)[1] for name, spec in clip.models().items()}
    if not clip.embeddings:
        return PublishedVectors(weights)
    written = folder / "embeddings.parquet"
    pq.write_table(vector_table(vectors), written, use_dictionary=["model"])
    digest = file_hash(written)
    publish(written, Layout(out).embeddings(unit), digest)
    return PublishedVectors(weights, digest)


def vector_table(vectors: Vectors) -> pa.Table:
    """The vectors (VECTORS) by model name, then by row."""
    tables = [VECTORS.empty_table()]
    for name, pieces in sorted(vectors.items()):
        rows = np.concatenate([np.array(rows, np.int32) for rows, _ in pieces])
        order = np.argsort(rows, kind="stable")
        values = np.concatenate([piece for _, piece in pieces])[order]
        ends = np.arange(len(rows) + 1, dtype=np.int32) * values.shape[1]
        vector = pa.ListArray.from_arrays(pa.array(ends), pa.array(values.ravel()))
        model = pa.array([name] * len(rows)).dictionary_encode().cast(CATEGORY)
        tables.append(pa.Table.from_arrays([pa.array(rows[order]), model, vector], schema=VECTORS))
    return pa.concat_tables(tables)
