"""A small finished curation with rows of every kind, and its ledger as Arrow reads it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qvl.pipeline.base.pool import SerialPool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.curate.run import run
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.view.output import Output, UserInputs
from tests.pipeline.samples import jpeg, write_img2dataset

CAPTIONS = [
    "A red barn in the snow", "Ein rotes Haus am See mit einem kleinen Boot davor", "two cats",
    "100% O'Neill \"quoted\" text",
    "一只红色的鸟站在树枝上面", "a", "A <b>bold</b> house &amp; garden", "The SAME words in capitals",
]  # fmt: skip


def recipe(folder: Path) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "small",
            "sources": [{"name": name, "read": {"kind": "webdataset", "paths": [f"{folder}/{name}/*.tar"]}}
                        for name in ("first", "second")],
            "filters": {"image_size": {"minimum_side": 100}, "text_length": {"minimum": 5}, "word_count": {"minimum": 3}},
            "pack": {"shard_rows": 10},
        }
    )  # fmt: skip


@pytest.fixture(scope="session")
def curated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Recipe]:
    """The output and its recipe: 48 rows in three tars of two sources, some small, some equal, two never downloaded."""
    folder = tmp_path_factory.mktemp("view")
    for number, source in enumerate(("first", "first", "second")):
        rows = []
        for i in range(16):
            seed = number * 16 + i if i % 5 else 3  # every fifth picture is the same one
            image = jpeg(seed, 60 + 20 * (i % 8), 120) if i != 7 or number else None
            rows.append(
                {
                    "key": f"{number}{i:04d}",
                    "caption": CAPTIONS[(i + number) % 8],
                    "url": f"u{number}/{i}",
                    "image": image,
                }
            )
        (folder / source).mkdir(exist_ok=True)
        write_img2dataset(folder / source, f"{number:05d}", rows)
    loaded = recipe(folder)
    with RunProgress() as progress:
        run(loaded, folder / "out", SerialPool(), progress)
    return folder / "out", loaded


@pytest.fixture
def output(curated: tuple[Path, Recipe]) -> Output:
    return Output.open(curated[0], UserInputs(recipe=curated[1]))


@pytest.fixture
def cursor(output: Output) -> Iterator[Any]:
    found = output.database.cursor()
    yield found
    found.close()


@pytest.fixture
def ledger(curated: tuple[Path, Recipe]) -> list[dict[str, Any]]:
    """Every ledger row, read without the app."""
    tables = [pq.read_table(path) for path in sorted((curated[0] / "ledger").glob("*.parquet"))]
    rows: list[dict[str, Any]] = pa.concat_tables(tables, promote_options="permissive").to_pylist()
    return rows
