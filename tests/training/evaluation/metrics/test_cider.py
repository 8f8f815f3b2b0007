"""CIDEr against the original implementation and against a value that was computed by hand."""

import json
from pathlib import Path

import numpy as np
import pytest

from qvl.training.evaluation.metrics.cider import cider

GOLDEN = json.loads(Path(__file__).with_name("golden_captions.json").read_text("utf-8"))


def test_cider_equals_that_of_pycocoevalcap() -> None:
    pairs = GOLDEN["pairs"]
    scores = cider([pair["candidate"] for pair in pairs], [pair["references"] for pair in pairs])
    assert scores == pytest.approx([pair["cider"] for pair in pairs], abs=1e-9)
    assert sum(scores) / len(scores) == pytest.approx(GOLDEN["mean"], abs=1e-9)


def test_cider_equals_the_hand_computed_value() -> None:
    # two images: every n-gram of each sentence is in one document of two, so all weights are count * ln 2
    texts = ["red cat sits here", "blue dog runs there"]
    assert cider(texts, [[text] for text in texts]) == pytest.approx([10.0, 10.0])
    # 'red cat' against 'red cat sits here': order 1 shares 2 of (2 x 4) -> 2/sqrt(2*4), order 2 shares 1 of (1 x 3),
    # orders 3 and 4 share nothing; bigrams 1 and 3, so exp(-(2**2) / 72)
    wanted = 10 / 4 * (2 / 8**0.5 + 1 / 3**0.5) * np.exp(-4 / 72)
    assert cider(["red cat", texts[1]], [[text] for text in texts])[0] == pytest.approx(wanted)
    assert cider(["", "a"], [["x y"], ["z"]]) == [0.0, 0.0]
    with pytest.raises(ValueError, match="reference"):
        cider(["a"], [[]])
