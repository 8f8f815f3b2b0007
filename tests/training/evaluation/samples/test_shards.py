"""Samples out of shards: prompt and truth, image order, the split by image, limits and few-shot examples."""

import shutil
from pathlib import Path

import fsspec
import orjson
import pyarrow.parquet as pq
import pytest

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.commit.fingerprint import content_hash
from qvl.pipeline.markup import parsing
from qvl.training.data.holdout import held_out
from qvl.training.evaluation.samples.sample import Decoding, EvalSample
from qvl.training.evaluation.samples.shards import TASKS, find_shards, read_shards


def by_id(samples: list[EvalSample]) -> dict[str, EvalSample]:
    return {sample.id: sample for sample in samples}


def test_read_shards_makes_turns_into_prompt_and_answer(made_shards: Path) -> None:
    found = by_id(list(read_shards(find_shards(made_shards), TASKS)))
    assert len(found) == 25
    caption = found["caption-red"]
    assert caption.prompt == "<img>0</img>Generate the caption in English:"
    assert caption.answers == ("a red field",)
    assert (caption.set, caption.metric, caption.group) == ("caption", "cider", "made en")
    assert caption.decoding == Decoding(30, 1)
    assert found["ocr-red"].metric == "ocr"
    assert parsing.parse(found["ocr-red"].answers[0])[0].text == "red"


def test_read_shards_orders_images_as_in_the_prompt(made_shards: Path) -> None:
    sample = by_id(list(read_shards(find_shards(made_shards), ["vqa"])))["vqa-two-images"]
    gold, red = (at.read() for at in sample.images)
    other = by_id(list(read_shards(find_shards(made_shards), ["vqa"])))["vqa-red"]
    assert red == other.images[0].read() != gold


def test_read_shards_of_the_demo_reads_every_sample(grounding_shards: Path) -> None:
    samples = list(read_shards(find_shards(grounding_shards), TASKS))
    dataset = orjson.loads((grounding_shards / "shards" / "dataset.json").read_bytes())
    assert len(samples) == dataset["samples"]
    referring = [sample for sample in samples if sample.set == "referring"]
    assert len(referring) == dataset["tasks"]["referring"]
    assert all(sample.boxes and sample.metric == "box" for sample in referring)
    detection = [sample for sample in samples if sample.set == "detection"]
    assert detection and all(sample.metric == "grounded" for sample in detection)
    assert {sample.set for sample in read_shards(find_shards(grounding_shards), ["vqa"])} == {"vqa"}


@pytest.mark.parametrize("seed", [0, 7])
def test_read_shards_when_split_puts_no_image_on_both_sides(
    grounding_shards: Path, made_shards: Path, seed: int
) -> None:
    tars = find_shards(grounding_shards) + find_shards(made_shards)
    sides = {
        side: list(read_shards(tars, TASKS, side, share=0.4, seed=seed))  # type: ignore[arg-type]
        for side in ("all", "heldout", "train")
    }
    ids = {side: {sample.id for sample in samples} for side, samples in sides.items()}
    assert ids["heldout"] and ids["train"]
    assert ids["heldout"] | ids["train"] == ids["all"]
    assert not ids["heldout"] & ids["train"]
    hashes = {
        side: {content_hash(at.read()) for sample in sides[side] for at in sample.images if len(sample.images) == 1}
        for side in ("heldout", "train")
    }
    assert not hashes["heldout"] & hashes["train"]
    assert all(held_out(sha, 0.4, seed) for sha in hashes["heldout"])


def test_held_out_keeps_the_share_and_depends_on_the_seed() -> None:
    hashes = [content_hash(str(number).encode()) for number in range(20_000)]
    first = [held_out(sha, 0.05) for sha in hashes]
    assert 0.045 < sum(first) / len(first) < 0.055
    assert first != [held_out(sha, 0.05, seed=1) for sha in hashes]
    # a larger share only adds: what was held out stays held out
    assert all(held_out(sha, 0.1) for sha, out in zip(hashes, first, strict=True) if out)


def test_sha_of_our_samples_is_the_hash_of_the_bytes(grounding_shards: Path) -> None:
    shard = find_shards(grounding_shards)[0]
    data = Path(shard.tar).read_bytes()
    for row in pq.read_table(shard.parquet).slice(0, 20).to_pylist():
        offset, size = row["image_offsets"][0], row["image_sizes"][0]
        origin = orjson.loads(data[row["json_offset"] : row["json_offset"] + row["json_size"]])["origin"]
        assert origin["sha"] == content_hash(data[offset : offset + size])


def test_read_shards_when_the_index_belongs_to_another_tar_is_refused(made_shards: Path, tmp_path: Path) -> None:
    first, second = find_shards(made_shards)
    alone = tmp_path / "x.tar"
    shutil.copy(first.tar, alone)
    with pytest.raises(DataError, match=r"x\.parquet"):
        find_shards(alone)
    shutil.copy(second.parquet, tmp_path / "x.parquet")
    with pytest.raises(DataError, match="does not match"):
        list(read_shards(find_shards(alone), TASKS))
    shutil.copy(first.parquet, tmp_path / "x.parquet")
    assert len(list(read_shards(find_shards(alone), TASKS))) == 12
    with pytest.raises(DataError, match=r"no dataset\.json"):
        find_shards(tmp_path)


def test_find_shards_when_a_shard_is_missing_or_truncated_names_it(made_shards: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(made_shards, copy)
    with (copy / "made-000001.tar").open("r+b") as file:
        file.truncate(5000)
    with pytest.raises(DataError, match=r"made-000001\.tar: 5000 bytes"):
        find_shards(copy)
    (copy / "made-000001.tar").unlink()
    with pytest.raises(DataError, match=r"made-000001\.tar: missing"):
        find_shards(copy)


def test_read_shards_when_they_are_behind_a_url_gives_the_same_samples(made_shards: Path) -> None:
    store = fsspec.filesystem("memory")
    store.put(str(made_shards), "/evaluation", recursive=True)
    remote = list(read_shards(find_shards("memory://evaluation"), TASKS))
    local = list(read_shards(find_shards(made_shards), TASKS))
    assert [sample.id for sample in remote] == [sample.id for sample in local]
    assert remote[0].images[0].path.startswith("memory://")
    assert remote[0].images[0].read() == local[0].images[0].read()
