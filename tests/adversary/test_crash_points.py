"""Every command that makes an output is killed before the n-th change of a file: run again, it ends in the same tree.

The tree is compared byte for byte with that of a run that nobody disturbed, hidden files and empty folders too. The tests
that run by default kill at a seeded sample of points; the long ones kill at every point.
"""

import json
import random
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from qvl.pipeline.shards.reader import open_dataset, read_index
from tests.adversary.commands import qvl
from tests.adversary.crash_points import Ran, Server, differences, server, tree
from tests.grounding_builder.helpers import dump
from tests.grounding_builder.helpers import jpeg as drawn
from tests.pipeline.builders.foreign_tars import png, write_tar
from tests.pipeline.samples import jpeg, tar_bytes
from tests.shared import built_once
from tests.synth_ocr.scene.scenes import ENGLISH_TEXT, LATIN
from tests.training.made import of_task, write_dataset

SEED, SAMPLED = 20231013, 4
PLUGIN = """
import pyarrow.compute as pc
import qvl


class Length(qvl.Column):
    reads = ["caption"]
    writes = {"length": "int32"}

    def apply(self, batch):
        return pc.utf8_length(batch["caption"])
"""


@dataclass(frozen=True, slots=True)
class Case:
    """``prepare(folder)`` writes inputs, and what the command changes (``out``) if it does not make that itself."""

    prepare: Callable[[Path], None]
    arguments: Callable[[Path], list[str]]


def curation(folder: Path) -> None:
    """Three tars with duplicates, a plug-in and a filter over its column, scores; several shards."""
    for unit in range(3):
        rows = range(6 * unit, 6 * unit + 6)
        members = [
            (f"{row:04d}.{ending}", data)
            for row in rows
            for ending, data in (
                ("jpg", jpeg(row if row % 5 else 0, 60 + row)),
                ("txt", f"A photograph of the house number {row} in the street".encode()),
            )
        ]
        (folder / f"{unit:05d}.tar").write_bytes(tar_bytes(members))
    (folder / "lengths.py").write_text(PLUGIN)
    recipe = {
        "name": "pairs",
        "sources": [{"name": "photos", "read": {"kind": "webdataset", "paths": ["*.tar"]}}],
        "filters": {"text_length": {"minimum": 3}, "columns": {"length": {"maximum": 900}}},
        "score": {"phash": {}},
        "dedup": {"image": True, "near_duplicate": {"radius": 2}},
        "plugins": ["lengths.py"],
        "pack": {"shard_rows": 6, "window_units": 2},
    }
    (folder / "recipe.yaml").write_text(json.dumps(recipe))


def texts(folder: Path) -> None:
    for name in ("a", "b"):
        lines = [json.dumps({"id": f"{name}{n}", "text": f"Sentence {n} of {name}, long enough."}) for n in range(6)]
        (folder / f"{name}.jsonl").write_text("\n".join([*lines, '{"text": 5}']) + "\n")
    sources = [{"name": name, "kind": "text", "paths": [f"{name}.jsonl"]} for name in ("a", "b")]
    (folder / "recipe.yaml").write_text(json.dumps({"name": "texts", "sources": sources, "shard_rows": 5}))


