"""Benchmark images are kept out, however they get into a source."""

import io
import json
import pickle
import tarfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from qvl.grounding_builder.build.benchmarks import Benchmark, Exclude, exclusion
from qvl.grounding_builder.drafts.drafts import Annotations
from qvl.grounding_builder.sources.detection import Detection
from qvl.grounding_builder.sources.grit import Grit
from qvl.grounding_builder.sources.refcoco import RefCoco
from qvl.grounding_builder.sources.visual_genome import VisualGenome
from qvl.grounding_builder.sources.vqa import Vqa
from qvl.pipeline.exclusion.exclusion import Exclusion
from qvl.pipeline.storage.reader import Storage
from tests.grounding_builder.helpers import DATA, dump, make

NAME = "COCO_train2014_{:012d}.jpg"
SECRET = (DATA / "images" / NAME.format(11)).read_bytes()  # a RefCOCO validation image of the demo
SIZE = Image.open(io.BytesIO(SECRET)).size


def benchmark(**more: Any) -> Benchmark:
    folder = DATA / "refcoco"
    return Benchmark(
        name="refcoco", refs=(str(folder / "refs(unc).p"),), instances=str(folder / "instances.json"), **more
    )


@pytest.fixture(scope="module")
def excluded() -> Exclusion:
    return exclusion(Exclude(benchmarks=(benchmark(image_folder=str(DATA / "images")),)), Storage())


def encoded(scale: float, quality: int) -> bytes:
    file = io.BytesIO()
    with Image.open(io.BytesIO(SECRET)) as image:
        image.resize((round(SIZE[0] * scale), round(SIZE[1] * scale)), Image.Resampling.BICUBIC).save(
            file, "JPEG", quality=quality
        )
    return file.getvalue()


def source_of(kind: str, folder: Path, image: bytes, coco_id: int) -> Annotations:
    """A source with the leaked image in its own layout."""
    with Image.open(io.BytesIO(image)) as opened:
        width, height = opened.size
    name, record = NAME.format(coco_id), {"id": coco_id, "width": width, "height": height}
    (folder / name).write_bytes(image)
    annotation = {"id": 1, "image_id": coco_id, "category_id": 1, "bbox": [9, 9, 60, 60], "iscrowd": 0}
    content = {
        "images": [{**record, "file_name": name}],
        "annotations": [annotation],
        "categories": [{"id": 1, "name": "fox"}],
    }
    instances = dump(folder / "instances.json", content)
    if kind == "detection":
        return Detection(name="coco", annotations=instances, image_folder=str(folder))
    if kind == "refcoco":
        ref = {
            "ref_id": 1,
            "ann_id": 1,
            "image_id": coco_id,
            "split": "train",
            "sentences": [{"sent": "a fox", "sent_id": 1}],
        }
        (folder / "refs(unc).p").write_bytes(pickle.dumps([ref], 2))
        return RefCoco(name="r", refs=str(folder / "refs(unc).p"), instances=instances, image_folder=str(folder))
    if kind == "vqa":
        questions = dump(folder / "q.json", {"questions": [{"image_id": coco_id, "question": "?", "question_id": 1}]})
        answers = dump(folder / "a.json", {"annotations": [{"question_id": 1, "answers": [{"answer": "x"}]}]})
        return Vqa(name="v", set="vqav2", questions=questions, answers=answers, image_folder=str(folder))
    (folder / "VG_100K").mkdir()
    (folder / "VG_100K" / "5.jpg").write_bytes(image)
    images = [{"image_id": 5, "url": "x/VG_100K/5.jpg", "width": width, "height": height, "coco_id": coco_id}]
    region = {"region_id": 1, "phrase": "a fox", "x": 9, "y": 9, "width": 60, "height": 60}
    regions = dump(folder / "regions.json", [{"id": 5, "regions": [region]}])
    data = dump(folder / "image_data.json", images)
    return VisualGenome(name="vg", image_data=data, image_folder=str(folder), regions=regions)


@pytest.mark.parametrize("kind", ["refcoco", "visual_genome", "detection", "vqa"])
@pytest.mark.parametrize(
    ("image", "coco_id", "verdict"),
    [
        (SECRET, 11, "leak:id"),
        (SECRET, 900, "leak:bytes"),
        (encoded(1, 40), 900, "leak:perceptual"),
        (encoded(0.6, 75), 900, "leak:perceptual"),
        (encoded(1.7, 90), 900, "leak:perceptual"),
        ((DATA / "images" / NAME.format(3)).read_bytes(), 900, "keep"),
    ],
)
def test_leaked_image_is_dropped_in_every_source(
    tmp_path: Path, excluded: Exclusion, kind: str, image: bytes, coco_id: int, verdict: str
) -> None:
    (row,) = make(source_of(kind, tmp_path, image, coco_id), tmp_path / "out", excluded)
    assert (row["verdict"], row["benchmarks"]) == (verdict, [] if verdict == "keep" else ["refcoco"])


def test_leaked_image_is_dropped_by_its_bytes_or_look_when_the_source_has_no_ids(
    tmp_path: Path, excluded: Exclusion
) -> None:
    record = {"caption": "a fox", "ref_exps": [[0, 5, 0.1, 0.1, 0.5, 0.5, 0.9]], "width": SIZE[0], "height": SIZE[1]}
    with tarfile.open(tmp_path / "0.tar", "w") as tar:
        for number, data in enumerate((SECRET, encoded(0.6, 75))):
            for name, content in ((f"{number}.jpg", data), (f"{number}.json", json.dumps(record).encode())):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    ledger = make(Grit(name="grit", paths=(str(tmp_path / "0.tar"),)), tmp_path / "out", excluded)
    assert [row["verdict"] for row in ledger] == ["leak:bytes", "leak:perceptual"]
