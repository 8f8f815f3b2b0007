"""Pages made from templates."""

import time

import numpy as np

from qvl.synth_ocr.html.templates import fill_template
from qvl.synth_ocr.scene.forms import form_lines


def test_template_when_seeds_are_equal_gives_equal_text() -> None:
    for language in ("en", "zh"):
        first, again, other = (fill_template(language, np.random.default_rng(seed)) for seed in (1, 1, 2))  # type: ignore[arg-type]
        assert first == again != other


def test_templates_and_forms_when_made_later_are_the_same() -> None:
    def make_pages() -> list[object]:
        pages: list[object] = [fill_template("zh", np.random.default_rng(seed)) for seed in range(12)]
        return pages + [form_lines("en", np.random.default_rng(seed)) for seed in range(12)]

    first = make_pages()
    time.sleep(1.1)
    assert make_pages() == first
