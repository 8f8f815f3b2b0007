"""The schedule of a stage, with the lengths that it needs measured first."""

from pathlib import Path

from qvl.pipeline.commit.fingerprint import fingerprint
from qvl.pipeline.shards.reader import Dataset
from qvl.training.data.encode import Encoder
from qvl.training.data.lengths import LengthsFolder, LengthsTask, measure_lengths, rule_fingerprint
from qvl.training.data.parts import mix_parts
from qvl.training.data.schedule import Schedule
from qvl.training.process_group import ProcessGroup
from qvl.training.recipe import StageSpec, TrainRecipe


def stage_schedule(
    recipe: TrainRecipe,
    stage: StageSpec,
    datasets: dict[str, Dataset],
    lengths: Path,
    encoder: Encoder,
    group: ProcessGroup,
) -> Schedule:
    """The stage's schedule. Where it needs lengths, the ranks share the shards that are not measured yet."""
    parts = mix_parts(stage, datasets)
    if not recipe.needs_lengths(stage):
        return Schedule(stage, parts, stage_seed(recipe, stage))
    measured = LengthsFolder(lengths, rule_fingerprint(encoder.tokenizer, encoder.rule, recipe.holdout))
    shards = {shard.hash: shard for part in parts for shard in part.dataset.shards}
    for shard in list(shards.values())[group.rank :: group.size]:
        task = LengthsTask(shard, measured.path_of(shard), encoder.tokenizer, encoder.rule, recipe.holdout)
        measure_lengths(task)
    group.barrier()
    return Schedule(stage, parts, stage_seed(recipe, stage), measured)


def stage_seed(recipe: TrainRecipe, stage: StageSpec) -> int:
    """The seed of a stage's sample order, so that each stage has an order of its own."""
    return int(fingerprint([recipe.seed, stage.label])[:12], 16)
