"""Records that are not what their format says."""

import pytest

from qvl.grounding_builder.drafts.readable import Unusable, readable, text_of
from qvl.pipeline.base.errors import DataError


def test_text_of_when_null_is_empty_and_when_not_text_is_unusable() -> None:
    assert text_of(None) == "" and text_of("a") == "a"
    for value in (1, ["a"], "\ud800"):
        with pytest.raises(Unusable):
            text_of(value)


def test_readable_when_a_key_is_missing_names_the_file() -> None:
    with pytest.raises(DataError, match="refs: cannot be read: KeyError: 'bbox'"), readable("refs"):
        raise KeyError("bbox")
