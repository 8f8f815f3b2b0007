"""Whether a stage fits a number of ranks, before anything starts: micro-batches per rank, samples per step, shards.

A few samples are drawn and packed as training does it (``qvl.training.data.schedule``), and the result is extrapolated.
"""

from dataclasses import replace

from transformers import PreTrainedTokenizerBase

from qvl.training.data.packing import plan_sequences, planned_together
from qvl.training.data.parts import MixPart
from qvl.training.pages.mix.figures import Preflight
from qvl.training.plan.stream_estimate import StreamSample, sample_stream
from qvl.training.recipe import StageSpec, TrainRecipe

DRAWN = 1024
EMPTY_SHARE = 0.1
MANY_EPOCHS = 10


def preflight(
    recipe: TrainRecipe,
    stage: StageSpec,
    parts: list[MixPart],
    tokenizer: PreTrainedTokenizerBase | None,
    positions: int,
    world: int,
) -> Preflight:
    """What the stage needs on ``world`` ranks. Without a tokenizer tokens are estimated from characters."""
    sample = sample_stream(stage, parts, recipe.seed, DRAWN, tokenizer, positions)
    per_sample = sequences_per_sample(stage, sample)
    held_out = 0.0 if recipe.holdout is None else recipe.holdout.share
    if stage.steps_count_packs:
        sequences, samples = stage.batch.size, stage.batch.size / max(per_sample * (1 - held_out), 1e-9)
    else:
        sequences = max(1, round(stage.batch.size * per_sample * (1 - held_out)))
        samples = float(stage.batch.size)
    groups = -(-sequences // stage.batch.micro)
    check = Preflight(
        world=world,
        drawn=round(stage.steps * samples),
        samples_per_step=samples,
        sequences_per_step=sequences,
        micro_batches=groups,
        micro_batches_per_rank=-(-groups // world),
        empty_share=_empty_share(groups, world),
        unusable_share=1 - float((sample.tokens > 0).mean()),
        shards=sum(len(part.dataset.shards) for part in parts),
        problems=[],
        notes=[],
    )
    problems, notes = _rank_problems(stage, check), _notes(parts, check)
    part_problems, part_notes = _parts(parts, check)
    return replace(check, problems=problems + part_problems, notes=notes + part_notes)


def sequences_per_sample(stage: StageSpec, sample: StreamSample) -> float:
    """Mean number of sequences per drawn sample: below 1 where samples share a sequence or cannot be trained on."""
    usable = sample.tokens > 0
    if stage.packing == "none":
        return float(usable.mean())
    together = planned_together(stage)
    sequences = 0
    for first in range(0, len(usable), together):
        span = slice(first, first + together)
        sequences += len(
            plan_sequences(stage, usable[span], sample.tokens[span], sample.images[span], sample.tasks[span])
        )
    return sequences / len(usable)


def _empty_share(groups: int, world: int) -> float:
    """The share of a step's micro-batches that are empty: every rank has the same number, so the last ones may be."""
    return 1 - groups / (-(-groups // world) * world)


def _rank_problems(stage: StageSpec, check: Preflight) -> list[str]:
    world, groups = check.world, check.micro_batches
    if groups < world:
        most = _many(groups, "rank", "ranks")
        return [
            f"a step has {_many(groups, 'micro-batch', 'micro-batches')} for {world:,} ranks, so {world - groups:,} of them "
            f"would have none; use at most {most}, a smaller batch.micro ({stage.batch.micro}) or a larger batch.size"
        ]
    if check.empty_share > EMPTY_SHARE:
        better = next(size for size in range(world, 0, -1) if _empty_share(groups, size) <= EMPTY_SHARE)
        return [
            f"{check.empty_share:.1%} of all micro-batches are empty ({groups:,} over {world:,} ranks); "
            f"{_many(better, 'rank', 'ranks')} would leave {_empty_share(groups, better):.1%} empty"
        ]
    return []


def _many(number: int, one: str, several: str) -> str:
    return f"{number:,} {one if number == 1 else several}"


def _parts(parts: list[MixPart], check: Preflight) -> tuple[list[str], list[str]]:
    problems, notes = [], []
    whole = sum(part.weight for part in parts)
    for part in parts:
        rows, share = sum(part.rows), part.weight / whole
        step, epochs = share * check.samples_per_step, share * check.drawn / max(1, rows)
        if rows < step:
            problems.append(f"{part.label}: a step draws {step:,.0f} samples, but it has only {rows:,}")
        if epochs > MANY_EPOCHS:
            notes.append(f"{part.label}: every sample is seen {epochs:,.1f} times")
    return problems, notes


def _notes(parts: list[MixPart], check: Preflight) -> list[str]:
    notes = []
    few = min(len(part.dataset.shards) for part in parts)
    if few < check.world:
        notes.append(
            f"the smallest dataset has {_many(few, 'shard', 'shards')}: that is enough, because samples are read at random; "
            f"a loader that splits shards over {check.world:,} ranks would leave some ranks without any"
        )
    if check.unusable_share > 0:
        notes.append(f"{check.unusable_share:.1%} of the drawn samples cannot be trained on")
    return notes
