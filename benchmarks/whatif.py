"""whatif: exact counts of another threshold over 10 million rows, duplicate rules run again.

Claim: a change of filters over 10 million rows under 2 seconds.

    python benchmarks/whatif.py [--rows 10000000] [--units 100] [--keep FOLDER]

A finished select stage is made first (not timed; columns as in ``curate_select.py``). The first question of a run also finds
the rows that can meet in a duplicate rule and keeps them (``first_s``); every later one, with other values or filters, uses
that (``again_s``, ``other_filter_s``). ``command_s`` is the whole command with the start of Python.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from curate_select import RECIPE, make_scanned

from pipeline.changes import apply_changes
from pipeline.commit import create_manifest, read_manifest
from pipeline.groups import make_groups, write_groups
from pipeline.layout import Layout
from pipeline.ledger import write_ledger
from pipeline.select import SelectTask, emit, judge, resolve
from pipeline.stale import remember_recipe
from pipeline.stored import Stored
from pipeline.whatif import whatif

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
    remember_recipe(RECIPE, out)
    create_manifest(layout.stage_manifest("select"), {"fingerprint": MARK, "groups": len(groups), "rows": rows})


def seconds(out: Path, changes: list[str]) -> tuple[float, int]:
    """Wall time of one question, opened anew, and the rows that it keeps."""
    start = time.perf_counter()
    stored = Stored.open(out)
    content = whatif(stored, apply_changes(stored.recipe, changes), ("source", "language")).content()
    return round(time.perf_counter() - start, 2), content["kept_after"]


def command(out: Path, changes: list[str]) -> float:
    start = time.perf_counter()
    arguments = [sys.executable, "-c", "import qvl; qvl.main()", "curate", "whatif", str(out), *changes, "--json"]
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
        if read_manifest(Layout(out).stage_manifest("select")) is None:
            finished(out, options.rows, options.units)
        first, kept = seconds(out, ["aspect_ratio.maximum=2"])
        again, _ = seconds(out, ["aspect_ratio.maximum=1.5"])
        other, _ = seconds(out, ["text_length.minimum=20", "image_size.minimum_side=300"])
        result = {
            "rows": options.rows, "units": options.units, "kept": kept, "first_s": first, "again_s": again,
            "other_filter_s": other, "command_s": command(out, ["aspect_ratio.maximum=1.7"]),
        }  # fmt: skip
        print(json.dumps(result))


if __name__ == "__main__":
    main()
