"""File sizes."""

import pytest
from pydantic import ValidationError

from qvl.pipeline.filters.image_bytes import ImageBytes
from tests.pipeline.filters.judging import kept


def test_files_below_the_minimum_do_not_pass() -> None:
    assert kept(ImageBytes(), image_bytes=[4_999, 5_000, 50_000_000, None]) == [False, True, True, False]


def test_bounds_beyond_the_range_of_the_column_are_clamped() -> None:
    sizes = [0, 2**31 - 1, None]
    assert kept(ImageBytes(minimum=3_000_000_000), image_bytes=sizes) == [False, False, False]
    assert kept(ImageBytes(minimum=2**63 - 1), image_bytes=sizes) == [False, False, False]
    assert kept(ImageBytes(minimum=0, maximum=2**31), image_bytes=sizes) == [True, True, False]
    assert kept(ImageBytes(minimum=0, maximum=2**63 - 1), image_bytes=sizes) == [True, True, False]
    assert kept(ImageBytes(minimum=0, maximum=-(2**63)), image_bytes=sizes) == [False, False, False]


def test_files_above_a_maximum_do_not_pass() -> None:
    assert kept(ImageBytes(minimum=0, maximum=100), image_bytes=[0, 100, 101]) == [True, True, False]


def test_bound_when_it_has_more_than_64_bits_is_refused() -> None:
    with pytest.raises(ValidationError, match="less than 2\\^63"):
        ImageBytes(minimum=2**70)
