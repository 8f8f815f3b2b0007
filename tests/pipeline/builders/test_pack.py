"""Built samples are copied into shards byte for byte."""

from dataclasses import replace
from pathlib import Path

from qvl.pipeline.base.pool import SerialPool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.builders.make import MakeTask, make_unit
from qvl.pipeline.builders.pack import PackSettings, pack
from qvl.pipeline.shards.built_unit import BuiltUnitManifest
from qvl.pipeline.sources.tar_index import index_tar
from tests.pipeline.builders.numbers import Numbers


def built_units(out: Path) -> list[BuiltUnitManifest]:
    builder = Numbers()
    return [make_unit(MakeTask(out, builder, unit)) for unit in builder.units()]


def members(tars: list[Path]) -> dict[str, bytes]:
    found = {}
    for tar in tars:
        data = memoryview(tar.read_bytes())
        found.update({m.name: bytes(data[m.offset : m.offset + m.size]) for m in index_tar(data).members})
    return found


def test_pack_copies_every_built_sample_unchanged(tmp_path: Path) -> None:
    units = built_units(tmp_path)
    dataset = pack("numbers", tmp_path, units, PackSettings(7, 0), SerialPool(), RunProgress())
    built, packed = sorted((tmp_path / "made").glob("*.tar")), sorted((tmp_path / "shards").glob("*.tar"))
    assert [shard.samples for shard in dataset.shards] == [7, 7, 7, 7, 2]
    assert members(packed) == members(built) and len(members(packed)) == 2 * 30


def test_pack_gives_the_same_shards_when_a_takedown_blanked_a_built_unit(tmp_path: Path) -> None:
    units = built_units(tmp_path)
    before = pack("numbers", tmp_path, units, PackSettings(7, 0), SerialPool(), RunProgress())
    blanked = [replace(unit, hash="0" * 32, made_hash=unit.hash) for unit in units]
    assert pack("numbers", tmp_path, blanked, PackSettings(7, 0), SerialPool(), RunProgress()) == before
