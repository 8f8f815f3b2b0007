"""Images that two datasets share, and what differs between two datasets."""

from pathlib import Path

import pytest

from qvl.pipeline.markup.turns import caption_turns, vqa_turns
from qvl.pipeline.shards.reader import open_dataset
from qvl.training.data.datasets import open_all
from qvl.training.pages.mix.compare import difference, duplicates
from qvl.training.pages.mix.figures import ShareDifference
from tests.training.made import of_task, picture, sample, write_dataset


def test_duplicates_when_two_datasets_share_an_image_are_found_by_its_bytes(tmp_path: Path) -> None:
    shared = [sample(f"a-{n}", "caption", caption_turns(f"{n}", "en"), [picture(n)]) for n in range(20)]
    other = [sample(f"b-{n}", "vqa", vqa_turns("What?", f"{n}"), [picture(n + 15)]) for n in range(20)]
    twice = [*other, sample("b-again", "vqa", vqa_turns("And?", "x"), [picture(15)])]
    paths = {"a": write_dataset(tmp_path / "a", "a", shared), "b": write_dataset(tmp_path / "b", "b", twice)}
    found = duplicates(open_all({name: str(path) for name, path in paths.items()}))
    (across,) = found.across
    assert (across.images, across.samples) == (5, [5, 6])
    for first, second in across.examples:
        assert int(first.removeprefix("a-")) in range(15, 20)
        assert picture(int(first.removeprefix("a-"))) == picture(
            15 + int(second.removeprefix("b-").replace("again", "0"))
        )
    inside = {row.dataset: row for row in found.inside}
    assert (inside["a"].images, inside["a"].distinct, inside["a"].repeated) == (20, 20, 0)
    assert (inside["b"].images, inside["b"].distinct, inside["b"].repeated) == (21, 20, 1)
    assert inside["b"].examples == [("b-0", 2)]


def test_difference_of_two_datasets_counts_ids_images_and_changed_contents(tmp_path: Path) -> None:
    first = [of_task("caption", n) for n in range(10)]
    changed = sample("caption-0004", "caption", caption_turns("another", "en"), [picture(4)])
    second = [*first[:4], changed, *first[5:8], of_task("vqa", 30)]
    paths = [write_dataset(tmp_path / name, name, rows, 4) for name, rows in (("a", first), ("b", second))]
    a, b = (open_dataset(str(path)) for path in paths)
    found = difference(a, b)
    assert found.samples == [10, 9] and not found.same_bytes
    assert (found.ids.both, found.ids.changed, found.ids.only) == (8, 1, [2, 1])
    assert found.ids.examples == [["caption-0008", "caption-0009"], ["vqa-0030"]]
    assert found.ids.changed_examples == ["caption-0004"]
    assert (found.images.both, found.images.only) == (8, [2, 1])
    assert found.shares["tasks"][0] == ShareDifference("caption", [10, 8], [1.0, pytest.approx(8 / 9)])  # type: ignore[list-item]
    assert difference(a, a).same_bytes
