"""Time and peak memory of a journey by step, and which step limits.

    python benchmarks/journey.py [--output FOLDER] [--corpus full]

Runs `qvl demo --full` into the folder (a journey that is there already is only read) and prints a table. Processor seconds
count where others use the machine: wall time is then an upper bound.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from qvl.training.loop.records import StepLine
from qvl.training.pages.journey.steps import Cost, read_costs
from qvl.training.pages.report.history import History, read_history


def main() -> None:
    """Read the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("out/demo"))
    parser.add_argument("--corpus", choices=("shipped", "full"), default="shipped")
    options = parser.parse_args()
    journey = options.output.with_name("journey" if options.corpus == "shipped" else f"journey_{options.corpus}")
    if not (journey / "index.html").is_file():
        command = [
            sys.executable,
            "-c",
            "from qvl.command import main; main()",
            "demo",
            "--full",
            "--corpus",
            options.corpus,
        ]
        subprocess.run([*command, "--output", str(options.output)], check=True)
    costs, history = read_costs(journey / "steps.json"), read_history(journey / "train")
    print("\n".join([*step_table(costs), "", *stage_table(history)]))


def step_table(costs: dict[str, Cost]) -> list[str]:
    """Seconds, processor seconds and peak memory of each step, with its share of all processor seconds."""
    wall, cpu = sum(cost.seconds for cost in costs.values()), sum(cost.cpu for cost in costs.values())
    lines = ["| step | wall s | CPU s | share of CPU | peak memory, MB |", "|---|---|---|---|---|"]
    for name, cost in costs.items():
        lines.append(f"| {name} | {cost.seconds:,.0f} | {cost.cpu:,.0f} | {cost.cpu / cpu:.0%} | {cost.peak_mb:,.0f} |")
    peak = max(cost.peak_mb for cost in costs.values())
    return [*lines, f"| all | {wall:,.0f} | {cpu:,.0f} | | {peak:,.0f} |"]


def stage_table(history: History) -> list[str]:
    """Of training by stage: seconds in steps, samples and tokens per second, and the share that waited for data."""
    head = ["| stage | steps | s in steps | samples/s | tokens/s | waiting for data |", "|---|---|---|---|---|---|"]
    return head + [_stage(stage.name, stage.steps) for stage in history.stages]


def _stage(name: str, lines: list[StepLine]) -> str:
    seconds, wait = sum(line.seconds for line in lines), sum(line.data_wait for line in lines)
    samples, tokens = sum(line.samples for line in lines), sum(line.tokens for line in lines)
    rates = f"{samples / seconds:.1f} | {tokens / seconds:,.0f} | {wait / seconds:.0%}"
    return f"| {name} | {len(lines):,} | {seconds:,.0f} | {rates} |"


if __name__ == "__main__":
    main()
