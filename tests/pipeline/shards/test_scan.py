"""Every sample of a dataset with its JSON and the hashes of its images."""

from dataclasses import replace
from pathlib import Path

import pytest

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.commit.fingerprint import content_hash
from qvl.pipeline.shards.reader import open_dataset
from qvl.pipeline.shards.scan import scan_dataset
from tests.training.made import of_task, picture, write_dataset

SAMPLES = [of_task(task, number) for number, task in enumerate(("caption", "vqa", "text", "ocr", "chat"))]


def test_scan_dataset_gives_every_sample_in_order_with_its_record_and_images(tmp_path: Path) -> None:
    dataset = open_dataset(str(write_dataset(tmp_path, "d", SAMPLES, shard_rows=2)))
    found = [(each.shard.name, each.row, each.record(), [each.image(n) for n in range(len(each.images))])
             for each in scan_dataset(dataset)]  # fmt: skip
    assert [(name, row) for name, row, _, _ in found] == [(f"d-{n // 2:06d}", n % 2) for n in range(5)]
    assert [record for _, _, record, _ in found] == [sample.record for sample in SAMPLES]
    assert [images for _, _, _, images in found] == [[image.data for image in sample.images] for sample in SAMPLES]


def test_image_hashes_are_those_that_the_sample_states_or_those_of_the_bytes(tmp_path: Path) -> None:
    stated = replace(
        SAMPLES[1], record=replace(SAMPLES[1].record, origin=replace(SAMPLES[1].record.origin, sha="ab" * 16))
    )
    dataset = open_dataset(str(write_dataset(tmp_path, "d", [SAMPLES[0], stated, SAMPLES[2]])))
    found = [each.image_hashes(each.record()) for each in scan_dataset(dataset)]
    assert found == [[content_hash(picture(0))], ["ab" * 16], []]


def test_scan_dataset_when_a_shard_is_truncated_raises(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path, "d", SAMPLES)
    tar = folder / "d-000000.tar"
    dataset = open_dataset(str(folder))
    tar.write_bytes(tar.read_bytes()[:1_000])
    with pytest.raises(DataError):
        list(scan_dataset(dataset))
