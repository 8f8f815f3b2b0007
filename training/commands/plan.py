"""``qvl train plan``: the command line only; heavy imports stay inside the command."""

from pathlib import Path
from typing import Annotated

import typer

from qvl.pipeline.base.terminal import print_json


def plan(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="YAML recipe", show_default=False)],
    gpus: Annotated[int, typer.Option(min=1, help="Number of GPUs")] = 8,
    gpu: Annotated[str, typer.Option(help="a100-40, a100, h100, h200, b200 or l40s")] = "h100",
    mfu: Annotated[float, typer.Option(min=0.01, max=1.0, help="Share of the peak that a step reaches")] = 0.4,
    price: Annotated[float, typer.Option(min=0.0, help="Dollars per GPU-hour")] = 3.0,
    assume: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="TOKENS", help="Do not read shards: assume one image and TOKENS text tokens per sample"
        ),
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Samples of each stage to encode")] = 1024,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables")] = False,
) -> None:
    """Estimate what a run will take: memory, operations, hours, cost, epochs, padding. Checks for every shard."""
    from qvl.training.plan.plan import make_plan
    from qvl.training.plan.records import Terms
    from qvl.training.plan.tables import print_plan, warnings
    from qvl.training.recipe import load_train_recipe

    planned = make_plan(load_train_recipe(recipe), Terms(gpus, gpu, mfu, price), assume, samples)
    if as_json:
        print_json(planned.to_json() | {"warnings": warnings(planned)})
    else:
        print_plan(planned)
