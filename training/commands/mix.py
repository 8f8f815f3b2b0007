"""``qvl mix``: the command line of mixtures. Heavy imports stay inside the commands."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qvl.pipeline.base.terminal import print_json, say

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from qvl.pipeline.builders.foreign import Converted
    from qvl.pipeline.shards.reader import Dataset
    from qvl.training.pages.mix.figures import MixFigures

app = typer.Typer(
    no_args_is_help=True, help="Inspect datasets and mixtures; index third-party tars; take samples down."
)

LIMIT = 1_000_000
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables")]
Report = Annotated[Path | None, typer.Option(metavar="FILE", help="Also write an HTML page")]
PerShard = Annotated[int, typer.Option(min=1, help="Samples of each shard to encode for the token counts")]
Duplicates = Annotated[
    bool | None,
    typer.Option("--duplicates/--no-duplicates", help=f"Search for equal images; by default up to {LIMIT:,} samples"),
]


@app.command()
def stats(
    what: Annotated[
        str, typer.Argument(metavar="DATASET|RECIPE", help="Folder of shards, or a training recipe (YAML)")
    ],
    tokenizer: Annotated[
        Path | None, typer.Option(help="Model folder or tokenizer file; by default that of the recipe")
    ] = None,
    per_shard: PerShard = 16,
    duplicates: Duplicates = None,
    report: Report = None,
    as_json: AsJson = False,
) -> None:
    """Show what datasets hold: samples, tokens, shares compared with the paper, resolution, text length, duplicates."""
    from qvl.training.data.datasets import open_all, used_datasets
    from qvl.training.data.encode import Rule
    from qvl.training.pages.mix.stats import dataset_stats
    from qvl.training.pages.mix.tokens import USUAL_LENGTH, TokenCounting
    from qvl.training.plan.start import start_config, start_tokenizer
    from qvl.training.recipe import load_train_recipe

    own_tokenizer, rule = _tokenizer(tokenizer), Rule(USUAL_LENGTH)
    if what.endswith((".yaml", ".yml")):
        recipe = load_train_recipe(Path(what))
        name, datasets = recipe.name, used_datasets(recipe)
        own_tokenizer = own_tokenizer or start_tokenizer(recipe)
        rule = Rule(USUAL_LENGTH, start_config(recipe).adapter_config.num_queries)
    else:
        name = Path(what.rstrip("/")).name
        datasets = open_all({name: what})
    counting = TokenCounting(own_tokenizer, rule, per_shard)
    _show(dataset_stats(name, datasets, counting), datasets, duplicates, report, as_json)


@app.command()
def plan(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="Training recipe (YAML)", show_default=False)],
    world: Annotated[int, typer.Option("--world-size", min=1, help="Number of ranks for the preflight")] = 1,
    run: Annotated[Path | None, typer.Option(metavar="RUN", help="Training output with measured lengths")] = None,
    per_shard: PerShard = 16,
    duplicates: Duplicates = None,
    report: Report = None,
    as_json: AsJson = False,
) -> None:
    """Show what each stage will see, compared with the paper, and if it fits a world size. Exit 1 if there is a problem."""
    from qvl.training.data.datasets import used_datasets
    from qvl.training.pages.mix.stats import recipe_plan
    from qvl.training.recipe import load_train_recipe

    loaded = load_train_recipe(recipe)
    datasets = used_datasets(loaded)
    stats = recipe_plan(loaded, datasets, world, per_shard, run)
    _show(stats, datasets, duplicates, report, as_json)
    raise typer.Exit(1 if any(stage.preflight and stage.preflight.problems for stage in stats.stages) else 0)


@app.command()
def diff(
    first: Annotated[str, typer.Argument(metavar="A", help="Folder of shards, or the output that holds it")],
    second: Annotated[str, typer.Argument(metavar="B", help="Another one to compare with")],
    as_json: AsJson = False,
) -> None:
    """Compare two datasets by id and by image, and show how shares change. Exit 1 if they differ."""
    from qvl.training.data.datasets import open_all
    from qvl.training.pages.mix.compare import difference
    from qvl.training.pages.mix.tables import print_difference

    opened = open_all({"A": first, "B": second})
    found = difference(opened["A"], opened["B"])
    if as_json:
        print_json(asdict(found))
    else:
        print_difference(found, ("A", "B"))
    raise typer.Exit(0 if found.same_bytes else 1)


@app.command()
def index(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of WebDataset tars")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder for the shards that third-party samples are converted to"),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the dataset and its source; by default that of the folder")
    ] = None,
    language: Annotated[str, typer.Option(help="Language of the texts: en, zh, or auto (by their letters)")] = "auto",
    workers: Annotated[str, typer.Option(help="serial: this process; ray: all cores or a cluster")] = "serial",
    as_json: AsJson = False,
) -> None:
    """Make tars readable for the trainer: index tars in our format, or convert third-party tars, which stay as they are."""
    from qvl.pipeline.builders.foreign import dataset_name
    from qvl.pipeline.commit.records import plain

    found = _index_or_convert(folder, output, name or dataset_name(folder), language, workers)
    dataset = found.dataset
    if as_json:
        print_json({"dataset": plain(dataset), "left_out": found.left_out})
        return
    say(f"{dataset.samples:,} samples in {len(dataset.shards):,} shards; dataset {dataset.hash}")
    for reason, number in found.left_out.items():
        say(f"left out: {reason} {number:,}")


def _index_or_convert(folder: Path, output: Path | None, name: str, language: str, workers: str) -> "Converted":
    """Index tars in our format where they are, or convert third-party tars into ``output``. Raises RecipeError."""
    from qvl.pipeline.base.errors import RecipeError
    from qvl.pipeline.builders.foreign import Converted
    from qvl.pipeline.builders.foreign_index import index_beside, is_own, tars_of

    tars = tars_of(folder)
    if language not in ("auto", "en", "zh"):
        raise RecipeError(f"--language {language}: choose auto, en or zh")
    own = [is_own(tar) for tar in tars]
    if output is not None and any(own):
        raise RecipeError(f"{tars[own.index(True)]}: is already in our format; index such tars without --output")
    if output is not None:
        return _convert(tars, output, name, language, workers)
    if all(own):
        return Converted(index_beside(folder, name), {})
    raise RecipeError(
        f"{folder}: has samples without `turns`; --output FOLDER converts them and leaves these tars as they are"
    )


def _convert(tars: list[Path], output: Path, dataset: str, language: str, workers: str) -> "Converted":
    from qvl.pipeline.base.pool import open_pool
    from qvl.pipeline.builders.foreign import convert
    from qvl.pipeline.storage.system_errors import resumable

    with resumable(output):
        return convert(tars, output, dataset, language, open_pool(workers, None))  # type: ignore[arg-type]


@app.command()
def revoke(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Output of a run, or a folder of shards")],
    takedown: Annotated[Path, typer.Argument(metavar="LIST", help="File with one id, URL or image hash per line")],
    dry: Annotated[bool, typer.Option("--dry-run", help="Only print what would be taken down")] = False,
    date: Annotated[str | None, typer.Option(help="Date for the record; today by default")] = None,
    as_json: AsJson = False,
) -> None:
    """Take samples down. Only the shards that hold them are rewritten. After a kill the same command finishes the work."""
    from datetime import date as calendar

    from qvl.pipeline.commit.records import plain
    from qvl.pipeline.storage.system_errors import resumable
    from qvl.pipeline.takedown.requests import read_list
    from qvl.pipeline.takedown.revoke import revoke as take_down

    with resumable(out):
        found = take_down(out, read_list(takedown), date or calendar.today().isoformat(), dry)
    if as_json:
        print_json(plain(found))
        return
    for record in found.records:
        say(f"{record.id}  {record.shard}  {record.by}")
    outcome = "would be taken down" if dry else "taken down and recorded in revoked.jsonl"
    say(f"{_number(found.samples, 'sample')} of {_number(len(found.shards), 'shard')} {outcome}")
    for line in found.nothing_on:
        say(f"nothing matches {line}")
    if found.cleared:
        say(f"{'would be cleared' if dry else 'cleared'} as well: {', '.join(found.cleared)}")


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _show(
    stats: "MixFigures", datasets: "dict[str, Dataset]", duplicates: bool | None, report: Path | None, as_json: bool
) -> None:
    from qvl.training.pages.mix.compare import duplicates as find_duplicates
    from qvl.training.pages.mix.figures import figures_json
    from qvl.training.pages.mix.page import write_page
    from qvl.training.pages.mix.tables import print_stats

    search = sum(each.samples for each in datasets.values()) <= LIMIT if duplicates is None else duplicates
    if search:
        stats = replace(stats, duplicates=find_duplicates(datasets))
    if report is not None:
        write_page(report, stats)
    if as_json:
        print_json(figures_json(stats))
        return
    print_stats(stats)
    if not search:
        say("equal images were not searched for; --duplicates reads every sample")


def _tokenizer(path: Path | None) -> "PreTrainedTokenizerBase | None":
    from qvl.model.network.errors import ModelError
    from qvl.model.text.tokenizer import build_tokenizer
    from qvl.model.weights.auto import load_processor
    from qvl.pipeline.base.errors import RecipeError

    if path is None:
        return None
    try:
        return load_processor(path).tokenizer if path.is_dir() else build_tokenizer(path)
    except (ModelError, OSError, ValueError) as error:
        raise RecipeError(f"--tokenizer {path}: is neither a model folder nor a tokenizer file ({error})") from None
