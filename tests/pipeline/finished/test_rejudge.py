"""Changed filters over the columns of one unit, row by row by hand."""

import numpy as np
import pyarrow as pa

from qvl.pipeline.filters import FILTER_NAMES
from qvl.pipeline.finished.rejudge import changed_filters, failed_bits, judge_again
from qvl.pipeline.finished.verdict_index import VerdictIndex
from qvl.pipeline.recipe.recipe import Recipe

LENGTH, CLIP = (1 << FILTER_NAMES.index(name) for name in ("text_length", "clip"))


def recipe(**filters: object) -> Recipe:
    read = {"kind": "webdataset", "paths": ["-"]}
    return Recipe.model_validate({"name": "r", "sources": [{"name": "web", "read": read}], "filters": filters})


OLD = recipe(text_length={"minimum": 5}, clip={"minimum": 0.2})
# kept; too short; low score; no score; unreadable; a duplicate
TABLE = pa.table(
    {
        "verdict": pa.array(
            ["keep", "text_length", "clip", "clip", "unreadable:x", "duplicate_image"]
        ).dictionary_encode(),
        "failed": pa.array([0, LENGTH, CLIP, CLIP, 0, 0], pa.uint32()),
        "characters": pa.array([9, 3, 9, 9, None, 9], pa.int32()),
        "clip": pa.array([0.3, 0.3, 0.1, None, None, 0.3], pa.float32()),
        "score_state": pa.array(["scored"] * 6).dictionary_encode(),
    }
)


def after(new: Recipe) -> tuple[list[str], int]:
    """The verdicts after the filters alone, and the rows that are dropped for lack of a value."""
    index = VerdictIndex()
    found = judge_again(TABLE, "web", OLD, new, index)
    assert [index.name(code) for code in found.before.tolist()] == TABLE["verdict"].to_pylist()
    return [index.name(code) for code in found.after.tolist()], found.missing


def test_changed_filters_are_those_whose_settings_differ() -> None:
    new = recipe(text_length={"minimum": 5}, clip={"minimum": 0.3})
    assert [name for _, name, _ in changed_filters(OLD, new, "web")] == ["clip"]
    assert changed_filters(OLD, OLD, "web") == []


def test_judge_again_without_a_change_leaves_the_verdicts_of_filters_and_faults() -> None:
    verdicts, missing = after(OLD)
    # duplicates are judged anew afterwards, so the filters alone keep the last row
    assert verdicts == ["keep", "text_length", "clip", "clip", "unreadable:x", "keep"] and missing == 0


def test_judge_again_when_a_threshold_falls_lets_rows_in_and_a_missing_value_never_passes() -> None:
    verdicts, missing = after(recipe(text_length={"minimum": 5}, clip={"minimum": 0.05}))
    assert verdicts == ["keep", "text_length", "keep", "clip", "unreadable:x", "keep"] and missing == 1


def test_judge_again_when_a_filter_is_switched_off_names_the_next_reason() -> None:
    verdicts, _ = after(recipe(text_length={"minimum": 20}))
    assert verdicts == ["text_length"] * 4 + ["unreadable:x", "text_length"]
    assert after(recipe())[0] == ["keep"] * 4 + ["unreadable:x", "keep"]


def test_failed_bits_keep_the_bits_of_filters_that_did_not_change() -> None:
    failed, missing = failed_bits(TABLE, "web", OLD, recipe(text_length={"minimum": 2}, clip={"minimum": 0.2}))
    assert failed.tolist()[:4] == [0, 0, CLIP, CLIP]
    assert np.flatnonzero(missing).tolist() == [4]
