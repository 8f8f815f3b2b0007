"""whatif: exact counts of another threshold over 10 million rows, duplicate rules run again.

Claim: a change of filters over 10 million rows under 2 seconds.

    python benchmarks/whatif.py [--rows 10000000] [--units 100] [--keep FOLDER]

A finished select stage is made first (not timed; columns as in ``curate_select.py``). The first question of a run also finds
the rows that can meet in a duplicate rule and keeps them (``first``); every later one, with other values or filters, uses
that (``again``, ``other_filters``: best of five). ``command_wall_s`` is the whole command with the start of Python.
Processor seconds count on a shared machine.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from curate_select import RECIPE, make_scanned

from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import create_manifest
from qvl.pipeline.curate.recipe_note import write_recipe_note
from qvl.pipeline.curate.selection.groups import make_groups, write_groups
from qvl.pipeline.curate.selection.judge import judge
from qvl.pipeline.curate.selection.key_steps import emit, resolve
from qvl.pipeline.curate.selection.ledger import read_select_summary
from qvl.pipeline.curate.selection.manifests import SelectSummary
from qvl.pipeline.curate.selection.task import SelectTask
from qvl.pipeline.curate.selection.write_ledger import write_ledger
from qvl.pipeline.finished.changes import apply_changes
from qvl.pipeline.finished.stored_columns import StoredColumns
from qvl.pipeline.finished.whatif import whatif

MARK = "made for the benchmark"


def finished(out: Path, rows: int, units: int) -> None:
    """A run that has ended with select."""
    layout, groups = Layout(out), make_groups(make_scanned(out, rows, units))
    write_groups(out, groups)
    tasks = [SelectTask(out, RECIPE, MARK, group.number) for group in groups]
    for task in tasks:
        judge(task)
    for rule in range(len(tasks[0].rules)):
        for task in tasks:
            emit(SelectTask(out, RECIPE, MARK, task.number, rule))
        for part in range(tasks[0].partitions):
            resolve(SelectTask(out, RECIPE, MARK, part, rule))
    for task in tasks:
        write_ledger(task)
    write_recipe_note(RECIPE, out)
    create_manifest(layout.stage_manifest("select"), SelectSummary(MARK, len(groups), rows, {}))


def seconds(out: Path, changes: list[str], repeats: int = 1) -> dict[str, float]:
    """Wall and processor time of one question, on a new output (the best of ``repeats``), and the rows that it keeps."""
    found = []
    for _ in range(repeats):
        start, spent = time.perf_counter(), time.process_time()
        stored = StoredColumns.open(out)
        counts = whatif(stored, apply_changes(stored.recipe, changes), ("source", "language")).counts()
        found.append((round(time.perf_counter() - start, 2), round(time.process_time() - spent, 2)))
    return {
        "wall_s": min(wall for wall, _ in found),
        "cpu_s": min(cpu for _, cpu in found),
        "kept": counts.kept_after,
    }


def command(out: Path, changes: list[str]) -> float:
    start = time.perf_counter()
    arguments = [
        sys.executable,
        "-c",
        "from qvl.command import main; main()",
        "curate",
        "whatif",
        str(out),
        *changes,
        "--json",
    ]
    subprocess.run(arguments, check=True, capture_output=True)
    return round(time.perf_counter() - start, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--units", type=int, default=100)
    parser.add_argument("--keep", type=Path, help="Make the run here, or use the one that is here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="qvl-whatif-") as folder:
        out = options.keep or Path(folder)
        out.mkdir(parents=True, exist_ok=True)
        if read_select_summary(out) is None:
            finished(out, options.rows, options.units)
        result = {
            "rows": options.rows,
            "units": options.units,
            "first": seconds(out, ["aspect_ratio.maximum=2"]),
            "again": seconds(out, ["aspect_ratio.maximum=1.5"], 5),
            "other_filters": seconds(out, ["text_length.minimum=20", "image_size.minimum_side=300"], 5),
            "command_wall_s": command(out, ["aspect_ratio.maximum=1.7"]),
        }
        print(json.dumps(result))


if __name__ == "__main__":
    main()
