"""Writes ``OUT/report.html``, with pictures, and ``OUT/report.json``, the same figures without them."""

from pathlib import Path
from typing import Any

import orjson
import yaml

from qvl.pipeline.base.errors import ContractError
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import committed_manifest, read_manifest
from qvl.pipeline.curate.curation import Curation
from qvl.pipeline.curate.measuring.manifests import ScanManifest
from qvl.pipeline.curate.recipe_note import read_recipe_note
from qvl.pipeline.curate.selection.ledger import read_ledger, read_select_summary
from qvl.pipeline.finished.stored_recipe import NO_ENDPOINT
from qvl.pipeline.html.charts import charts_page
from qvl.pipeline.html.document import document
from qvl.pipeline.html.elements import Html
from qvl.pipeline.recipe.file import RecipeContent
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.report import content, sections
from qvl.pipeline.report.clusters import Cluster, add_members
from qvl.pipeline.report.figures import Figures, collect
from qvl.pipeline.report.gallery import Card, Gallery
from qvl.pipeline.report.records import Fingerprints, InputFile, Report, Reproduction
from qvl.pipeline.shards.manifests import DatasetManifest
from qvl.pipeline.storage.atomic import replace_file
from qvl.pipeline.storage.paths import AnyPath, map_concurrently

HERE = Path(__file__).parent
INPUTS_SHOWN = 50


def write_report(out: AnyPath, progress: RunProgress, recipe: Recipe | None = None) -> AnyPath:
    """Write the report of a finished run; returns the page's path.

    Without ``recipe``, the one in ``OUT/recipe.json`` is used. It holds no folders, so the page then has no pictures.
    Raises ContractError if the run is not finished.
    """
    layout = Layout(out.resolve())
    dataset = read_manifest(layout.dataset, DatasetManifest)
    if dataset is None or read_select_summary(layout.out) is None:
        raise ContractError(f"{out}: no finished run here; `qvl curate run` creates one")
    curation = None if recipe is None else Curation.open(recipe, layout.out)
    units = {} if curation is None else {unit.id: unit for unit in curation.units()}
    recipe = remembered_recipe(layout) if curation is None else curation.recipe
    gallery = Gallery(layout.out, recipe, units)
    scanned = list((layout.out / "manifests" / "scan").glob("*.json"))
    progress.stage("report", len(scanned) + 1)
    figures = collect(layout.out, recipe, gallery.candidates(), progress.advance)
    largest = _largest(layout.out, figures)
    report = assemble(figures, recipe, dataset, largest, _reproduction(layout, recipe, dataset, figures))
    gallery.fetch(_shown_samples(report))
    replace_file(layout.report.with_suffix(".json"), orjson.dumps(report, option=orjson.OPT_INDENT_2))
    replace_file(layout.report, render(report, gallery.cards).encode())
    progress.advance()
    return layout.report


def remembered_recipe(layout: Layout[AnyPath]) -> Recipe:
    """The recipe that a run saved in its output, without folders."""
    stored: Any = read_recipe_note(layout.out)
    if stored is None:
        raise ContractError(f"{layout.recipe} is missing; `qvl curate run` writes it")
    stored.pop("plugins", None)
    stored.pop("decontaminate", None)  # saved by the hash of its content, not by its path
    for speaker in stored.get("speakers", []):
        speaker["endpoint"] = NO_ENDPOINT
    if stored.get("score"):
        stored["score"].pop("clip", None)
    sources = [{"name": name, **source} for name, source in stored["sources"].items()]
    for source in sources:
        source["read"] = {**source["read"], "paths": ["unknown"]}
        source.get("caption", {}).pop("best", None)  # which would ask for the models
    return Recipe.model_validate({**stored, "sources": sources})


def assemble(
    figures: Figures,
    recipe: Recipe,
    dataset: DatasetManifest,
    largest: dict[str, list[Cluster]],
    reproduce: Reproduction,
) -> Report:
    """The report's records."""
    return Report(
        name=recipe.name,
        hash=dataset.hash,
        rows=figures.rows,
        kept=figures.kept,
        remaining=content.share(figures.kept, figures.rows),
        shards=len(dataset.shards),
        bytes=dataset.bytes,
        seed=recipe.pack.seed,
        funnel=content.funnel(figures, recipe),
        table2=content.against_paper(figures, recipe),
        mix=content.mix(figures, recipe),
        filters=content.filters(figures, recipe),
        duplicates=content.duplicates(figures, recipe, largest),
        faults=content.faults(figures),
        reproduce=reproduce,
    )


def _largest(out: AnyPath, figures: Figures) -> dict[str, list[Cluster]]:
    """The largest clusters of each rule with some of their members, from a second pass over three columns."""
    largest = {reason: figures.clusters.largest(reason) for reason in figures.clusters.parts}
    if largest:
        for _, table in read_ledger(out, ["id", "verdict", "dup_of"]):
            add_members(largest, table)
    return largest


def _reproduction(layout: Layout[AnyPath], recipe: Recipe, dataset: DatasetManifest, figures: Figures) -> Reproduction:
    """Recipe, inputs and fingerprints, without any folder of this machine."""
    paths = [layout.unit_manifest(unit) for unit in list(figures.source_of)[:INPUTS_SHOWN]]
    inputs = map_concurrently(layout.out, lambda path: committed_manifest(path, ScanManifest), paths)
    lineage = dataset.lineage
    written = yaml.safe_dump(portable(recipe), sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)
    return Reproduction(
        command=f"qvl curate run {recipe.name}.yaml --output out",
        recipe=written,
        fingerprints=Fingerprints(dataset.hash, str(lineage["select"]), str(lineage["scan"])),
        units=len(figures.source_of),
        inputs=[InputFile(unit.name, unit.source, unit.rows, unit.fingerprint) for unit in inputs],
    )


def portable(recipe: Recipe) -> RecipeContent:
    """The recipe as the user wrote it, without folders."""
    content = recipe.model_dump(mode="json", exclude_unset=True)
    for source in content["sources"]:
        source["read"] = {k: v for k, v in source["read"].items() if k not in ("paths", "image_folder")}
    if "plugins" in content:
        content["plugins"] = [{**each, "module": Path(each["module"]).name} for each in content["plugins"]]
    for speaker in content.get("speakers", []):
        speaker.pop("endpoint")
    content.pop("answers", None)
    if "language_model" in content:
        content["language_model"] = Path(content["language_model"]).name
    return content


def _shown_samples(report: Report) -> set[str]:
    """Ids of all rows that the page shows."""
    picked = {pick.id for each in report.filters for part in each.gallery for pick in part.samples}
    clusters = [cluster for rule in report.duplicates for cluster in rule.largest]
    return picked | {sample for each in clusters for sample in (each.keeper, *each.members)}


def render(report: Report, cards: dict[str, Card]) -> Html:
    """The page."""
    parts = [
        sections.funnel(report.funnel), sections.against_paper(report), sections.mix(report.mix),
        sections.filters(report, cards), sections.duplicates(report.duplicates, cards),
        sections.faults(report.faults, report.funnel.sources), sections.reproduce(report),
    ]  # fmt: skip
    script = (HERE / "controls.js").read_text("utf-8")
    title = f"{report.name}: curation report"
    return document(charts_page(title, report.name, sections.top(report), parts, script))
