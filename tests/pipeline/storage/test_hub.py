"""Datasets of the Hugging Face Hub as inputs (``hf://``), over a server of its endpoints; refusals name the cause."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.adversary.commands import qvl
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


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The snapshot of a dataset with files of images, as huggingface_hub keeps it: each file is a link to ``blobs``."""
    folder = tmp_path_factory.mktemp("cached")
    (folder / "repository" / "images").mkdir(parents=True)
    lines = [{"file": f"images/{number}.jpg", "text": f"a caption {number}"} for number in range(3)]
    for number in range(3):
        (folder / "repository" / "images" / f"{number}.jpg").write_bytes(jpeg(number, 64, 48))
    documents = [{"texts": ["Look at it.", None], "images": [None, line["file"]]} for line in lines]
    for name, rows in (("metadata.jsonl", lines), ("documents.jsonl", documents)):
        (folder / "repository" / name).write_text("\n".join(map(json.dumps, rows)) + "\n")
    with hub(folder / "repository") as address:
        download = "import sys; from huggingface_hub import snapshot_download as load; "
        download += f"print(load('{REPOSITORY}', repo_type='dataset', cache_dir=sys.argv[1]))"
        settings = {
            "HF_ENDPOINT": address,
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_OFFLINE": "0",
            "NO_PROXY": "127.0.0.1",
        }
        command = [sys.executable, "-c", download, str(folder / "cache")]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **settings})
    snapshot = Path(done.stdout.strip())
    assert (snapshot / "images" / "0.jpg").is_symlink()
    assert not (snapshot / "images" / "0.jpg").resolve().is_relative_to(snapshot)
    return snapshot


@pytest.mark.parametrize(
    ("more", "verdict"), [({}, "unreadable:link_outside"), ({"follow_links": True}, "keep")], ids=["default", "follow"]
)
def test_the_cache_of_the_hub_as_an_image_folder_when_curated_says_what_its_links_do(
    cache: Path, tmp_path: Path, more: dict[str, bool], verdict: str
) -> None:
    read = {"kind": "table", "paths": [f"{cache}/*data.jsonl"], "image_folder": str(cache), **more}
    source = {"name": "s", "read": {**read, "columns": {"path": "file", "caption": "text"}}}
    recipe = {"name": "h", "sources": [source], "tolerance": {"unreadable_rows": 1.0, "unreadable_units": 1.0}}
    (tmp_path / "r.yaml").write_text(json.dumps(recipe))
    ended = qvl("curate", "run", str(tmp_path / "r.yaml"), "--output", str(tmp_path / "out"))
    assert ended.status == 0, ended.err
    rows = pq.read_table(tmp_path / "out" / "ledger").to_pylist()
    assert [row["verdict"] for row in rows] == [verdict] * 3
    (tmp_path / "r.yaml").write_text(json.dumps({**recipe, "tolerance": {}}))
    usual = qvl("curate", "run", str(tmp_path / "r.yaml"), "--output", str(tmp_path / "usual"))
    assert usual.status == (0 if more else 2)
    assert ("3 images are links out of image_folder, which `follow_links: true` follows" in usual.err) == (not more)
    note = json.loads((tmp_path / "out" / "recipe.json").read_text())
    assert note["sources"]["s"]["read"].get("follow_links") == more.get("follow_links")
    again = qvl("curate", "audit", str(tmp_path / "out"))
    assert again.status == 0, again


@pytest.mark.parametrize(
    ("more", "images"), [({}, [0]), ({"follow_links": True}, [1, 1, 1])], ids=["default", "follow"]
)
def test_the_cache_of_the_hub_as_the_pictures_of_documents_when_built_is_read_where_links_are_followed(
    cache: Path, tmp_path: Path, more: dict[str, bool], images: list[int]
) -> None:
    source = {"name": "s", "kind": "interleaved", "paths": [f"{cache}/documents.jsonl"], "image_folder": str(cache)}
    recipe = {"name": "h", "sources": [{**source, "minimum_images": 0, **more}]}
    (tmp_path / "r.yaml").write_text(json.dumps(recipe))
    ended = qvl("text", "build", str(tmp_path / "r.yaml"), "--output", str(tmp_path / "out"))
    assert ended.status == 0, ended.err
    rows = pq.read_table(tmp_path / "out" / "ledger").to_pylist()
    assert [row["images"] for row in rows if row["verdict"] == "keep"] == images  # without pictures all are duplicates
