"""A plan as tables that people read."""

from typing import Any

from rich.console import Console
from rich.table import Table

from qvl.pipeline.commands.tables import count, new_table
from qvl.training.plan.machine import USEFUL

Data = dict[str, Any]
DATA = {
    "assumed": "no shard was read: every sample is taken to hold one image and {text} text tokens, weights count samples",
    "encoded": "lengths from {drawn:,} samples of each stage, encoded and packed as the loader does",
    "estimated": "lengths estimated from characters ({drawn:,} samples of each stage): no tokenizer is there yet",
}
OFFLOADED = {"none": "", "optimizer": " + host", "parameters": " + host, all"}


def print_plan(plan: Data) -> None:
    """Print the whole plan."""
    console = Console(highlight=False)
    terms, model = plan["terms"], plan["model"]
    start = "" if plan["start"] else " (start is not there: planned as qwen-vl)"
    console.print(f"[bold]{plan['name']}[/]: {count(model['all'])} parameters{start}; {_terms(terms)}")
    drawn = max(stage["drawn"] for stage in plan["stages"])
    console.print(DATA[plan["data"]].format(text=plan["text_tokens"], drawn=drawn))
    tables = [_time(plan), _tokens(plan), _compute(plan)]
    for stage in plan["stages"]:
        tables += [_mix(stage), _memory(stage, terms)]
    for table in (*tables, _traffic(plan)):
        console.print(table, "")
    for line in warnings(plan):
        console.print(f"[yellow]![/] {line}")


def warnings(plan: Data) -> list[str]:
    """What a person should know before the start, one line each."""
    lines, gpus = [], plan["terms"]["gpus"]
    for stage in plan["stages"]:
        name = stage["name"]
        (chosen,) = (way for way in stage["memory"] if way["chosen"])
        if not chosen["fits"]:
            lines.append(
                f"{name}: needs {chosen['total']:.0f} GB per GPU of {plan['terms']['gpu_memory_gb']:.0f}; "
                f"{_way_out(stage)}"
            )
        traffic = stage["traffic"]
        asked, other = (traffic[way]["over_compute"][str(gpus)] for way in ("chosen", "zero_1"))
        if asked > USEFUL and other < asked / 2:
            (way,) = (way for way in stage["memory"] if (way["zero"], way["offload"]) == (1, "none"))
            lines.append(
                f"{name}: ZeRO-{traffic['chosen']['zero']} reduces gradients in each of {stage['micro_steps']} "
                f"micro-batches, {asked:.0%} of the computation's time; ZeRO-1 {other:.0%}, at {way['total']:.0f} GB per GPU"
            )
        if stage["stream"]["unusable"] > 0:
            lines.append(f"{name}: {stage['stream']['unusable']:.1%} of the samples cannot be trained on")
        lines += [
            f"{name}: {part['part']} is seen {part['epochs']:,.1f} times"
            for part in stage["mix"]
            if part["epochs"] > 10
        ]
    return lines


def _way_out(stage: Data) -> str:
    fitting = [way for way in stage["memory"] if way["fits"]]
    if fitting:
        best = fitting[0]
        moved = "" if best["offload"] == "none" else f", offload: {best['offload']}"
        return f"engine: {{zero: {best['zero']}{moved}}} would take {best['total']:.0f} GB"
    return "a smaller batch.micro, or engine: {recompute: true}, or more GPUs"


def _time(plan: Data) -> Table:
    table = new_table(
        "Time and cost", ["stage"], ["steps", "samples", "samples/s", "s/step", "days", "GPU-hours", "cost"]
    )
    for stage in plan["stages"]:
        figures = (_number(stage[name]) for name in ("samples_per_second", "seconds_per_step", "days", "gpu_hours"))
        table.add_row(stage["name"], f"{stage['steps']:,}", count(stage["samples"]), *figures, _dollars(stage["cost"]))
    total = plan["total"]
    if len(plan["stages"]) > 1:
        table.add_section()
        figures = (_number(total[name]) for name in ("days", "gpu_hours"))
        table.add_row("all", "", count(total["samples"]), "", "", *figures, _dollars(total["cost"]))
    return table


