"""Held-out loss: only held-out samples are taken, the sums are right, first weights know nothing."""

from math import log
from pathlib import Path

import pytest

from qvl.pipeline.shards.reader import open_dataset
from qvl.pipeline.shards.scan import scan_dataset
from qvl.training.data.holdout import held_out
from qvl.training.heldout.loss import (
    DIALOGUE,
    OTHER,
    TaskLoss,
    change,
    held_out_loss,
    held_out_samples,
    summed,
    with_other_images,
)
from qvl.training.recipe import Holdout

HOLDOUT = Holdout(share=0.3, seed=3)


def named(*pairs: tuple[float, int]) -> dict[str, tuple[float, int]]:
    return {str(number): pair for number, pair in enumerate(pairs)}


def test_summed_is_a_ratio_of_sums_with_its_error() -> None:
    found = summed(named((6.0, 2), (4.0, 2), (30.0, 10)))
    assert found.loss == pytest.approx(40 / 14, abs=1e-6)
    residuals = [6 - 2 * 40 / 14, 4 - 2 * 40 / 14, 30 - 10 * 40 / 14]
    assert found.standard_error == pytest.approx((sum(r * r for r in residuals) * 3 / 2) ** 0.5 / 14, abs=1e-6)
    assert (found.tokens, found.samples) == (14, 3)


def test_summed_when_there_is_one_sample_has_no_error() -> None:
    assert summed({"a": (6.0, 2)}) == TaskLoss(3.0, 0.0, 2, 1, {"a": (6.0, 2)})


def test_a_change_of_the_same_samples_has_a_smaller_error_than_their_spread() -> None:
    before, after = summed(named((6.0, 2), (4.0, 2), (30.0, 10))), summed(named((5.0, 2), (3.2, 2), (25.0, 10)))
    moved, error = change(before, after)
    assert moved == pytest.approx(after.loss - before.loss, abs=1e-6)
    assert change(before, summed({**after.by_sample, "only here": (9.0, 1)})) == (moved, error)
    assert 0 < error < after.standard_error / 5


def test_with_other_images_gives_captions_the_image_of_the_next(datasets: dict[str, Path]) -> None:
    chosen = held_out_samples({"mixed": str(datasets["mixed"])}, HOLDOUT, 3)
    others = with_other_images(chosen)
    assert [each.record.id for each in others] == [s.record.id for s in chosen if s.task == "caption"]
    assert [each.images for each in others] == [s.images for s in (chosen[1], chosen[2], chosen[0])]


def test_held_out_samples_takes_only_held_out_ones(datasets: dict[str, Path]) -> None:
    paths = {name: str(path) for name, path in datasets.items()}
    chosen = held_out_samples(paths, HOLDOUT, 1000)
    keys = {sample.record.id for sample in chosen}
    for path in paths.values():
        for scanned in scan_dataset(open_dataset(path)):
            hashes = scanned.image_hashes(scanned.record())
            if hashes:
                assert (scanned.key in keys) == any(held_out(each, HOLDOUT.share, HOLDOUT.seed) for each in hashes)
    assert {"caption", "ocr", "referring", "vqa", "chat", "text"} == {sample.task for sample in chosen}


def test_held_out_samples_takes_at_most_the_limit_of_each_task(datasets: dict[str, Path]) -> None:
    chosen = held_out_samples({"mixed": str(datasets["mixed"])}, HOLDOUT, 2)
    assert [sample.task for sample in chosen] == ["caption"] * 2 + ["ocr"] * 2 + ["referring"] * 2 + ["vqa"] * 2


def test_held_out_loss_of_initial_weights_is_that_of_a_guess(start: Path, datasets: dict[str, Path]) -> None:
    """The loss of a model that has learnt nothing is that of a guess among its 512 tokens."""
    chosen = held_out_samples({name: str(path) for name, path in datasets.items()}, HOLDOUT, 3)
    found = held_out_loss(start, chosen)
    assert {f"caption{DIALOGUE}", f"vqa{DIALOGUE}", f"referring{DIALOGUE}", "text", "chat", "ocr"} < set(found)
    assert found[f"caption{OTHER}"].samples == found["caption"].samples
    assert all(abs(loss.loss - log(512)) < 1.5 for loss in found.values())
