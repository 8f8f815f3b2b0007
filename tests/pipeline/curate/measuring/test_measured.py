"""Reading the columns of scan, of score and the added ones in one table."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.curate.measuring.measured import read_measured
from qvl.pipeline.curate.measuring.score_columns import SCORES, unscored
from qvl.pipeline.recipe.score import Score
from tests.pipeline.filters.judging import rows as make_batch

CLIP = Score.model_validate({"clip": {"english": {"model": "-", "pretrained": "-"}}})


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Two rows, scored by the Chinese and by the English model."""
    layout = Layout(tmp_path)
    scores = {
        **{"phash": [7, None], "phash_tint": [1, None], "phash_spread": [9.0, None]},
        **{"clip_english": [None, 0.25], "clip_chinese": [0.5, None], "score_state": ["scored", "scored"]},
    }
    columns = [
        pa.array(scores[field.name], pa.string()).dictionary_encode().cast(field.type)
        if field.name == "score_state"
        else pa.array(scores[field.name], field.type)
        for field in SCORES
    ]
    for path in (layout.columns("u"), layout.scores("u")):
        path.parent.mkdir()
    pq.write_table(pa.Table.from_batches([make_batch(clip=[0.1, 0.1], language=["zh", "en"])]), layout.columns("u"))
    pq.write_table(pa.Table.from_arrays(columns, schema=SCORES), layout.scores("u"))
    return tmp_path


def test_read_measured_when_clip_is_scored_takes_the_model_of_the_language(out: Path) -> None:
    table = read_measured(out, "u", ["clip", "phash"], CLIP)
    assert table.column_names == ["clip", "phash"]
    assert table["clip"].to_pylist() == [0.5, 0.25]
    assert table["phash"].to_pylist() == [7, None]


def test_read_measured_when_clip_is_not_scored_takes_the_column_of_the_source(out: Path) -> None:
    table = read_measured(out, "u", ["clip", "score_state"], None)
    assert table["clip"].to_pylist() == pytest.approx([0.1, 0.1])
    assert table["score_state"].to_pylist() == ["not_scored:off"] * 2


def test_unscored_columns_are_null_and_say_that_the_stage_is_off() -> None:
    table = unscored(3)
    assert table.schema == SCORES
    assert table.to_pylist()[2] == {**dict.fromkeys(SCORES.names), "score_state": "not_scored:off"}
