"""Pictures of rows, from the shards or from the sources."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.view.output import Output, UserInputs
from qvl.pipeline.view.pictures import picture

Curated = tuple[Path, Recipe]


def test_pictures_come_from_the_shards_or_from_the_sources(
    curated: Curated, ledger: list[dict[str, Any]], tmp_path: Path
) -> None:
    out, recipe = curated
    kept = next(row for row in ledger if row["verdict"] == "keep")
    small = next(row for row in ledger if row["verdict"] == "image_size")
    plain, full = Output.open(out), Output.open(out, UserInputs(recipe=recipe))
    for output in (plain, full):
        path = tmp_path / "p.webp"
        path.write_bytes(picture(output, output.database.cursor(), "rows", kept["id"], 0, 160))
        with Image.open(path) as image:
            assert image.format == "WEBP" and max(image.size) <= 160
    assert picture(full, full.database.cursor(), "rows", small["id"], 0, 320)
    with pytest.raises(DataError, match="--recipe"):
        picture(plain, plain.database.cursor(), "rows", small["id"], 0, 320)


@pytest.mark.parametrize(
    ("table", "key", "side"),
    [("rows", "../../etc/passwd-0000001", 320), ("rows", "first-000000000000-0000001", 320), ("rows", "x", 320),
     ("rows", "..-1", 320), ("samples", "nothing", 320), ("nothing", "x", 320), ("rows", "first", 99_999)],
)  # fmt: skip
def test_a_key_is_never_a_path(output: Output, cursor: Any, table: str, key: str, side: int) -> None:
    with pytest.raises(DataError):
        picture(output, cursor, table, key, 0, side)
