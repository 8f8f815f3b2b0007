"""The command ``qvl``: wiring only."""

import json
import sys
import time
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
import training.evaluation.command
import training.mix.command
from pipeline.errors import QvlError, RecipeError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Curate image-text data at web scale and train a vision-language model from it.",
)
app.add_typer(pipeline.command.app, name="curate")
app.add_typer(grounding_builder.command.app, name="ground")
app.add_typer(synth_ocr.command.app, name="ocr")
app.add_typer(pipeline.text.command.app, name="text")
app.add_typer(model.command.app, name="model")
app.add_typer(training.command.app, name="train")
app.add_typer(training.evaluation.command.app, name="eval")
app.add_typer(training.mix.command.app, name="mix")
app.command()(pipeline.view.command.view)


EXAMPLES = Path(__file__).parent / "examples"
RECIPES = {
    "curate": "demo.yaml",
    "text": "text_demo.yaml",
    "ground": "grounding_demo.yaml",
    "ocr": "ocr_demo.yaml",
}
Only = Annotated[list[str] | None, typer.Option(metavar="PART", help=f"{', '.join(RECIPES)}; may be repeated")]


@app.command()
def demo(
    output: pipeline.command.Output = Path("out/demo"),
    workers: pipeline.command.Workers = "serial",
    fresh: pipeline.command.Fresh = False,
    only: Only = None,
) -> None:
    """The shipped data to shards: real pairs curated, text and dialogues, grounding and OCR pages built beside them."""
    from pipeline.summary import print_parts

    unknown = sorted(set(only or ()) - RECIPES.keys())
    if unknown:
        raise RecipeError(f"--only {unknown[0]}: choose from {', '.join(RECIPES)}")
    if not (EXAMPLES / RECIPES["curate"]).is_file():
        raise RecipeError(f"{EXAMPLES}: the demo needs a checkout of the repository; the wheel does not carry its data")
    parts: list[tuple[str, dict[str, Any], Path, float]] = []
    notes: list[str] = []
    for part in RECIPES:
        if only and part not in only:
            continue
        started = time.perf_counter()
        folder = output if part == "curate" else output.with_name(f"{output.name}_{part}")
        try:
            dataset, left_out = demo_part(part, folder, workers, fresh)
        except RecipeError as error:
            if part != "ocr":  # its programs and documents come from the system's packages
                raise
            notes.append(f"ocr: {error}")
            continue
        parts.append((part, dataset, folder, time.perf_counter() - started))
        notes += [f"{part}: {note}" for note in left_out]
    print_parts(parts, notes)


def demo_part(part: str, out: Path, workers: str, fresh: bool) -> tuple[dict[str, Any], list[str]]:
    """Run one part: its ``dataset.json``, and notes on what was left out."""
    from pipeline.errors import resumable
    from pipeline.progress import RunProgress

    recipe, dataset = EXAMPLES / RECIPES[part], out / "shards" / "dataset.json"
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
        sys.exit(2)
