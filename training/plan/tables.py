"""A plan as tables on the terminal, and its warnings."""

from rich.table import Table
from rich.text import Text

from qvl.pipeline.base.screen import Screen
from qvl.pipeline.commands.tables import count, new_table
from qvl.training.plan.machine import USEFUL
from qvl.training.plan.records import Plan, PlannedMemory, PlannedPart, PlannedStage, PlanTerms

ORIGINS = {
    "assumed": "no shard was read: one image and {text} text tokens are assumed per sample, and that weights count samples",
    "encoded": "lengths from {drawn:,} samples of each stage, encoded and packed as the loader does",
    "estimated": "lengths estimated from characters ({drawn:,} samples of each stage), because there is no tokenizer yet",
}
OFFLOADED = {"none": "", "optimizer": " + host", "parameters": " + host, all"}
MANY_EPOCHS = 10


def print_plan(plan: Plan) -> None:
    """Print the whole plan."""
    console = Screen()
    start = "" if plan.start else " (the start does not exist yet: planned as qwen-vl)"
    console.print(f"{plan.name}: {count(plan.model.all)} parameters{start}; {_terms(plan.terms)}", style="bold")
    drawn = max(stage.drawn for stage in plan.stages)
    console.print(ORIGINS[plan.data].format(text=plan.text_tokens, drawn=drawn))
    tables = [_time(plan), _tokens(plan), _compute(plan)]
    for stage in plan.stages:
        tables += [_mix(stage), _memory(stage, plan.terms)]
    for table in (*tables, _traffic(plan)):
        console.print(table, "")
    for line in warnings(plan):
        console.print(f"! {line}", style="yellow")


def warnings(plan: Plan) -> list[str]:
    """What should be known before the start, one line each."""
    lines: list[str] = []
    for stage in plan.stages:
        lines += [
            *_memory_warnings(stage, plan.terms),
            *_traffic_warnings(stage, plan.terms),
            *_sample_warnings(stage),
        ]
    return lines


def _memory_warnings(stage: PlannedStage, terms: PlanTerms) -> list[str]:
    chosen = stage.chosen_memory
    if chosen.fits:
        return []
    size = f"needs {chosen.total:.0f} GB per GPU of {terms.gpu_memory_gb:.0f}"
    return [f"{stage.name}: {size}; {_remedy(stage)}"]


def _traffic_warnings(stage: PlannedStage, terms: PlanTerms) -> list[str]:
    chosen, zero_1 = (each.over_compute[str(terms.gpus)] for each in (stage.traffic.chosen, stage.traffic.zero_1))
    if chosen <= USEFUL or zero_1 >= chosen / 2:
        return []
    (under_zero_1,) = (way for way in stage.memory if (way.zero, way.offload) == (1, "none"))
    return [
        f"{stage.name}: ZeRO-{stage.traffic.chosen.zero} reduces gradients in each of {stage.cost.micro_steps} "
        f"micro-batches, which takes {chosen:.0%} of the computation's time; ZeRO-1 takes {zero_1:.0%}, at "
        f"{under_zero_1.total:.0f} GB per GPU"
    ]


def _sample_warnings(stage: PlannedStage) -> list[str]:
    unusable = stage.stream.unusable
    lines = [f"{stage.name}: {unusable:.1%} of the samples cannot be trained on"] if unusable > 0 else []
    repeated = (part for part in stage.mix if part.epochs > MANY_EPOCHS)
    return lines + [f"{stage.name}: {part.part} is seen {part.epochs:,.1f} times" for part in repeated]


def _remedy(stage: PlannedStage) -> str:
    """The first ZeRO stage and offload that fits, or what else would help."""
    for way in stage.memory:
        if way.fits:
            offload = "" if way.offload == "none" else f", offload: {way.offload}"
            return f"engine: {{zero: {way.zero}{offload}}} would take {way.total:.0f} GB"
    return "use a smaller batch.micro, or engine: {recompute: true}, or more GPUs"


def _time(plan: Plan) -> Table:
    table = new_table(
        "Time and cost", ["stage"], ["steps", "samples", "samples/s", "s/step", "days", "GPU-hours", "cost"]
    )
    for stage in plan.stages:
        cost = stage.cost
        figures = (cost.samples_per_second, cost.seconds_per_step, cost.days, cost.gpu_hours)
        table.add_row(stage.name, f"{stage.steps:,}", count(stage.samples), *map(_number, figures), _dollars(cost.cost))
    if len(plan.stages) > 1:
        total = plan.total
        table.add_section()
        figures_of_all = _number(total.days), _number(total.gpu_hours), _dollars(total.cost)
        table.add_row("all", "", count(total.samples), "", "", *figures_of_all)
    return table


