"""Messages of errors: what a stale output names, names that are not UTF-8, first lines of other libraries' errors."""

import pytest

from qvl.pipeline.base.errors import RecipeError, StaleError, first_line, require_utf8


@pytest.mark.parametrize(
    ("error", "expected"),
    [(ValueError("one\ntwo"), "one"), (ValueError(), "ValueError"), (KeyError("bbox"), "'bbox'"),
     (OSError(2, "gone"), "[Errno 2] gone")],
)  # fmt: skip
def test_first_line_when_a_message_is_long_or_missing_is_one_line(error: Exception, expected: str) -> None:
    assert first_line(error) == expected


def test_of_output_when_many_things_differ_names_five_and_counts_the_rest() -> None:
    error = StaleError.of_output("out", [f"d{n}" for n in range(7)], "units")
    assert "inputs: d0; d1; d2; d3; d4 and 2 more. " in str(error) and "(units are kept)" in str(error)
    assert " more" not in str(StaleError.of_output("out", ["d0"], "units"))


def test_require_utf8_when_a_name_is_not_says_to_rename_it() -> None:
    require_utf8("日本.tar")
    with pytest.raises(RecipeError, match="not UTF-8; rename it"):
        require_utf8("\udc80.tar")
