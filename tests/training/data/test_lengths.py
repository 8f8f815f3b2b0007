"""Lengths of samples: measured once per shard and rule, with a reason for each sample that cannot be trained on."""

from pathlib import Path

import pyarrow.parquet as pq
from transformers import PreTrainedTokenizerFast

from qvl.pipeline.markup.turns import Turn
from qvl.pipeline.shards.reader import open_dataset
from qvl.training.data.encode import Encoder, Rule
from qvl.training.data.lengths import (
    HELD_OUT,
    LengthsFolder,
    LengthsTask,
    measure_lengths,
    read_lengths,
    rule_fingerprint,
)
from qvl.training.recipe import Holdout
from tests.training.made import of_task, sample, write_dataset

RULE = Rule(256, 16)


def test_measured_lengths_are_those_of_the_encoder_and_unusable_samples_have_a_reason(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    unanswered = sample("unanswered", "vqa", (Turn("user", "asked"),), [])
    missing = sample("missing", "caption", (Turn("user", "<img>7</img>a"), Turn("assistant", "b")), [])
    rows = [of_task("caption", 1), of_task("text", 2), unanswered, missing]
    (shard,) = open_dataset(str(write_dataset(tmp_path / "d", "d", rows))).shards
    found = read_lengths(measure_lengths(LengthsTask(shard, tmp_path / "lengths.parquet", tokenizer, RULE)))
    encoded = [Encoder(tokenizer, RULE).encode(row.record) for row in rows[:2]]
    assert found.tokens.tolist() == [*(len(each.ids) for each in encoded), 0, 0]
    assert found.images.tolist() == [1, 0, 0, 0]
    assert found.supervised.tolist()[2:] == [0, 0] and all(found.supervised[:2] > 0)
    assert found.reasons[:2] == [None, None] and found.reasons[3] == "image_missing" and found.reasons[2]


def test_measure_lengths_when_they_are_stored_leaves_the_file_alone(
    datasets: dict[str, Path], tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    shard = open_dataset(str(datasets["text"])).shards[0]
    task = LengthsTask(shard, tmp_path / "lengths.parquet", tokenizer, RULE)
    before = measure_lengths(task).stat().st_mtime_ns
    assert measure_lengths(task).stat().st_mtime_ns == before
    assert pq.read_schema(task.path).names == ["tokens", "learnt", "images", "cut", "reason"]


def test_lengths_when_images_are_held_out_give_those_samples_the_reason(
    datasets: dict[str, Path], tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    shards = open_dataset(str(datasets["mixed"])).shards
    tasks = [
        LengthsTask(s, tmp_path / f"{s.name}.parquet", tokenizer, RULE, Holdout(share=0.4, seed=1)) for s in shards
    ]
    reasons = [reason for task in tasks for reason in read_lengths(measure_lengths(task)).reasons]
    assert len(reasons) == 96 and set(reasons) == {None, HELD_OUT}


def test_rule_fingerprint_changes_with_the_rule_and_the_holdout_and_names_the_file(
    datasets: dict[str, Path], tokenizer: PreTrainedTokenizerFast
) -> None:
    own = rule_fingerprint(tokenizer, RULE)
    assert own == rule_fingerprint(tokenizer, Rule(256, 16))
    others = {rule_fingerprint(tokenizer, Rule(128, 16)), rule_fingerprint(tokenizer, RULE, Holdout(share=0.4, seed=1))}
    assert len(others | {own}) == 3
    shard = open_dataset(str(datasets["text"])).shards[0]
    path = LengthsFolder(Path("lengths"), own).path_of(shard)
    assert path == Path("lengths") / own[:16] / f"{shard.name}-{shard.hash}.parquet"
