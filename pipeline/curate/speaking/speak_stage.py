"""Stage speak in the driver: the speakers of a recipe, one after the other, over all units."""

import os
from collections import Counter
from dataclasses import dataclass, replace

import pyarrow as pa

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.base.pool import ONE_CPU, Pool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.commit.fingerprint import fingerprint, merkle_root
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import committed_manifest, restate_manifest
from qvl.pipeline.curate.measuring.added_columns import AddedColumns, SpokenColumns
from qvl.pipeline.curate.measuring.chosen import TextChoice
from qvl.pipeline.curate.measuring.manifests import ComputedManifest, Parts, ScanManifest, ScoreManifest
from qvl.pipeline.curate.speaking.manifests import SpeakerTotals, SpeakSummary, SpokenManifest
from qvl.pipeline.curate.speaking.speak import SpeakTask, speak_unit, spoken_unit
from qvl.pipeline.curate.speaking.spoken_columns import COUNTERS, distinct_counts, spoken_schema
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.recipe.source import reader
from qvl.pipeline.recipe.speakers import NOT_ASKED, Speaker
from qvl.pipeline.sources.base import Unit
from qvl.pipeline.speakers.answers import ANSWERED
from qvl.pipeline.storage.arrow_files import read_parquet
from qvl.pipeline.storage.paths import AnyPath, map_concurrently, parse_path, remove_tree

MILLION = 1_000_000


@dataclass(frozen=True)
class Spoken:
    """What all speakers of a run said: a manifest for each speaker and unit, speaker by speaker."""

    manifests: tuple[tuple[SpokenManifest, ...], ...] = ()

    def with_faults(self, scanned: list[ScanManifest]) -> list[ScanManifest]:
        """Scan's manifests, whose faults now include the rows whose image could not be sent."""
        found: dict[str, Counter[str]] = {}
        for manifests in self.manifests:
            for each in manifests:
                found.setdefault(each.unit, Counter()).update(each.faults)
        return [
            replace(unit, faults=dict(Counter(unit.faults) + found[unit.unit])) if found.get(unit.unit) else unit
            for unit in scanned
        ]


def with_speakers(added: AddedColumns, recipe: Recipe) -> AddedColumns:
    """The added columns of a run, with those of its speakers, which need not be there yet."""
    spoken = tuple(SpokenColumns(speaker.name, spoken_schema(speaker)) for speaker in recipe.speakers)
    return replace(added, spoken=spoken)


def run_speak(
    recipe: Recipe,
    out: AnyPath,
    units: list[Unit],
    inputs: tuple[list[ScanManifest], list[ComputedManifest], list[ScoreManifest]],
    added: AddedColumns,
    pool: Pool,
    progress: RunProgress,
) -> tuple[AddedColumns, Spoken]:
    """Ask every speaker about every unit where that is not done. Returns the added columns with those of the speakers.

    ``inputs`` are the manifests of scan, of plug-ins and of score. Files of speakers that the recipe no longer names are
    removed, answers in the store never.
    """
    layout = Layout(out)
    _remove_others(layout, recipe)
    if not recipe.speakers:
        return added, Spoken()
    hashes = _input_hashes(*inputs)
    every: list[tuple[SpokenManifest, ...]] = []
    for number, speaker in enumerate(recipe.speakers):
        before = replace(with_speakers(added, recipe), spoken=with_speakers(added, recipe).spoken[:number])
        tasks = [_task(recipe, speaker, unit, out, [*hashes[unit.id], *(m[at].hash for m in every)], before)
                 for at, unit in enumerate(units)]  # fmt: skip
        _run(tasks, pool, progress)
        paths = [task.manifest for task in tasks]
        every.append(tuple(map_concurrently(out, lambda path: committed_manifest(path, SpokenManifest), paths)))
    _summarize(recipe, layout, every)
    roots = [merkle_root(f"{each.unit} {each.hash}" for each in manifests) for manifests in every]
    identity = fingerprint([added.identity, *roots])
    return replace(with_speakers(added, recipe), identity=identity), Spoken(tuple(every))


def _input_hashes(
    scanned: list[ScanManifest], computed: list[ComputedManifest], scored: list[ScoreManifest]
) -> dict[str, list[str]]:
    """The hashes of the files, by unit, from which rows are chosen and prompts are made."""
    found = {unit.unit: [unit.hash] for unit in scanned}
    for unit, digest in [*((each.unit, each.hash) for each in computed), *((each.unit, each.hash) for each in scored)]:
        found[unit].append(digest)
    return found


