"""Parts of a mix: rows of shards, with and without a selection."""

from pathlib import Path
from typing import Any

import pytest

from qvl.pipeline.shards.reader import open_dataset
from qvl.training.data.parts import mix_parts
from qvl.training.recipe import StageSpec
from tests.training.made import of_task, stage, write_dataset

TASKS = ("caption", "vqa", "caption", "caption", "vqa")


@pytest.mark.parametrize(
    ("more", "rows"), [({}, (2, 2, 1)), ({"tasks": ["vqa"]}, (1, 0, 1)), ({"tasks": ["ocr"]}, (0, 0, 0))]
)
def test_mix_parts_count_the_selected_rows_of_each_shard(
    tmp_path: Path, more: dict[str, Any], rows: tuple[int, ...]
) -> None:
    samples = [of_task(task, number) for number, task in enumerate(TASKS)]
    dataset = open_dataset(str(write_dataset(tmp_path, "d", samples, shard_rows=2)))
    spec = StageSpec.model_validate(stage(mix=[{"dataset": "d", "weight": 2.5, **more}]))
    (part,) = mix_parts(spec, {"d": dataset})
    assert (part.rows, part.weight, part.dataset) == (rows, 2.5, dataset)
    names = [f"d-{number:06d}" for number in range(3)]
    assert part.component().shards == tuple(zip(names, rows, strict=True))
    assert [part.tar_of(name) for name in names] == [shard.tar for shard in dataset.shards]
