"""``qvl demo``: builds every kind of dataset from the data in this repository; with --full it also trains on them."""

import subprocess
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qvl.pipeline.base.errors import SIGNALLED, RecipeError
from qvl.pipeline.base.pool import open_pool
from qvl.pipeline.base.terminal import say, warn
from qvl.pipeline.commands.curate import Fresh, Output, Workers
from qvl.pipeline.commands.curate import run as run_curation

if TYPE_CHECKING:
    from qvl.pipeline.shards.manifests import DatasetManifest

EXAMPLES = Path(__file__).parents[1] / "examples"
RECIPES = {
    "curate": "demo.yaml",
    "text": "text_demo.yaml",
    "ground": "grounding_demo.yaml",
    "ocr": "ocr_demo.yaml",
}
JOURNEY = {"curate": "pairs", "text": "text", "ground": "ground", "ocr": "ocr"}  # part to dataset of journey.yaml
Only = Annotated[list[str] | None, typer.Option(metavar="PART", help=f"{', '.join(RECIPES)}; may be repeated")]
Full = Annotated[
    bool, typer.Option("--full", help="Also train all stages, evaluate after each, and write one page about it")
]
Training = Annotated[
    Path | None,
    typer.Option(help="Training recipe for --full; default: journey.yaml, or journey_gpu.yaml if there is a GPU"),
]
Corpus = Annotated[
    str,
    typer.Option(help="shipped: the pairs in this repository; full: download all real pairs (280 MB) and curate them"),
]


def demo(
    output: Output = Path("out/demo"),
    workers: Workers = "serial",
    fresh: Fresh = False,
    only: Only = None,
    full: Full = False,
    corpus: Corpus = "shipped",
    training: Training = None,
) -> None:
    """Build shards from the data in this repository: curated pairs, text and dialogues, grounding data, OCR pages.

    With --full it then trains with held-out images, evaluates the initial weights and the model after every stage, and
    writes one page of results next to the output (journey/index.html). The same command resumes where it was stopped.
    """
    from qvl.pipeline.commands.summary import print_parts

    check_demo(only, full, corpus)
    journey = output.with_name("journey" if corpus == "shipped" else f"journey_{corpus}")
    chosen = {part: EXAMPLES / recipe for part, recipe in RECIPES.items() if not only or part in only}
    folders = {part: output if part == "curate" else output.with_name(f"{output.name}_{part}") for part in chosen}
    if corpus == "full" and "curate" in chosen:
        chosen["curate"] = fetch_corpus()
        folders["curate"] = output.with_name(f"{output.name}_corpus")
    print_parts(*build_parts(chosen, folders, workers, fresh, journey if full else None))
    if full:
        train_and_evaluate({JOURNEY[part]: folders[part] for part in chosen}, journey, training, fresh)


def build_parts(
    chosen: dict[str, Path], folders: dict[str, Path], workers: str, fresh: bool, journey: Path | None
) -> "tuple[list[tuple[str, DatasetManifest, Path, float]], list[str]]":
    """Build the parts from their recipes into their folders; with ``journey`` what each costs is noted there.

    Returns name, dataset, folder and seconds of each part, and notes on what was left out.
    """
    parts: list[tuple[str, DatasetManifest, Path, float]] = []
    notes: list[str] = []
    for part, recipe in chosen.items():
        started = time.perf_counter()
        try:
            with cost_of(journey, part) if journey is not None else nullcontext():
                dataset, left_out = demo_part(part, recipe, folders[part], workers, fresh)
        except RecipeError as error:
            if part != "ocr" or journey is not None:  # OCR needs programs and documents from system packages
                raise
            notes.append(f"ocr: {error}")
            continue
        parts.append((part, dataset, folders[part], time.perf_counter() - started))
        notes += [f"{part}: {note}" for note in left_out]
    return parts, notes


def check_demo(only: list[str] | None, full: bool, corpus: str) -> None:
    """Raise RecipeError for options that contradict each other, and for missing data or packages."""
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


def fetch_corpus() -> Path:
    """Download all real pairs into out/full_corpus, except those that are there already, and return their recipe.

    Raises RecipeError.
    """
    folder = EXAMPLES.parent / "out" / "full_corpus"
    done = subprocess.run([sys.executable, str(EXAMPLES / "full_corpus.py"), "--output", str(folder)], check=False)
    if done.returncode:
        raise RecipeError(
            "--corpus full: a package could not be fetched; run `apt-get update`, then the same command again"
        )
    return EXAMPLES / "journey_curate.yaml"


def cost_of(journey: Path, part: str) -> AbstractContextManager[None]:
    """A context that measures what building a part costs, for the page of results."""
    from qvl.training.pages.journey.steps import measured

    return measured(journey / "steps.json", part)


def train_and_evaluate(datasets: dict[str, Path], journey: Path, training: Path | None, fresh: bool) -> None:
    """Train on the datasets, evaluate, and write the page of results."""
    import torch

    from qvl.pipeline.storage.system_errors import resumable
    from qvl.training.pages.journey.run import plan_journey, run_journey

    usual = "journey_gpu.yaml" if torch.cuda.is_available() else "journey.yaml"
    with resumable(journey):
        page = run_journey(plan_journey(training or EXAMPLES / usual, datasets, journey), fresh)
    if page is None:
        warn("stopped at a checkpoint; run the same command again to continue")
        raise typer.Exit(SIGNALLED)
    say(f"journey  {page}")


def demo_part(part: str, recipe: Path, out: Path, workers: str, fresh: bool) -> "tuple[DatasetManifest, list[str]]":
    """Build one part. Returns its ``dataset.json`` and notes on what was left out."""
    from qvl.pipeline.base.progress import RunProgress
    from qvl.pipeline.commit.manifests import committed_manifest
    from qvl.pipeline.shards.manifests import DatasetManifest
    from qvl.pipeline.storage.system_errors import resumable

    if part == "curate":
        run_curation(recipe=recipe, output=str(out), workers=workers, address=None, fresh=fresh, as_json=False)
        return committed_manifest(out / "shards" / "dataset.json", DatasetManifest), []
    pool = open_pool(workers, None)
    with resumable(out), RunProgress() as progress:
        if part == "text":
            from qvl.pipeline.builders.text.recipe import load_recipe as load_text
            from qvl.pipeline.builders.text.run import run as run_text

            return run_text(load_text(recipe), out, pool, progress, fresh)[0], []
        if part == "ground":
            from qvl.grounding_builder.build.recipe import load_recipe as load_grounding
            from qvl.grounding_builder.build.run import run as run_grounding

            return run_grounding(load_grounding(recipe), out, pool, progress, fresh)[0], []
        from qvl.synth_ocr.build.run import run as run_ocr

        built = run_ocr(recipe, out, pool, progress, fresh)
        return built.dataset, built.notes
