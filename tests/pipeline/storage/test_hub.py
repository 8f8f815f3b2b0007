"""Datasets of the Hugging Face Hub as inputs (``hf://``), over a server of its endpoints; refusals name the cause."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.pipeline.samples import jpeg
from tests.pipeline.storage.hub_server import REPOSITORY, hub
from tests.shared import ROOT

pytest.importorskip("huggingface_hub")


def curate(folder: Path, address: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Curate the dataset at ``address`` in a process of its own, since huggingface_hub reads its settings on import."""
    recipe = {
        "name": "h",
        "sources": [
            {
                "name": "s",
                "read": {
                    "kind": "table",
                    "paths": [address],
                    "columns": {"image": "image", "caption": "text", "extra": {"lang": "lang"}},
                },
            }
        ],
        "filters": {"text_length": {}},
    }
    (folder / "r.yaml").write_text(json.dumps(recipe))
    command = [sys.executable, "-m", "qvl", "curate", "run", str(folder / "r.yaml"), "--output", str(folder / "out")]
    settings = {
        **os.environ,
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_OFFLINE": "0",
        "HF_HOME": str(folder / "hf"),
        "NO_PROXY": "127.0.0.1",
    }
    return subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=ROOT, timeout=300, env={**settings, **environment}
    )


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of two Hive partitions with images in its rows."""
    folder = tmp_path_factory.mktemp("hub")
    for number, language in enumerate(("en", "zh")):
        images = [{"bytes": jpeg(10 * number + row, 64, 48), "path": None} for row in range(3)]
        table = pa.table({"image": images, "text": [f"{language} caption {row}" for row in range(3)]})
        (folder / "data" / f"lang={language}").mkdir(parents=True)
        pq.write_table(table, folder / "data" / f"lang={language}" / "part-0.parquet")
    return folder


def test_a_dataset_of_the_hub_when_curated_has_its_rows_and_the_columns_of_its_folders(
    dataset: Path, tmp_path: Path
) -> None:
    with hub(dataset) as address:
        done = curate(tmp_path, f"hf://datasets/{REPOSITORY}/data/**/*.parquet", HF_ENDPOINT=address)
    assert done.returncode == 0, done.stderr
    rows = pq.read_table(tmp_path / "out" / "ledger").to_pylist()
    assert sorted((row["lang"], row["caption"], row["verdict"]) for row in rows) == [
        (language, f"{language} caption {row}", "keep") for language in ("en", "zh") for row in range(3)
    ]


def test_a_dataset_that_the_hub_does_not_have_when_curated_is_refused_in_one_line(
    dataset: Path, tmp_path: Path
) -> None:
    with hub(dataset) as address:
        done = curate(tmp_path, "hf://datasets/org/other/*.parquet", HF_ENDPOINT=address)
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("error:"))
    assert done.returncode == 2 and "org/other" in line and "Traceback" not in done.stderr


def test_a_dataset_of_the_hub_when_offline_is_refused_at_once_with_the_cause(tmp_path: Path) -> None:
    done = curate(tmp_path, f"hf://datasets/{REPOSITORY}/data/*.parquet", HF_HUB_OFFLINE="1")
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("error:"))
    assert line.startswith("error: the Hugging Face Hub cannot be asked: ") and "offline" in line
