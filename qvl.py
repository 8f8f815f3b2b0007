"""The command ``qvl``: wiring only."""

import json
import subprocess
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

import grounding_builder.command
import model.command
import pipeline.command
import pipeline.text.command
import pipeline.view.command
import synth_ocr.command
import training.command
import training.doctor.command
import training.evaluation.command
import training.mix.command
from pipeline.errors import SIGNALLED, QvlError, RecipeError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def print_version(asked: bool) -> None:
    """Print the installed version and end, where ``--version`` was given."""
    if asked:
        typer.echo(f"qvl {version('qvl')}")
        raise typer.Exit


@app.callback()
def options(
    show_version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print it")
    ] = False,
) -> None:
    """Curate image-text data at web scale and train a vision-language model from it."""


app.add_typer(pipeline.command.app, name="curate")
app.add_typer(grounding_builder.command.app, name="ground")
app.add_typer(synth_ocr.command.app, name="ocr")
app.add_typer(pipeline.text.command.app, name="text")
app.add_typer(model.command.app, name="model")
app.add_typer(training.command.app, name="train")
app.add_typer(training.evaluation.command.app, name="eval")
app.add_typer(training.mix.command.app, name="mix")
app.command()(pipeline.view.command.command(grounding_builder.command.source_pictures))
app.command()(training.doctor.command.doctor)


@app.command()
def recipes(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="One of them: print it", show_default=False)
    ] = None,
) -> None:
    """Recipes that come along, in the wheel too: their names, or one's text to be copied beside your data."""
    folders = [Path(str(package.__file__)).parent / "recipes" for package in (pipeline, synth_ocr, training)]
    paths = [(folder, path) for folder in folders for path in sorted(folder.rglob("*.yaml"))]
    found = {str(path.relative_to(folder).with_suffix("")): path for folder, path in paths}
    if name is None:
        for word, path in found.items():
            first = path.read_text("utf-8").splitlines()[0]
            typer.echo(f"{word:<24} {first.removeprefix('# ')}")
    elif name in found:
        typer.echo(found[name].read_text("utf-8"), nl=False)
    else:
        raise RecipeError(f"{name}: no such recipe; there are {', '.join(found)}")


EXAMPLES = Path(__file__).parent / "examples"
RECIPES = {
    "curate": "demo.yaml",
    "text": "text_demo.yaml",
    "ground": "grounding_demo.yaml",
    "ocr": "ocr_demo.yaml",
}
JOURNEY = {"curate": "pairs", "text": "text", "ground": "ground", "ocr": "ocr"}  # part to dataset of journey.yaml
EXTRAS = {  # of pyproject.toml, by the modules that commands import late
    "open_clip": "clip",
    **dict.fromkeys(("safetensors", "tokenizers", "torch", "transformers"), "model"),
    **dict.fromkeys(("deepspeed", "peft", "tensorboard"), "train"),
}
Only = Annotated[list[str] | None, typer.Option(metavar="PART", help=f"{', '.join(RECIPES)}; may be repeated")]
Full = Annotated[
    bool, typer.Option("--full", help="Then train all stages, evaluate after each, and show it on one page")
]
Training = Annotated[
    Path | None, typer.Option(help="Training recipe of --full: journey.yaml, where there is a GPU journey_gpu.yaml")
]
Corpus = Annotated[str, typer.Option(help="shipped; full: fetch all real pairs (280 MB) and curate them")]


@app.command()
def demo(
    output: pipeline.command.Output = Path("out/demo"),
    workers: pipeline.command.Workers = "serial",
    fresh: pipeline.command.Fresh = False,
    only: Only = None,
    full: Full = False,
    corpus: Corpus = "shipped",
    training: Training = None,
) -> None:
    """The shipped data to shards: real pairs curated, text and dialogues, grounding and OCR pages built beside them.

    With --full also training with held-out images, evaluation of the first weights and after every stage, and one page of
    results beside the output (journey/index.html). The same command goes on where it was stopped.
    """
    from pipeline.summary import print_parts

    check_demo(only, full, corpus)
    journey = output.with_name("journey" if corpus == "shipped" else f"journey_{corpus}")
    chosen = {part: EXAMPLES / recipe for part, recipe in RECIPES.items() if not only or part in only}
    folders = {part: output if part == "curate" else output.with_name(f"{output.name}_{part}") for part in chosen}
    if corpus == "full" and "curate" in chosen:
        fetch_corpus()
        chosen["curate"], folders["curate"] = (
            EXAMPLES / "journey_curate.yaml",
            output.with_name(f"{output.name}_corpus"),
        )
    parts: list[tuple[str, dict[str, Any], Path, float]] = []
    notes: list[str] = []
    for part, recipe in chosen.items():
        started = time.perf_counter()
        try:
            with cost_of(journey, part) if full else nullcontext():
                dataset, left_out = demo_part(part, recipe, folders[part], workers, fresh)
        except RecipeError as error:
            if part != "ocr" or full:  # its programs and documents come from the system's packages
                raise
            notes.append(f"ocr: {error}")
            continue
        parts.append((part, dataset, folders[part], time.perf_counter() - started))
        notes += [f"{part}: {note}" for note in left_out]
    print_parts(parts, notes)
    if full:
        travel({JOURNEY[part]: folders[part] for part in chosen}, journey, training, fresh)


