"""Which rows are asked about."""

import pyarrow as pa

from qvl.pipeline.curate.speaking.speak import reasons_against
from qvl.pipeline.filters import Filters


def test_first_failed_filter_is_the_reason_and_faults_come_before_all() -> None:
    table = pa.table(
        {
            "emoji": pa.array([0, 3, 0, 0, None], pa.int32()),
            "license": ["cc0", "none", "none", "cc0", "cc0"],
            "fault": pa.array([None, None, None, "unreadable:truncated", None], pa.string()),
            "score_state": ["scored", "scored", "scored", "scored", "unreadable:bad_pixels"],
        }
    )
    filters = Filters.model_validate({"emoji": {}, "columns": {"license": {"allowed": ["cc0"]}}})
    assert reasons_against(table, filters) == [
        "", "not_asked:emoji", "not_asked:license", "not_asked:unreadable", "not_asked:unreadable",
    ]  # fmt: skip
    assert reasons_against(table, filters.without(["license"]))[2] == ""
