"""``qvl train``: the command line of training; heavy imports stay inside the commands."""

from pathlib import Path
from typing import Annotated

import typer

from qvl.pipeline.base.terminal import print_json, say, warn
from qvl.training.commands.experiment import experiment
from qvl.training.commands.plan import plan
from qvl.training.commands.report import report

app = typer.Typer(no_args_is_help=True, help="Train the model from shards, in stages.")

RecipeFile = Annotated[Path, typer.Argument(metavar="RECIPE", help="YAML recipe", show_default=False)]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="Output folder of a run", show_default=False)]


@app.command()
def run(
    recipe: RecipeFile,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the run; the same command resumes it")],
    workers: Annotated[str, typer.Option(help="serial: this machine; ray: Ray Train on a cluster")] = "serial",
    processes: Annotated[int, typer.Option(min=1, help="Training processes, one per GPU")] = 1,
    address: Annotated[str | None, typer.Option(help="Ray cluster to join, e.g. auto or HOST:6379")] = None,
    loader_workers: Annotated[int, typer.Option(min=0, help="Loader processes for each training process")] = 2,
    cache: Annotated[Path | None, typer.Option(help="Local folder for shards of a remote store")] = None,
    cache_gb: Annotated[float, typer.Option(help="Size limit of the cache, in GiB")] = 32.0,
    wandb: Annotated[bool, typer.Option("--wandb", help="Also log to Weights & Biases")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON at the end")] = False,
) -> None:
    """Run or resume the stages of a recipe. torchrun can start it, too."""
    from qvl.pipeline.base.errors import SIGNALLED, RecipeError
    from qvl.training.loop.launch import Launch, launch_here, launch_ray
    from qvl.training.recipe import load_train_recipe

    loaded = load_train_recipe(recipe)
    launch = Launch(recipe, output, loader_workers, cache, int(cache_gb * (1 << 30)), wandb)
    if workers not in ("serial", "ray"):
        raise RecipeError(f"--workers {workers}: choose serial or ray")
    done = launch_ray(launch, processes, address) if workers == "ray" else launch_here(launch, processes)
    if not done:
        warn("stopped at a checkpoint; run the same command again to continue")
        raise typer.Exit(SIGNALLED)
    folders = {stage.label: str(output / stage.label / "model") for stage in loaded.stages}
    if as_json:
        print_json({"run": str(output), "models": folders})
        return
    for label, folder in folders.items():
        say(f"{label:<12} {folder}")
    say(f"curves       qvl train report {output}")


@app.command()
def verify(
    run: RunFolder,
    world: Annotated[int, typer.Option("--world-size", min=1, help="Number of processes to replay")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON")] = False,
) -> None:
    """Replay the stream of a run at any world size and compare it with its receipts. Exit 1 where they differ."""
    from dataclasses import asdict

    from qvl.training.loop.verify import verify as replay

    results = replay(run, world)
    if as_json:
        print_json([asdict(result) for result in results])
    else:
        for result in results:
            outcome = result.difference or "the receipts agree"
            say(f"{result.stage:<12} {result.steps:,} steps, {result.samples:,} samples as {world} ranks: {outcome}")
    raise typer.Exit(1 if any(result.difference for result in results) else 0)


app.command()(plan)
app.command()(report)
app.command()(experiment)
