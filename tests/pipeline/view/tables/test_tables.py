"""Tables of an output: parquet files of any schema."""

from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from qvl.pipeline.view.output import Output
from qvl.pipeline.view.tables.queries import keys, records, total


def test_any_other_parquet_file_is_a_table(tmp_path: Path) -> None:
    """As an evaluation or a mixture may leave them."""
    answers = {
        "question": [f"what is {i}" for i in range(90)],
        "score": np.arange(90) / 90,
        "task": ["vqa", "ocr"] * 45,
    }
    pq.write_table(pa.table(answers), tmp_path / "predictions.parquet")
    (tmp_path / "steps").mkdir()
    pq.write_table(pa.table({"step": [1, 2], "loss": [3.0, 2.5]}), tmp_path / "steps" / "a.parquet")
    output = Output.open(tmp_path)
    assert {name: [c.kind for c in table.columns] for name, table in output.tables.items()} == {
        "predictions": ["text", "number", "word", "text"],
        "steps": ["number", "number", "text"],
    }
    query = output.query(output.database.cursor(), "predictions", ["task:is:ocr"])
    found = keys(query, output.table("predictions").column("score"), True, 0)
    assert found[:2] == ["predictions#89", "predictions#87"]
    assert records(query, found[:1], list(query.table.columns))[0]["question"] == "what is 89"


def test_lists_of_hashes_are_hexadecimal_words(tmp_path: Path) -> None:
    boxes = pa.array([[2**64 - 1, 5], [], None], pa.list_(pa.uint64()))
    pq.write_table(pa.table({"boxes": boxes}), tmp_path / "made.parquet")
    output = Output.open(tmp_path)
    query = output.query(output.database.cursor(), "made", ["boxes:is:ffffffffffffffff"])
    column = query.table.column("boxes")
    assert column.kind == "words" and total(query).rows == 1
    found = records(query, keys(query, None, False, 0), [column])
    assert orjson.loads(orjson.dumps(found))[0]["boxes"] == ["ffffffffffffffff", "0000000000000005"]
