"""Where the lines of a document go."""

from itertools import pairwise

from qvl.synth_ocr.scene.layout import grid_stack
from qvl.synth_ocr.scene.settings import TextLayout
from tests.synth_ocr.scene.scenes import (
    generator,
)


def test_grid_stack_is_read_column_by_column() -> None:
    for index in range(20):
        boxes = grid_stack(TextLayout(), (0, 0, 900, 900), generator(index)).boxes
        for above, below in pairwise(boxes):
            if above.group == below.group:
                assert below.y > above.y if below.x == above.x else below.x > above.x
            else:
                assert below.group == above.group + 1