def check_demo(only: list[str] | None, full: bool, corpus: str) -> None:
    """Raise RecipeError for flags that do not fit, and for what is not there."""
    unknown = sorted(set(only or ()) - RECIPES.keys())
    if unknown:
        raise RecipeError(f"--only {unknown[0]}: choose from {', '.join(RECIPES)}")
    if corpus not in ("shipped", "full"):
        raise RecipeError(f"--corpus {corpus}: choose shipped or full")
    if full and only:
        raise RecipeError("--full needs every part; leave --only out")
    if not (EXAMPLES / RECIPES["curate"]).is_file():
        raise RecipeError(f"{EXAMPLES}: the demo needs a checkout of the repository; the wheel does not carry its data")
    absent = [name for name in ("torch", "transformers", "deepspeed") if full and find_spec(name) is None]
    if absent:
        raise RecipeError(f"{', '.join(absent)}: not installed; pip install 'qvl[train]'")


def fetch_corpus() -> None:
    """All real pairs into out/full_corpus; what is there is not fetched again. Raises RecipeError."""
    folder = EXAMPLES.parent / "out" / "full_corpus"
    done = subprocess.run([sys.executable, str(EXAMPLES / "full_corpus.py"), "--output", str(folder)], check=False)
    if done.returncode:
        raise RecipeError(
            "--corpus full: a package could not be fetched; run `apt-get update`, then the same command again"
        )


def cost_of(journey: Path, part: str) -> AbstractContextManager[None]:
    """Measures a part for the journey's page."""
    from training.journey.steps import measured

    return measured(journey / "steps.json", part)


def travel(datasets: dict[str, Path], journey: Path, training: Path | None, fresh: bool) -> None:
    """Train, evaluate, and write the page."""
    import torch

    from pipeline.errors import resumable
    from training.journey.run import plan_journey, run_journey

    usual = "journey_gpu.yaml" if torch.cuda.is_available() else "journey.yaml"
    with resumable(journey):
        page = run_journey(plan_journey(training or EXAMPLES / usual, datasets, journey), fresh)
    if page is None:
        typer.echo("stopped at a checkpoint; the same command goes on from there", err=True)
        raise typer.Exit(SIGNALLED)
    typer.echo(f"journey  {page}")


def demo_part(part: str, recipe: Path, out: Path, workers: str, fresh: bool) -> tuple[dict[str, Any], list[str]]:
    """Run one part: its ``dataset.json``, and notes on what was left out."""
    from pipeline.errors import resumable
    from pipeline.progress import RunProgress

    dataset = out / "shards" / "dataset.json"
    if part == "curate":
        pipeline.command.run(recipe, str(out), workers, None, fresh, False)
        return json.loads(dataset.read_text("utf-8")), []
    pool = pipeline.command.open_pool(workers, None)
    with resumable(out), RunProgress() as progress:
        if part == "text":
            from pipeline.text.recipe import load_recipe as load_text
            from pipeline.text.run import run as run_text

            return run_text(load_text(recipe), out, pool, progress, fresh)[0], []
        if part == "ground":
            from grounding_builder.recipe import load_recipe as load_grounding
            from grounding_builder.run import run as run_grounding

            return run_grounding(load_grounding(recipe), out, pool, progress, fresh)[0], []
        from synth_ocr.run import run as run_ocr

        built = run_ocr(recipe, out, pool, progress, fresh)
        return built.dataset, built.notes


def main() -> None:
    """Run the command; an error that the user can mend is one line and exit code 2."""
    try:
        app()
    except QvlError as error:
        sys.stderr.write(f"error: {error}\n")
    except ModuleNotFoundError as error:
        extra = extra_of(error.name, sys.argv[1:])
        if extra is None:
            raise
        sys.stderr.write(
            f"error: {error.name} is not installed; pip install 'qvl[{extra}]' (in a checkout '.[{extra}]')\n"
        )
    else:
        return
    sys.exit(2)


def extra_of(module: str | None, words: list[str]) -> str | None:
    """The extra that brings a module which the command of these words needs; None for a module of the base."""
    extra = EXTRAS.get((module or "").partition(".")[0])
    return words[0] if extra == "model" and words[:1] == ["train"] else extra