def _task(
    recipe: Recipe, speaker: Speaker, unit: Unit, out: AnyPath, hashes: list[str], added: AddedColumns
) -> SpeakTask:
    later = recipe.speakers[recipe.speakers.index(speaker) :]
    filters = recipe.filters_of(unit.source).without(name for each in later for name in each.columns)
    store = parse_path(recipe.answers) if recipe.answers is not None else Layout(out).answers
    parts: Parts = {"columns": [*hashes], "speaker": {"name": speaker.name, **speaker.identity()}}
    source = reader(recipe.source(unit.source))
    return SpeakTask(
        out, unit, source, speaker, filters, recipe.score, added, parts, store, TextChoice.of(recipe, unit.source)
    )


def _run(tasks: list[SpeakTask], pool: Pool, progress: RunProgress) -> None:
    """Ask about the units that are not done. The tasks that run together share the concurrency of the speaker."""
    if not tasks:
        return
    done = map_concurrently(tasks[0].out, spoken_unit, tasks)
    todo = [task for task, manifest in zip(tasks, done, strict=True) if manifest is None]
    speaker = tasks[0].speaker
    progress.stage(f"speak {speaker.name}", len(tasks), len(tasks) - len(todo))
    if not todo:
        return
    secret = secret_of(speaker)
    together = max(1, min(int(pool.resources().cpus), speaker.concurrency, len(todo)))
    threads = speaker.concurrency // together
    ready = [replace(task, secret=secret, threads=threads) for task in todo]
    for _, manifest in pool.map(speak_unit, ready, replace(ONE_CPU, at_once=together)):
        states = {
            state: n for state, n in manifest.states.items() if state != ANSWERED and not state.startswith(NOT_ASKED)
        }
        progress.advance(manifest.rows, states)


def secret_of(speaker: Speaker) -> str | None:
    """The key of a service, from the environment. Raises RecipeError where the variable is not set."""
    if speaker.api_key_variable is None:
        return None
    secret = os.environ.get(speaker.api_key_variable, "").strip()
    if not secret:
        raise RecipeError(f"speakers.{speaker.name}: the environment variable {speaker.api_key_variable} is not set")
    return secret


def _remove_others(layout: Layout[AnyPath], recipe: Recipe) -> None:
    known = {speaker.name for speaker in recipe.speakers}
    for folder in (layout.out / "manifests" / "spoken", layout.out / "spoken"):
        others = [path for path in folder.glob("*") if path.name not in known] if folder.is_dir() else []
        for path in others:
            remove_tree(path)
    if not known:
        layout.stage_manifest("speak").unlink(missing_ok=True)


def _summarize(recipe: Recipe, layout: Layout[AnyPath], every: list[tuple[SpokenManifest, ...]]) -> None:
    totals = tuple(_totals(speaker, layout, each) for speaker, each in zip(recipe.speakers, every, strict=True))
    hashes = [[each.hash for each in manifests] for manifests in every]
    prices = [speaker.prices and speaker.prices.model_dump() for speaker in recipe.speakers]
    restate_manifest(layout.stage_manifest("speak"), SpeakSummary(totals, fingerprint([hashes, prices])))


def _totals(speaker: Speaker, layout: Layout[AnyPath], manifests: tuple[SpokenManifest, ...]) -> SpeakerTotals:
    """States of all rows, and the tokens and the cost of all different answers."""
    states: Counter[str] = Counter()
    for manifest in manifests:
        states.update(manifest.states)
    files = [layout.spoken(speaker.name, manifest.unit) for manifest in manifests if manifest.answers]
    names = [name for name in COUNTERS.names if name != "fault"]
    tables = map_concurrently(layout.out, lambda file: read_parquet(file, names), files)
    answers, prompt, completion = distinct_counts(pa.concat_tables(tables)) if tables else (0, 0, 0)
    prices = speaker.prices
    cost = None if prices is None else round((prompt * prices.prompt + completion * prices.completion) / MILLION, 6)
    return SpeakerTotals(
        name=speaker.name,
        model=speaker.model,
        states=dict(sorted(states.items())),
        answers=answers,
        prompt_tokens=prompt,
        completion_tokens=completion,
        cost=cost,
        currency=None if prices is None else prices.currency,
    )
