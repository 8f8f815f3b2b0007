"""What a run prints at its end: the funnel, the mix, and the paths of its results."""

from collections.abc import Sequence

from rich.table import Table

from qvl.pipeline.base.screen import Screen
from qvl.pipeline.base.verdicts import KEEP
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import read_manifest
from qvl.pipeline.curate.selection.ledger import chosen_texts
from qvl.pipeline.curate.speaking.manifests import SpeakSummary
from qvl.pipeline.recipe.speakers import NOT_ASKED
from qvl.pipeline.shards.manifests import DatasetManifest
from qvl.pipeline.storage.paths import AnyPath


def print_summary(out: AnyPath, dataset: DatasetManifest, report: AnyPath) -> None:
    """Print the tables and paths of a finished output."""
    console = Screen()
    console.print(funnel_table(dataset.verdicts))
    console.print(mix_table(dataset))
    console.print(
        f"dataset  {out / 'shards'}   {dataset.samples:,} samples in {len(dataset.shards)} shards", soft_wrap=True
    )
    console.print(f"hash     {dataset.hash}", soft_wrap=True)
    console.print(f"ledger   {out / 'ledger'}   one row per input row, kept or dropped", soft_wrap=True)
    console.print(f"report   {report}", soft_wrap=True)
    for line in (*caption_lines(out), *speaker_lines(out)):
        console.print(line, soft_wrap=True)


def caption_lines(out: AnyPath) -> list[str]:
    """A line for each source with several captions: how many of its kept rows got which text."""
    lines = []
    for source, counts in chosen_texts(out).items():
        texts = ", ".join(f"{name} {rows:,} ({rows / sum(counts.values()):.1%})" for name, rows in counts.items())
        lines.append(f"captions {source}: {texts}")
    return lines


def speaker_lines(out: AnyPath) -> list[str]:
    """A line for each speaker: its answers by state, their tokens and their cost."""
    summary = read_manifest(Layout(out).stage_manifest("speak"), SpeakSummary)
    lines = []
    for each in summary.speakers if summary is not None else ():
        states = ", ".join(
            f"{state} {rows:,}" for state, rows in each.states.items() if not state.startswith(NOT_ASKED)
        )
        tokens = f"{each.prompt_tokens:,} + {each.completion_tokens:,} tokens"
        cost = f", {each.cost:,.4f} {each.currency}" if each.cost is not None else ""
        lines.append(
            f"speaker  {each.name}: {states or 'nothing asked'}; {each.answers:,} different answers, {tokens}{cost}"
        )
    return lines


def funnel_table(verdicts: dict[str, dict[str, int]]) -> Table:
    """Rows in, dropped rows by reason, and rows kept, with a column per source."""
    table = Table(title="Funnel", title_justify="left", show_footer=False)
    table.add_column("")
    for source in verdicts:
        table.add_column(source, justify="right")
    table.add_column("total", justify="right")
    reasons = sorted({reason for counts in verdicts.values() for reason in counts if reason != KEEP})
    totals = {reason: sum(counts.get(reason, 0) for counts in verdicts.values()) for reason in reasons}
    rows_in = [sum(counts.values()) for counts in verdicts.values()]
    table.add_row("rows in", *(f"{n:,}" for n in [*rows_in, sum(rows_in)]), end_section=True)
    for reason in sorted(reasons, key=lambda reason: -totals[reason]):
        cells = [counts.get(reason, 0) for counts in verdicts.values()]
        table.add_row(f"- {reason}", *(f"{n:,}" if n else "" for n in [*cells, sum(cells)]))
    kept = [counts.get(KEEP, 0) for counts in verdicts.values()]
    table.add_section()
    table.add_row("kept", *(f"{n:,}" for n in [*kept, sum(kept)]), style="bold")
    shares = [k / n if n else 0.0 for k, n in zip([*kept, sum(kept)], [*rows_in, sum(rows_in)], strict=True)]
    table.add_row("remaining", *(f"{share:.0%}" for share in shares))
    return table


def mix_table(dataset: DatasetManifest) -> Table:
    """Share of the kept samples by source and by language."""
    table = Table(title="Mix", title_justify="left")
    for name in ("", "samples", "share"):
        table.add_column(name, justify="left" if not name else "right")
    total = max(1, dataset.samples)
    for kind in ("sources", "languages"):
        for name, count in dataset.counts[kind].items():
            table.add_row(name, f"{count:,}", f"{count / total:.1%}")
        table.add_section()
    return table


def print_parts(parts: Sequence[tuple[str, DatasetManifest, AnyPath, float]], notes: Sequence[str]) -> None:
    """Print several datasets, each given as (name, ``dataset.json``, output, seconds), in one table 80 columns wide.

    The paths of their pages and one line per note follow.
    """
    table = Table(title="All parts", title_justify="left")
    for name in ("", "rows in", "kept", "samples", "by task", "language", "s"):
        table.add_column(name, justify="left" if name in ("", "by task", "language") else "right", no_wrap=True)
    for name, dataset, _, seconds in parts:
        verdicts = dataset.verdicts.values()
        rows, kept = sum(sum(v.values()) for v in verdicts), sum(v.get(KEEP, 0) for v in verdicts)
        listed = (
            "\n".join(f"{key} {n:,}" for key, n in dataset.counts[kind].items()) for kind in ("tasks", "languages")
        )
        table.add_row(name, f"{rows:,}", f"{kept:,}", f"{dataset.samples:,}", *listed, f"{seconds:.0f}")
        table.add_section()
    console = Screen()
    console.print(table)
    for name, _, out, _ in parts:
        console.print(f"{name:<8} {out / 'report.html'}", soft_wrap=True)
    for note in notes:
        console.print(f"note: {note}", soft_wrap=True)
