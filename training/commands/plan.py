"""``qvl train plan``: wiring only; heavy imports stay inside."""

import json
from pathlib import Path
from typing import Annotated

import typer


def plan(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="YAML recipe", show_default=False)],
    gpus: Annotated[int, typer.Option(min=1, help="How many GPUs")] = 8,
    gpu: Annotated[str, typer.Option(help="a100-40, a100, h100, h200, b200 or l40s")] = "h100",
    mfu: Annotated[float, typer.Option(min=0.01, max=1.0, help="Share of the peak that a step reaches")] = 0.4,
    price: Annotated[float, typer.Option(min=0.0, help="Of a GPU-hour, in dollars")] = 3.0,
    assume: Annotated[
        int | None,
        typer.Option(min=1, metavar="TOKENS", help="Read no shard: one image and so many text tokens a sample"),
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Samples of each stage to encode")] = 1024,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables")] = False,
) -> None:
    """What a run will take: memory, operations, hours, cost, epochs, padding. Looks for every shard; starts nothing."""
    from qvl.training.plan.plan import Terms, make_plan
    from qvl.training.plan.tables import print_plan, warnings
    from qvl.training.recipe import load_train_recipe

    made = make_plan(load_train_recipe(recipe), Terms(gpus, gpu, mfu, price), assume, samples)
    if as_json:
        typer.echo(json.dumps(made | {"warnings": warnings(made)}))
    else:
        print_plan(made)
