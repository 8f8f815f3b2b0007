"""Print the figures of a mixture as tables in the terminal."""

from rich.table import Table

from qvl.pipeline.base.screen import Screen
from qvl.pipeline.commands.tables import count, new_table
from qvl.training.pages.mix.figures import (
    DatasetDifference,
    Duplicates,
    MixFigures,
    Preflight,
    StageMix,
    TokenSource,
)

CELLS_SHOWN = 40
HOW_COUNTED: dict[TokenSource, str] = {
    "measured": "tokens: measured by the run",
    "encoded": "tokens: from {of:,} samples of all shards, encoded as the loader encodes them",
    "estimated": "tokens: estimated from the characters of {of:,} samples; use --tokenizer to count them",
}


def print_stats(stats: MixFigures) -> None:
    """Print the datasets, each stage's mixture next to the paper's, the preflight and the duplicates."""
    console = Screen()
    for table in (_datasets(stats), *(each for stage in stats.stages for each in _stage(stage))):
        console.print(table, "")
    for stage in stats.stages:
        for line in stage.preflight.problems if stage.preflight else ():
            console.print(f"✗ {stage.name}: {line}", style="red")
        for line in stage.preflight.notes if stage.preflight else ():
            console.print(f"! {stage.name}: {line}", style="yellow")
    if stats.duplicates is not None:
        console.print(*_duplicates(stats.duplicates), sep="\n")


def print_difference(found: DatasetDifference, names: tuple[str, str]) -> None:
    """Print how two datasets differ; ``names`` stand for them."""
    console = Screen()
    if found.same_bytes:
        console.print("the shards are equal byte for byte")
    ids, images = found.ids, found.images
    table = new_table(
        "By id and by image", [""], ["both", f"only in {names[0]}", f"only in {names[1]}", "changed content"]
    )
    table.add_row("samples", count(ids.both), *map(count, ids.only), count(ids.changed))
    table.add_row("images", count(images.both), *map(count, images.only), "")
    console.print(table, "")
    for title, examples in (
        *((f"only in {name}", shown) for name, shown in zip(names, ids.examples, strict=True)),
        ("changed content", ids.changed_examples),
    ):
        if examples:
            console.print(f"{title}: {', '.join(examples)}")
    for kind, rows in found.shares.items():
        table = new_table(f"Share by {kind.removesuffix('s')}", [""], [*names, "change"])
        for row in rows:
            before, after = row.shares
            table.add_row(row.name, f"{before:.2%}", f"{after:.2%}", f"{100 * (after - before):+.2f}")
        console.print("", table)


def percent(share: float | None) -> str:
    """12.3%, with two digits below a tenth of a percent; a dash for None."""
    if share is None:
        return "–"
    return f"{share:.2%}" if 0 < share < 0.001 else f"{share:.1%}"


def times(epochs: float) -> str:
    """How often a sample is seen, as text."""
    return f"{epochs:.2f}" if epochs < 100 else f"{epochs:,.0f}"


def counted(stage: StageMix) -> str:
    """How the tokens of a stage were counted."""
    ways = {part.counted for part in stage.parts}
    way = next(iter(ways)) if len(ways) == 1 else "encoded"
    return HOW_COUNTED[way].format(of=sum(part.counted_of for part in stage.parts))


def _datasets(stats: MixFigures) -> Table:
    table = new_table(f"{stats.name}: datasets", ["dataset"], ["samples", "shards", "MB", "hash"])
    for found in stats.datasets:
        size = f"{found.bytes / 1e6:,.1f}"
        table.add_row(found.name, f"{found.samples:,}", f"{found.shards:,}", size, found.hash[:12])
    return table


def _stage(stage: StageMix) -> list[Table]:
    parts = new_table(
        f"{stage.name}: parts", ["part"],
        ["samples", "images", "tokens", "epochs", "seen", "share", "of tokens"],
    )  # fmt: skip
    for part in stage.parts:
        parts.add_row(
            part.part, count(part.samples), count(part.images), count(part.tokens), times(part.epochs),
            count(part.seen), percent(part.share), percent(part.token_share),
        )  # fmt: skip
    parts.caption = counted(stage)
    return [parts, _cells(stage), *_paper(stage), *([_preflight(stage.preflight)] if stage.preflight else [])]


def _cells(stage: StageMix) -> Table:
    labels = ["task", "source", "lang"]
    table = new_table(f"{stage.name}: by task, source and language", labels, ["samples", "share", "tokens"])
    for cell in stage.cells[:CELLS_SHOWN]:
        figures = (count(cell.samples), percent(cell.share), percent(cell.token_share))
        table.add_row(cell.task, cell.source, cell.language, *figures)
    if len(stage.cells) > CELLS_SHOWN:
        table.caption = f"and {len(stage.cells) - CELLS_SHOWN} more; --json and --report list all of them"
    return table


def _paper(stage: StageMix) -> list[Table]:
    paper = stage.paper
    tasks = new_table("Samples by task and Table 3 (stage 2)", ["task", "in the paper"], ["here", "paper", "times"])
    for row in paper.tasks:
        ratio = "" if not row.paper else f"{row.share / row.paper:.2f}"
        tasks.add_row(row.task, row.name or "–", percent(row.share), percent(row.paper), ratio)
    found = [tasks] if stage.stage in (None, "multitask") else []
    if stage.stage in (None, "pretrain") and paper.languages:
        captions = new_table(
            "Captions compared with Table 2 (stage 1)", ["source or language", "in the paper"], ["here", "paper"]
        )
        for source in paper.sources:
            captions.add_row(source.source, source.name or "–", percent(source.share), percent(source.paper))
        captions.add_section()
        for language in paper.languages:
            captions.add_row(language.language, "", percent(language.share), percent(language.paper))
        found.append(captions)
    return found


def _preflight(check: Preflight) -> Table:
    table = new_table(
        f"Preflight: {check.world:,} ranks",
        ["a step"],
        [
            "",
        ],
    )
    for name, value in preflight_rows(check):
        table.add_row(name, value)
    return table


def preflight_rows(check: Preflight) -> list[tuple[str, str]]:
    """The figures of a preflight, each with its name."""
    return [
        ("samples", f"{check.samples_per_step:,.0f}"),
        ("sequences", f"{check.sequences_per_step:,}"),
        ("micro-batches", f"{check.micro_batches:,}"),
        ("micro-batches per rank", f"{check.micro_batches_per_rank:,}"),
        ("empty micro-batches", percent(check.empty_share)),
        ("samples that cannot be trained on", percent(check.unusable_share)),
        ("samples of the stage", f"{check.drawn:,}"),
    ]


def _duplicates(found: Duplicates) -> list[Table | str]:
    inside = new_table("Images shown more than once inside a dataset", ["dataset"], ["images", "distinct", "repeated"])
    for row in found.inside:
        inside.add_row(row.dataset, *(f"{number:,}" for number in (row.images, row.distinct, row.repeated)))
    if not found.across:
        return [inside, "no two datasets share an image"]
    across = new_table("The same image in two datasets", ["datasets", "for example"], ["images", "samples"])
    for shared in found.across:
        samples = " + ".join(f"{number:,}" for number in shared.samples)
        across.add_row(" + ".join(shared.datasets), " = ".join(shared.examples[0]), f"{shared.images:,}", samples)
    return [inside, "", across]
