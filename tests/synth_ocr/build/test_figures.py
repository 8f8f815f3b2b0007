"""Figures of a build from its ledger."""

import orjson
import pyarrow as pa

from qvl.synth_ocr.build.figures import compute_figures, gb2312_level_one
from qvl.synth_ocr.page.notes import notes_json
from tests.synth_ocr.page.test_notes import NOTES

ROWS = [
    {"verdict": "keep", "lines": 2, "characters": 9, "scripts": '{"Han":4,"Latin":5}', "lost": '{"faint":1}',
     "fonts": ["a", "b"], "han": "中文", "notes": notes_json(NOTES)},
    {"verdict": "keep", "lines": 1, "characters": 3, "scripts": '{"Latin":3}', "lost": "{}", "fonts": ["a"], "han": "",
     "notes": "{}"},
    {"verdict": "blank", "lines": None, "characters": None, "scripts": None, "lost": None, "fonts": None, "han": None,
     "notes": None},
]  # fmt: skip


def test_figures_sum_over_kept_pages() -> None:
    figures = compute_figures(pa.Table.from_pylist(ROWS))
    assert (figures.lines, figures.characters, figures.fonts_used) == (3, 12, 2)
    assert figures.scripts == {"Latin": 8, "Han": 4} and figures.lost_lines == {"faint": 1}
    assert figures.fonts == {"a": 2, "b": 1} and figures.lacking == {} and figures.excluded_backgrounds == {}
    assert figures.han_seen == figures.gb2312_level_1_seen == 2
    assert list(orjson.loads(orjson.dumps(figures)))[:3] == ["lines", "characters", "scripts"]


def test_gb2312_level_one_has_the_common_characters() -> None:
    assert len(gb2312_level_one()) == 3755 and {"啊", "座"} <= gb2312_level_one()
