"""Opening datasets and reading the indexes of their shards."""

from pathlib import Path

import pytest

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.shards.dataset import commit_shard, finish
from qvl.pipeline.shards.order import shard_plans, windows
from qvl.pipeline.shards.reader import Indexes, Selection, absent_files, open_dataset, read_index
from tests.pipeline.shards.written import samples


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """An output with two shards of six samples."""
    plans = shard_plans("d", 6, windows(0, 1, [("u", 12)]))
    for plan in plans:
        commit_shard(tmp_path, plan.name, samples(), "fingerprint")
    finish("d", tmp_path, plans, 12, {"rows": 12})
    return tmp_path


def test_open_dataset_accepts_an_output_or_its_folder_of_shards(out: Path) -> None:
    dataset = open_dataset(str(out))
    assert dataset == open_dataset(str(out / "shards"))
    assert (dataset.folder, dataset.samples) == (f"{out}/shards", 12)
    assert [shard.tar for shard in dataset.shards] == [f"{out}/shards/d-00000{n}.tar" for n in range(2)]


def test_open_dataset_when_there_is_no_manifest_raises_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no dataset\.json here or in shards/; finish the run"):
        open_dataset(str(tmp_path))


def test_absent_files_names_missing_and_truncated_files(out: Path) -> None:
    dataset = open_dataset(str(out))
    assert absent_files(dataset) == []
    tar = out / "shards" / "d-000000.tar"
    size = tar.stat().st_size
    tar.write_bytes(tar.read_bytes()[:-512])
    (out / "shards" / "d-000001.tar").unlink()
    (out / "shards" / "d-000001.parquet").unlink()
    assert absent_files(dataset) == [
        f"{out}/shards/d-000000.tar: {size - 512} bytes, dataset.json says {size}",
        f"{out}/shards/d-000001.tar: missing",
        f"{out}/shards/d-000001.parquet: missing",
    ]


def test_indexes_with_a_selection_return_only_its_rows(out: Path) -> None:
    shard = open_dataset(str(out)).shards[0]
    indexes = Indexes(["key"])
    keys = indexes.table(shard)["key"].to_pylist()
    assert keys == [sample.id for sample in samples()]
    chinese = indexes.table(shard, Selection(languages=("zh",)))["key"].to_pylist()
    assert chinese == [sample.id for sample in samples() if sample.record.language == "zh"]
    both = Selection(tasks=("text",), languages=("zh",), sources=("web",))
    assert indexes.table(shard, both)["key"].to_pylist() == [samples()[3].id]
    assert indexes.table(shard, Selection(sources=("other",))).num_rows == 0
    assert both and not Selection()


def test_indexes_keep_the_most_recent_tables_without_reading_again(out: Path) -> None:
    shards = open_dataset(str(out)).shards
    indexes = Indexes(["key"], keep=1)
    first = indexes.table(shards[0])
    assert indexes.table(shards[0]) is first
    indexes.table(shards[1])
    assert indexes.table(shards[0]) is not first


def test_indexes_when_the_index_has_other_rows_than_stated_raise(out: Path) -> None:
    commit_shard(out / "other", "d-000000", samples()[:4], "fingerprint")
    shard = open_dataset(str(out)).shards[0]
    Path(shard.index).write_bytes((out / "other" / "shards" / "d-000000.parquet").read_bytes())
    with pytest.raises(DataError, match=r"d-000000\.parquet: 4 rows, dataset\.json says 6"):
        Indexes(["key"]).table(shard)


def test_read_index_when_the_file_is_missing_or_corrupted_raises_data_error(tmp_path: Path) -> None:
    for data in (None, b"not parquet"):
        path = tmp_path / "a.parquet"
        if data is not None:
            path.write_bytes(data)
        with pytest.raises(DataError, match=r"a\.parquet: the index cannot be read"):
            read_index(str(path), ["key"])
