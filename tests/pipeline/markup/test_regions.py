"""Regions of a sample."""

from qvl.pipeline.markup.regions import Region


def test_stated_fields_are_those_that_are_not_none_in_the_order_of_the_class() -> None:
    assert Region("fox", 0, box=(0.0, 0.1, 0.2, 0.3)).stated() == {
        "phrase": "fox",
        "image": 0,
        "box": (0.0, 0.1, 0.2, 0.3),
    }
    word = Region("fox", 1, parent=0, order=0, level="word", quad=(0.0,) * 8)
    assert list(word.stated()) == ["phrase", "image", "quad", "level", "order", "parent"]
