"""The exclusion list is built from the benchmarks' own files."""

from pathlib import Path
from typing import Any

import pytest

from qvl.grounding_builder.build.benchmarks import Benchmark, Exclude, exclusion
from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.storage.reader import Storage
from tests.grounding_builder.helpers import DATA, dump, table

NAME = "COCO_train2014_{:012d}.jpg"


def benchmark(**more: Any) -> Benchmark:
    folder = DATA / "refcoco"
    return Benchmark(
        name="refcoco", refs=(str(folder / "refs(unc).p"),), instances=str(folder / "instances.json"), **more
    )


def test_exclusion_is_the_union_of_all_benchmarks(tmp_path: Path) -> None:
    val = dump(
        tmp_path / "val.json", {"images": [{"id": 5, "file_name": "COCO_val2014_000000000005.jpg"}], "annotations": []}
    )
    (tmp_path / "ids.txt").write_text("flickr:1\nvg:7\n")
    lmms = table(tmp_path / "val.parquet", [{"file_name": NAME.format(77)}, {"file_name": NAME.format(11)}])
    benchmarks = (
        benchmark(),
        Benchmark(name="refcocog", refs=(lmms,)),
        Benchmark(name="coco_val", coco=(val,)),
        Benchmark(name="other", ids=(str(tmp_path / "ids.txt"),)),
        Benchmark(name="flickr30k", images=(str(DATA / "images" / NAME.format(4)),)),
    )
    spec = Exclude(benchmarks=benchmarks)
    found = exclusion(spec, Storage())
    ids = {value: sorted(names) for value, names in found.entries["id"].items()}
    assert ids == {
        "coco:11": ["refcoco", "refcocog"], "coco:12": ["refcoco"], "coco:13": ["refcoco"], "coco:14": ["refcoco"],
        "coco:77": ["refcocog"], "coco:5": ["coco_val"], "flickr:1": ["other"], "vg:7": ["other"],
    }  # fmt: skip
    assert [len(found.entries[kind]) for kind in ("bytes", "perceptual")] == [1, 1]


def test_exclusion_raises_when_a_file_is_missing(tmp_path: Path) -> None:
    for broken in (
        Benchmark(name="x", coco=(str(tmp_path / "none.json"),)), Benchmark(name="x", ids=(str(tmp_path / "none.txt"),)),
        Benchmark(name="x", refs=(str(tmp_path / "none.p"),)), benchmark(image_folder=str(tmp_path)),
    ):  # fmt: skip
        with pytest.raises(RecipeError, match="no such file"):
            exclusion(Exclude(benchmarks=(broken,)), Storage())
