"""Parquet tables with images in their cells."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from qvl.pipeline.sources.columns import Columns
from qvl.pipeline.sources.table import Table


def write_parquet(folder: Path, columns: dict[str, Any], **options: Any) -> Path:
    pq.write_table(pa.table(columns), folder / "t.parquet", **options)
    return folder / "t.parquet"


def in_table(path: Path, **columns: str) -> Table:
    return Table(paths=(str(path),), columns=Columns(**columns))
