"""The figures of a mixture as tables that people read in a terminal."""

from typing import Any

from rich.console import Console
from rich.table import Table

from qvl.pipeline.commands.tables import count, new_table

Data = dict[str, Any]
CELLS = 40
COUNTED = {
    "measured": "tokens: measured, by the lengths of the run",
    "encoded": "tokens: from {of:,} samples, encoded as the loader does, spread over all shards",
    "estimated": "tokens: estimated from the characters of {of:,} samples; --tokenizer counts them",
}


def print_stats(stats: Data) -> None:
    """Print datasets, each stage's mixture beside the paper's, preflight and duplicates."""
    console = Console(highlight=False)
    for table in (_datasets(stats), *(each for stage in stats["stages"] for each in _stage(stage))):
        console.print(table, "")
    for stage in stats["stages"]:
        for line in stage.get("preflight", {}).get("problems", ()):
            console.print(f"[red]✗[/] {stage['name']}: {line}")
        for line in stage.get("preflight", {}).get("notes", ()):
            console.print(f"[yellow]![/] {stage['name']}: {line}")
    if stats.get("duplicates") is not None:
        console.print(*_duplicates(stats["duplicates"]), sep="\n")


def print_difference(found: Data, names: tuple[str, str]) -> None:
    """Print what ``difference`` found."""
    console = Console(highlight=False)
    if found["same_bytes"]:
        console.print("the shards are the same, byte for byte")
    ids, images = found["ids"], found["images"]
    table = new_table(
        "By id and by image", [""], ["both", f"only in {names[0]}", f"only in {names[1]}", "other content"]
    )
    table.add_row("samples", count(ids["both"]), *map(count, ids["only"]), count(ids["changed"]))
    table.add_row("images", count(images["both"]), *map(count, images["only"]), "")
    console.print(table, "")
    for title, examples in (
        *((f"only in {name}", shown) for name, shown in zip(names, ids["examples"], strict=True)),
        ("other content", ids["changed_examples"]),
    ):
        if examples:
            console.print(f"{title}: {', '.join(examples)}", markup=False)
    for kind, rows in found["shares"].items():
        table = new_table(f"Share by {kind.removesuffix('s')}", [""], [*names, "change"])
        for row in rows:
            before, after = row["shares"]
            table.add_row(row["name"], f"{before:.2%}", f"{after:.2%}", f"{100 * (after - before):+.2f}")
        console.print("", table)


def percent(share: float | None) -> str:
    """12.3%; a dash for None; below a tenth of a percent two figures."""
    if share is None:
        return "–"
    return f"{share:.2%}" if 0 < share < 0.001 else f"{share:.1%}"


def times(epochs: float) -> str:
    """How often a sample is seen."""
    return f"{epochs:.2f}" if epochs < 100 else f"{epochs:,.0f}"


def counted(stage: Data) -> str:
    """How the tokens of a stage were counted."""
    ways = {part["counted"] for part in stage["parts"]}
    way = next(iter(ways)) if len(ways) == 1 else "encoded"
    return COUNTED[way].format(of=sum(part["counted_of"] for part in stage["parts"]))


def _datasets(stats: Data) -> Table:
    table = new_table(f"{stats['name']}: datasets", ["dataset"], ["samples", "shards", "MB", "hash"])
    for found in stats["datasets"]:
        size = f"{found['bytes'] / 1e6:,.1f}"
        table.add_row(found["name"], f"{found['samples']:,}", f"{found['shards']:,}", size, found["hash"][:12])
    return table


def _stage(stage: Data) -> list[Table]:
    parts = new_table(
        f"{stage['name']}: parts", ["part"],
        ["samples", "images", "tokens", "epochs", "seen", "share", "of tokens"],
    )  # fmt: skip
    for part in stage["parts"]:
        parts.add_row(
            part["part"], count(part["samples"]), count(part["images"]), count(part["tokens"]), times(part["epochs"]),
            count(part["seen"]), percent(part["share"]), percent(part["token_share"]),
        )  # fmt: skip
    parts.caption = counted(stage)
    return [parts, _cells(stage), *_paper(stage), *([_preflight(stage["preflight"])] if "preflight" in stage else [])]


def _cells(stage: Data) -> Table:
    words = ["task", "source", "lang"]
    table = new_table(f"{stage['name']}: by task, source and language", words, ["samples", "share", "tokens"])
    for cell in stage["cells"][:CELLS]:
        figures = (count(cell["samples"]), percent(cell["share"]), percent(cell["token_share"]))
        table.add_row(cell["task"], cell["source"], cell["language"], *figures)
    if len(stage["cells"]) > CELLS:
        table.caption = f"and {len(stage['cells']) - CELLS} more; --json or --report has all"
    return table


def _paper(stage: Data) -> list[Table]:
    paper = stage["paper"]
    tasks = new_table("Samples by task, beside Table 3 (stage 2)", ["task", "paper's word"], ["here", "paper", "times"])
    for row in paper["tasks"]:
        ratio = "" if not row["paper"] else f"{row['share'] / row['paper']:.2f}"
        tasks.add_row(row["task"], row["name"] or "–", percent(row["share"]), percent(row["paper"]), ratio)
    found = [tasks] if stage["stage"] in (None, "multitask") else []
    if stage["stage"] in (None, "pretrain") and paper["languages"]:
        captions = new_table(
            "Captions, beside Table 2 (stage 1)", ["source or language", "paper's word"], ["here", "paper"]
        )
        for row in paper["sources"]:
            captions.add_row(row["source"], row["name"] or "–", percent(row["share"]), percent(row["paper"]))
        captions.add_section()
        for row in paper["languages"]:
            captions.add_row(row["language"], "", percent(row["share"]), percent(row["paper"]))
        found.append(captions)
    return found


def _preflight(check: Data) -> Table:
    table = new_table(
        f"Preflight: {check['world']:,} ranks",
        ["a step"],
        [
            "",
        ],
    )
    for name, value in preflight_rows(check):
        table.add_row(name, value)
    return table


def preflight_rows(check: Data) -> list[tuple[str, str]]:
    """Names and values of a preflight."""
    return [
        ("samples", f"{check['samples_per_step']:,.0f}"),
        ("sequences", f"{check['sequences_per_step']:,}"),
        ("micro-batches", f"{check['micro_batches']:,}"),
        ("micro-batches of a rank", f"{check['micro_batches_per_rank']:,}"),
        ("empty micro-batches", percent(check["empty_share"])),
        ("samples that cannot be trained on", percent(check["unusable_share"])),
        ("samples of the stage", f"{check['drawn']:,}"),
    ]


def _duplicates(found: Data) -> list[Any]:
    inside = new_table("Images shown more than once inside a dataset", ["dataset"], ["images", "distinct", "repeated"])
    for row in found["inside"]:
        inside.add_row(row["dataset"], *(f"{row[name]:,}" for name in ("images", "distinct", "repeated")))
    if not found["across"]:
        return [inside, "no image is in two datasets"]
    across = new_table("The same image in two datasets", ["datasets", "for example"], ["images", "samples"])
    for row in found["across"]:
        samples = " + ".join(f"{number:,}" for number in row["samples"])
        across.add_row(" + ".join(row["datasets"]), " = ".join(row["examples"][0]), f"{row['images']:,}", samples)
    return [inside, "", across]
