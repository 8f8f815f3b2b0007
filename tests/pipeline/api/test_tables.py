"""The tables of an output: committed files alone, also from paths with special characters."""

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

import qvl


def test_tables_when_stray_files_lie_in_the_output_read_only_committed_ones(curated: Path, tmp_path: Path) -> None:
    out = tmp_path / "it's [a] *strange? name"
    shutil.copytree(curated / "out", out)
    for folder in ("ledger", "shards"):
        pq.write_table(pa.table({"filename": ["x"]}), out / folder / "stray.parquet")
    run = qvl.open(out)
    assert run.ledger("SELECT count(*) FROM ledger").fetchall() == [(run.dataset.rows,)]
    assert len(list(run.samples())) == run.dataset.samples
    assert "filename" not in run.ledger().columns