def boxes(folder: Path) -> None:
    for number in range(4):
        (folder / f"{number}.jpg").write_bytes(drawn(64, 48, shade=40 * number))
    marked = [{"id": n, "image_id": n // 2, "category_id": 1, "bbox": [4 + n, 4, 20, 20]} for n in range(8)]
    images = [{"id": n, "file_name": f"{n}.jpg", "width": 64, "height": 48} for n in range(4)]
    content = {"images": images, "annotations": marked, "categories": [{"id": 1, "name": "box"}]}
    dump(folder / "instances.json", content)
    source = {"kind": "detection", "annotations": "instances.json", "image_folder": "."}
    recipe = {"name": "boxes", "leaks": "allowed", "sources": [{"name": "coco", **source}], "pack": {"shard_rows": 3}}
    (folder / "recipe.yaml").write_text(json.dumps(recipe))


def scenes(folder: Path) -> None:
    if not Path(LATIN).is_file():
        pytest.skip(f"{LATIN} is not installed: sh scripts/ocr_packages.sh")
    (folder / "text.txt").write_text(ENGLISH_TEXT)
    read = {"kind": "scene", "language": "en", "count": 2, "fonts": [{"fonts": [LATIN]}]}
    read |= {"corpora": [{"texts": ["text.txt"]}], "layout": {"kinds": {"sign": 1.0}}}
    recipe = {"name": "scenes", "sources": [{"name": "drawn", "read": read}], "shard_rows": 1}
    (folder / "recipe.yaml").write_text(json.dumps(recipe))


def foreign(folder: Path) -> None:
    for number in range(2):
        pairs = [(f"{n:04d}", n) for n in range(5 * number, 5 * number + 5)]
        members = [(f"{key}.{end}", data) for key, n in pairs
                   for end, data in (("png", png(n)), ("txt", b" " if n % 5 == 4 else f"cat {n}".encode()))]  # fmt: skip
        write_tar(folder / "cats" / f"{number}.tar", members)


def own(folder: Path) -> None:
    """Tars in our format without indexes."""
    made = write_dataset(folder / "made", "own", [of_task("caption", number) for number in range(8)], shard_rows=4)
    (folder / "out").mkdir()
    for tar in made.glob("*.tar"):
        shutil.copy(tar, folder / "out" / tar.name)


def taken(folder: Path) -> None:
    """A finished build of boxes, and a list of samples of each of its shards."""
    boxes(folder)
    ended = qvl("ground", "build", str(folder / "recipe.yaml"), "-o", str(folder / "out"))
    assert ended.status == 0, ended.err
    shards = open_dataset(str(folder / "out")).shards
    keys = [key for shard in shards[:2] for key in read_index(shard.index, ["key"])["key"].to_pylist()[:1]]
    (folder / "list.txt").write_text("\n".join(f"id:{key}" for key in keys) + "\n")


def built(command: str) -> Callable[[Path], list[str]]:
    """The arguments of a command that builds ``out`` from ``recipe.yaml``."""
    return lambda folder: [*command.split(), str(folder / "recipe.yaml"), "--output", str(folder / "out")]


CASES = {
    "curate": Case(curation, built("curate run")),
    "text": Case(texts, built("text build")),
    "ground": Case(boxes, built("ground build")),
    "ocr scenes": Case(scenes, built("ocr build")),
    "convert": Case(foreign, lambda folder: ["mix", "index", str(folder / "cats"), "-o", str(folder / "out")]),
    "index": Case(own, lambda folder: ["mix", "index", str(folder / "out"), "--name", "own"]),
    "takedown": Case(
        taken, lambda folder: ["mix", "revoke", str(folder / "out"), str(folder / "list.txt"), "--date", "2026-11-25"]
    ),
}


@dataclass(frozen=True, slots=True)
class Undisturbed:
    """A command that makes ``out``, the tree that it ends with, and how many changes it makes."""

    running: Server
    arguments: list[str]
    out: Path
    expected: dict[str, bytes | None]
    changes: int

    def run(self, **moment: int) -> Ran:
        return self.running.run(self.arguments, self.out, **moment)


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with server() as started:
        yield started


@pytest.fixture(scope="module", params=list(CASES))
def undisturbed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, running: Server
) -> Undisturbed:
    case: Case = CASES[request.param]
    folder = built_once(tmp_path_factory, f"crash-{request.param.replace(' ', '-')}", case.prepare)
    out, arguments = folder / "out", case.arguments(folder)
    if out.is_dir():
        out.rename(before(out))
    restore(out)
    ran = running.run(arguments, out)
    assert ran.status == 0, ran.printed
    return Undisturbed(running, arguments, out, tree(out), ran.changes)


def before(out: Path) -> Path:
    """The tree that a command begins with, if it does not begin with nothing."""
    return out.with_name("before")


def restore(out: Path) -> None:
    """Bring back the tree that a command begins with."""
    for folder in (out, out.with_name("out.moved")):
        shutil.rmtree(folder, ignore_errors=True)
    if before(out).is_dir():
        shutil.copytree(before(out), out)


def kill_and_finish(command: Undisturbed, *points: int) -> list[str]:
    """Kill runs before these changes, finish with the same command; returns what differs from the undisturbed tree."""
    restore(command.out)
    killed = [command.run(kill_before=point).status for point in points]
    assert killed[0] == -signal.SIGKILL
    ran = command.run()
    assert ran.status == 0, ran.printed
    return differences(tree(command.out), command.expected)


def sampled(command: Undisturbed, number: int) -> list[int]:
    """Points that are drawn with a seed, the last one (before the final change) always among them."""
    drawn = random.Random(SEED).sample(range(1, command.changes), min(number, command.changes) - 1)
    return [*sorted(drawn), command.changes]


def test_command_when_killed_at_sampled_points_ends_in_the_undisturbed_tree(undisturbed: Undisturbed) -> None:
    found = {point: kill_and_finish(undisturbed, point) for point in sampled(undisturbed, SAMPLED)}
    assert not any(found.values()), {point: names for point, names in found.items() if names}


@pytest.mark.long
def test_command_when_killed_at_every_point_ends_in_the_undisturbed_tree(undisturbed: Undisturbed) -> None:
    found = {point: kill_and_finish(undisturbed, point) for point in range(1, undisturbed.changes + 1)}
    assert not any(found.values()), {point: names for point, names in found.items() if names}


@pytest.mark.long
def test_command_when_its_second_run_is_killed_as_well_ends_in_the_undisturbed_tree(undisturbed: Undisturbed) -> None:
    moments = random.Random(SEED)
    for first in sampled(undisturbed, 20):
        second = moments.randint(1, max(1, undisturbed.changes - first))
        assert kill_and_finish(undisturbed, first, second) == [], (first, second)


def test_command_when_its_output_is_moved_away_says_so_and_continues_once_it_is_back(undisturbed: Undisturbed) -> None:
    """Moved while the output is locked: before the lock is taken nothing is there, and after it only reports are written."""
    out = undisturbed.out
    for point in random.Random(SEED).sample(range(4, undisturbed.changes * 2 // 3), 2):
        restore(out)
        ran = undisturbed.run(move_before=point)
        assert (ran.status, "the output folder was moved or deleted" in ran.printed) == (2, True), (point, ran.printed)
        shutil.rmtree(out, ignore_errors=True)
        out.with_name("out.moved").rename(out)
        assert undisturbed.run().status == 0
        assert differences(tree(out), undisturbed.expected) == [], point
