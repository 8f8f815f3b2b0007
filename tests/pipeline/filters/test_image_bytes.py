"""File sizes."""

from pipeline.filters.image_bytes import ImageBytes
from tests.pipeline.filters.judging import kept


def test_files_below_the_minimum_are_dropped() -> None:
    assert kept(ImageBytes(), image_bytes=[4_999, 5_000, 50_000_000, None]) == [False, True, True, False]


def test_the_maximum_binds_where_it_is_set() -> None:
    assert kept(ImageBytes(minimum=0, maximum=100), image_bytes=[0, 100, 101]) == [True, True, False]