def _tokens(plan: Plan) -> Table:
    table = new_table("Tokens per sample", ["stage", "packing"], ["tokens", "samples per row", "useful", "fill"])
    for stage in plan.stages:
        means = stage.stream
        shares = f"{means.useful:.1%}", f"{means.fill:.1%}"
        table.add_row(stage.name, stage.packing, f"{means.tokens:,.0f}", f"{means.samples_per_sequence:.1f}", *shares)
    table.caption = "useful: share of tokens in all computed positions; fill: share of tokens in rows of full length"
    return table


def _compute(plan: Plan) -> Table:
    names = ["vision", "adapter", "language", "head", "recompute", "all", "per step"]
    table = new_table("TFLOP to train on a sample", ["stage"], names)
    for stage in plan.stages:
        cost = stage.tflop_per_sample
        figures = (cost.vision, cost.adapter, cost.language, cost.head, cost.recompute, cost.total)
        table.add_row(stage.name, *map(_number, figures), _number(stage.cost.tflop_per_step))
    return table


def _mix(stage: PlannedStage) -> Table:
    numbers = ["samples", "share", "epochs", "tokens", "supervised", "images"]
    table = new_table(f"{stage.name}: the mix", ["part"], numbers)
    for part in stage.mix:
        epochs = f"{part.epochs:.2f}" if part.epochs < 100 else f"{part.epochs:,.0f}"
        table.add_row(part.part, count(part.samples), f"{part.share:.2%}", epochs, *_means(part))
    return table


def _means(part: PlannedPart) -> tuple[str, str, str]:
    if part.tokens is None or part.supervised is None or part.images is None:
        return "–", "–", "–"
    return f"{part.tokens:,.0f}", f"{part.supervised:,.0f}", f"{part.images:,.1f}"


def _memory(stage: PlannedStage, terms: PlanTerms) -> Table:
    unit, factor = ("GB", 1) if stage.memory[0].states >= 1 else ("MB", 1000)
    title = f"{stage.name}: {unit} per GPU, on {terms.gpus} of {terms.gpu_memory_gb:.0f} GB"
    table = new_table(title, ["ZeRO", ""], ["weights", "gradients", "Adam", "activ.*", "buffers*", "all", "host"])
    for way in stage.memory:
        table.add_row(
            f"{way.zero}{OFFLOADED[way.offload]}{' ←' if way.chosen else ''}",
            Text("fits", "green") if way.fits else Text("no", "red"),
            *("" if value == 0 else f"{value * factor:,.1f}" for value in _gigabytes(way)),
            style="bold" if way.chosen else None,
        )
    table.caption = (
        f"{count(stage.trained)} parameters train; ← the recipe; * estimates, for the largest micro-batch in the sample"
    )
    return table


def _gigabytes(way: PlannedMemory) -> tuple[float, ...]:
    return way.weights, way.gradients, way.optimizer, way.activations, way.buffers, way.total, way.host


def _traffic(plan: Plan) -> Table:
    sizes = list(plan.stages[0].traffic.chosen.over_compute)
    table = new_table("Gradient traffic over computation, nothing hidden", ["stage", "ZeRO"], [*sizes, "useful GPUs"])
    for stage in plan.stages:
        ways = [stage.traffic.chosen]
        ways += [] if ways[0].zero == 1 else [stage.traffic.zero_1]
        for way in ways:
            shares = [f"{share:.0%}" for share in way.over_compute.values()]
            table.add_row(stage.name, str(way.zero), *shares, f"{way.useful_gpus:,}")
    table.caption = "columns: number of GPUs; useful: traffic up to 25%, and a micro-batch for each GPU"
    return table


def _terms(terms: PlanTerms) -> str:
    plural = "" if terms.gpus == 1 else "s"
    return (
        f"{terms.gpus:,} {terms.gpu.upper()}{plural} at {terms.mfu:.0%} of {terms.peak_tflops:,.0f} TFLOP/s, "
        f"${terms.price:.2f} per GPU-hour"
    )


def _dollars(value: float) -> str:
    """$12.3, or <$0.001."""
    return f"${_number(value)}".replace("$<", "<$")


def _number(value: float) -> str:
    """Three significant figures with separated thousands; 0 for zero, <0.001 for anything smaller than that."""
    if value == 0:
        return "0"
    if value < 0.001:
        return "<0.001"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
