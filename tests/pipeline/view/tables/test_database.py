"""DuckDB over an output."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qvl.pipeline.view.output import Output


def test_the_database_opens_no_file_outside_of_the_output(output: Output, cursor: Any, tmp_path: Path) -> None:
    outside = tmp_path / "secret.parquet"
    pq.write_table(pa.table({"key": ["s"]}), outside)
    for statement in (f"SELECT * FROM read_parquet('{outside}')", f"COPY rows TO '{tmp_path}/copy.parquet'",
                      "SET enable_external_access = true", f"ATTACH '{tmp_path}/new.db'"):  # fmt: skip
        with pytest.raises(Exception, match=r"(?i)permission|disabled|locked|cannot"):
            cursor.execute(statement)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["secret.parquet"]
