"""Whether a stage fits a number of ranks, before anything starts: micro-batches for each, samples for a step, shards.

Samples are drawn and packed as training does it, only fewer of them; see qvl.training.data.schedule for the real thing.
"""

from typing import Any

from transformers import PreTrainedTokenizerBase

from qvl.training.data.packing import pack
from qvl.training.data.schedule import MixPart
from qvl.training.pages.mix.content import Ints
from qvl.training.plan.stream_estimate import Drawn, draw
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
) -> dict[str, Any]:
    """Figures for ``world`` ranks, ``problems`` (it will not run well) and ``notes``, one line each."""
    drawn = draw(stage, parts, recipe.seed, DRAWN, tokenizer, positions)
    per_sample = sequences_per_sample(stage, drawn)
    held_out = 0.0 if recipe.holdout is None else recipe.holdout.share
    in_sequences = stage.batch.unit == "sequences" and stage.packing != "none"
    if in_sequences:
        sequences, samples = stage.batch.size, stage.batch.size / max(per_sample * (1 - held_out), 1e-9)
    else:
        sequences = max(1, round(stage.batch.size * per_sample * (1 - held_out)))
        samples = float(stage.batch.size)
    groups = -(-sequences // stage.batch.micro)
    turns = -(-groups // world)
    found: dict[str, Any] = {
        "world": world,
        "drawn": round(stage.steps * samples),
        "samples_per_step": samples,
        "sequences_per_step": sequences,
        "micro_batches": groups,
        "micro_batches_per_rank": turns,
        "empty_share": _empty_share(groups, world),
        "unusable_share": 1 - float((drawn.tokens > 0).mean()),
        "shards": sum(len(part.dataset.shards) for part in parts),
    }
    problems, notes = _ranks(stage, found), _notes(parts, found)
    more, seen = _parts(parts, found)
    return found | {"problems": problems + more, "notes": notes + seen}


def sequences_per_sample(stage: StageSpec, drawn: Drawn) -> float:
    """Sequences that a drawn sample makes: 1 without packing, less where several share one, 0 for one that is unusable."""
    usable = drawn.tokens > 0
    if stage.packing == "none":
        return float(usable.mean())
    together = stage.pack_window if stage.batch.unit == "sequences" else stage.batch.size
    made = 0
    for first in range(0, len(usable), together):
        span = slice(first, first + together)
        columns: tuple[Ints, Ints, Ints] = (drawn.tokens[span], drawn.images[span], drawn.task[span])
        made += len(pack(*columns, stage.length, stage.images_per_sequence))
    return made / len(usable)


def _empty_share(groups: int, world: int) -> float:
    """Of the micro-batches of a step: every rank has equally many, the last ones may be empty."""
    return 1 - groups / (-(-groups // world) * world)


def _ranks(stage: StageSpec, found: dict[str, Any]) -> list[str]:
    world, groups = found["world"], found["micro_batches"]
    if groups < world:
        most = _many(groups, "rank", "ranks")
        return [
            f"{_many(groups, 'micro-batch', 'micro-batches')} a step for {world:,} ranks: {world - groups:,} of them would "
            f"have none; at most {most}, a smaller batch.micro ({stage.batch.micro}) or a larger batch.size"
        ]
    if found["empty_share"] > EMPTY_SHARE:
        better = next(size for size in range(world, 0, -1) if _empty_share(groups, size) <= EMPTY_SHARE)
        return [
            f"{found['empty_share']:.1%} of all micro-batches are empty: {groups:,} over {world:,} ranks; "
            f"with {_many(better, 'rank', 'ranks')} {_empty_share(groups, better):.1%}"
        ]
    return []


def _many(number: int, one: str, several: str) -> str:
    return f"{number:,} {one if number == 1 else several}"


def _parts(parts: list[MixPart], found: dict[str, Any]) -> tuple[list[str], list[str]]:
    problems, notes = [], []
    whole = sum(part.weight for part in parts)
    for part in parts:
        rows, share = sum(part.rows), part.weight / whole
        step, epochs = share * found["samples_per_step"], share * found["drawn"] / max(1, rows)
        if rows < step:
            problems.append(f"{part.label}: a step draws {step:,.0f} of its {rows:,} samples, some of them twice")
        if epochs > MANY_EPOCHS:
            notes.append(f"{part.label}: is seen {epochs:,.1f} times")
    return problems, notes


def _notes(parts: list[MixPart], found: dict[str, Any]) -> list[str]:
    notes = []
    few = min(len(part.dataset.shards) for part in parts)
    if few < found["world"]:
        notes.append(
            f"the smallest dataset has {_many(few, 'shard', 'shards')}: enough here, since samples are read at "
            f"random; a loader that splits shards over {found['world']:,} ranks would leave some without any"
        )
    if found["unusable_share"] > 0:
        notes.append(f"{found['unusable_share']:.1%} of the samples drawn cannot be trained on")
    return notes