def _tokens(plan: Data) -> Table:
    table = new_table("Tokens of a sample", ["stage", "packing"], ["tokens", "samples in a row", "useful", "fill"])
    for stage in plan["stages"]:
        means = stage["stream"]
        shares = (f"{means[name]:.1%}" for name in ("useful", "fill"))
        row = f"{means['samples_per_sequence']:.1f}"
        table.add_row(stage["name"], stage["packing"], f"{means['tokens']:,.0f}", row, *shares)
    table.caption = "useful: tokens of all positions that are computed; fill: of rows at their full length"
    return table


def _compute(plan: Data) -> Table:
    parts = ("vision", "adapter", "language", "head", "recompute")
    table = new_table("TFLOP to train on a sample", ["stage"], [*parts, "all", "a step"])
    for stage in plan["stages"]:
        cost = stage["tflop_per_sample"]
        figures = (_number(cost[part]) for part in (*parts, "total"))
        table.add_row(stage["name"], *figures, _number(stage["tflop_per_step"]))
    return table


def _mix(stage: Data) -> Table:
    numbers = ["samples", "share", "epochs", "tokens", "learnt", "images"]
    table = new_table(f"{stage['name']}: the mix", ["part"], numbers)
    for part in stage["mix"]:
        held = [
            "–" if part[name] is None else f"{part[name]:,.{digits}f}"
            for name, digits in (("tokens", 0), ("learnt", 0), ("images", 1))
        ]
        epochs = f"{part['epochs']:.2f}" if part["epochs"] < 100 else f"{part['epochs']:,.0f}"
        table.add_row(part["part"], count(part["samples"]), f"{part['share']:.2%}", epochs, *held)
    return table


def _memory(stage: Data, terms: Data) -> Table:
    unit, factor = ("GB", 1) if stage["memory"][0]["states"] >= 1 else ("MB", 1000)
    title = f"{stage['name']}: {unit} per GPU, on {terms['gpus']} of {terms['gpu_memory_gb']:.0f} GB"
    table = new_table(title, ["ZeRO", ""], ["weights", "gradients", "Adam", "activ.*", "buffers*", "all", "host"])
    for way in stage["memory"]:
        mark = "[green]fits[/]" if way["fits"] else "[red]no[/]"
        figures = ("weights", "gradients", "optimizer", "activations", "buffers", "total", "host")
        table.add_row(
            f"{way['zero']}{OFFLOADED[way['offload']]}{' ←' if way['chosen'] else ''}",
            mark,
            *("" if way[name] == 0 else f"{way[name] * factor:,.1f}" for name in figures),
            style="bold" if way["chosen"] else None,
        )
    table.caption = (
        f"{count(stage['trained'])} parameters train; ← the recipe; * estimates, for the largest micro-batch drawn"
    )
    return table


def _traffic(plan: Data) -> Table:
    sizes = list(plan["stages"][0]["traffic"]["chosen"]["over_compute"])
    table = new_table("Gradient traffic over computation, nothing hidden", ["stage", "ZeRO"], [*sizes, "useful GPUs"])
    for stage in plan["stages"]:
        ways = [stage["traffic"]["chosen"]]
        ways += [] if ways[0]["zero"] == 1 else [stage["traffic"]["zero_1"]]
        for way in ways:
            shares = [f"{share:.0%}" for share in way["over_compute"].values()]
            table.add_row(stage["name"], str(way["zero"]), *shares, f"{way['useful_gpus']:,}")
    table.caption = "columns: number of GPUs; useful: up to 25%, and a micro-batch for each GPU"
    return table


def _terms(terms: Data) -> str:
    plural = "" if terms["gpus"] == 1 else "s"
    return (
        f"{terms['gpus']:,} {terms['gpu'].upper()}{plural} at {terms['mfu']:.0%} of {terms['peak_tflops']:,.0f} TFLOP/s, "
        f"${terms['price']:.2f} per GPU-hour"
    )


def _dollars(value: float) -> str:
    """$12.3, or <$0.001."""
    return f"${_number(value)}".replace("$<", "<$")


def _number(value: float) -> str:
    """Three figures, thousands apart; 0 for nothing, < 0.001 for next to nothing."""
    if value == 0:
        return "0"
    if value < 0.001:
        return "<0.001"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
