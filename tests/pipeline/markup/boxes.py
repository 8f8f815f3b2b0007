"""Boxes for the tests of this room."""

from hypothesis import strategies as st

from qvl.pipeline.markup.coordinates import Box

SIDES = st.integers(20, 5_000)
FRACTIONS = st.floats(0, 1)


def fractions(x1: int, y1: int, x2: int, y2: int) -> Box:
    """The box that the qwen-vl dialect writes with these numbers."""
    return x1 / 999, y1 / 999, x2 / 999, y2 / 999


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    x1, x2 = sorted((draw(FRACTIONS), draw(FRACTIONS)))
    y1, y2 = sorted((draw(FRACTIONS), draw(FRACTIONS)))
    return x1, y1, x2, y2
