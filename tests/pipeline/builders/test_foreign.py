"""Third-party tars are converted to a dataset; the command is tested in tests/training/commands/test_mix_index.py."""

from pathlib import Path

import pytest

from qvl.pipeline.base.errors import DataError, RecipeError
from qvl.pipeline.base.pool import SerialPool
from qvl.pipeline.builders.foreign import ConvertTask, _identity, convert, convert_tar, dataset_name
from qvl.pipeline.finished.audit import audit
from tests.pipeline.builders.foreign_tars import png, write_tar


def write_cats(path: Path, first: int, rows: int) -> Path:
    members = [(f"{n:04d}.{end}", data) for n in range(first, first + rows)
               for end, data in (("png", png(n)), ("txt", b" " if n % 5 == 4 else f"cat {n}".encode()))]  # fmt: skip
    return write_tar(path, members)


def test_convert_packs_every_tar_into_a_shard_and_lists_what_it_leaves_out(tmp_path: Path) -> None:
    tars = [write_cats(tmp_path / f"{n}.tar", 10 * n, 10) for n in range(2)]
    converted = convert(tars, tmp_path / "out", "cats", "en", SerialPool())
    assert converted.left_out == {"no_caption": 4}
    assert converted.dataset.rows == 20
    assert [shard.samples for shard in converted.dataset.shards] == [8, 8]
    lines = (tmp_path / "out" / "left_out" / "cats-000000.jsonl").read_bytes()
    assert lines == b'{"key":"0004","reason":"no_caption"}\n{"key":"0009","reason":"no_caption"}\n'
    assert audit(tmp_path / "out").discrepancy is None


def test_convert_keeps_shards_whose_tar_did_not_change(tmp_path: Path) -> None:
    tars = [write_cats(tmp_path / f"{n}.tar", 10 * n, 10) for n in range(2)]
    first = convert(tars, tmp_path / "out", "cats", "en", SerialPool())
    kept = (tmp_path / "out" / "shards" / "cats-000000.tar").stat().st_mtime_ns
    write_cats(tars[1], 50, 3)
    second = convert(tars, tmp_path / "out", "cats", "en", SerialPool())
    assert (tmp_path / "out" / "shards" / "cats-000000.tar").stat().st_mtime_ns == kept
    assert first.dataset.shards[0] == second.dataset.shards[0]
    assert second.dataset.samples == 11


def test_convert_tar_when_the_tar_changed_since_its_task_was_made_commits_nothing(tmp_path: Path) -> None:
    tar, out = write_cats(tmp_path / "0.tar", 0, 10), tmp_path / "out"
    task = ConvertTask(str(tar), "cats-000000", out, "cats", "en", _identity(str(tar), "cats", "en"))
    write_cats(tar, 50, 10)
    with pytest.raises(DataError, match=r"0\.tar changed while it was read; run the same command again"):
        convert_tar(task)
    assert not (out / "manifests").exists()
    assert convert([tar], out, "cats", "en", SerialPool()).dataset.samples == 8


def test_convert_raises_when_a_tar_is_truncated(tmp_path: Path) -> None:
    tar = write_cats(tmp_path / "0.tar", 0, 10)
    tar.write_bytes(tar.read_bytes()[:5_000])
    with pytest.raises(DataError, match="truncated_tar"):
        convert([tar], tmp_path / "out", "cats", "en", SerialPool())


def test_dataset_name_keeps_only_characters_that_ids_may_contain(tmp_path: Path) -> None:
    assert dataset_name(tmp_path / "my cats (2)") == "my_cats_2"
    with pytest.raises(RecipeError, match="--name"):
        dataset_name(tmp_path / "猫")
