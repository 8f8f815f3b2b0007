"""``OUT/report.html`` and ``OUT/report.json``: the ledger's figures, with pictures and without."""

from pathlib import Path
from typing import Any

import orjson
import yaml

from qvl.pipeline.base.errors import ContractError
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import committed_manifest, read_manifest
from qvl.pipeline.curate.run import Curation
from qvl.pipeline.curate.selection.ledger import read_ledger
from qvl.pipeline.html.document import document
from qvl.pipeline.html.elements import Html, tag
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.report import content, sections
from qvl.pipeline.report.clusters import Cluster, add_members
from qvl.pipeline.report.figures import Figures, collect
from qvl.pipeline.report.gallery import Card, Gallery
from qvl.pipeline.storage.atomic import replace_file
from qvl.pipeline.storage.paths import Place, map_concurrently

HERE = Path(__file__).parent
INPUTS_SHOWN = 50
CHARTED = ("funnel", "mix", "filters", "duplicates")


def write_report(out: Place, progress: RunProgress, recipe: Recipe | None = None) -> Place:
    """Write the report of a finished run; returns the page's path.

    Without ``recipe`` it is taken from ``OUT/recipe.json``, which knows no folders: the page then has no
    pictures. Raises ContractError where the run is not finished.
    """
    layout = Layout(out.resolve())
    dataset, selected = read_manifest(layout.dataset), read_manifest(layout.stage_manifest("select"))
    if dataset is None or selected is None:
        raise ContractError(f"{out}: there is no finished run here; `qvl curate run` makes one")
    units = {} if recipe is None else {unit.id: unit for unit in Curation(recipe, layout.out).units()}
    recipe = recipe or remembered_recipe(layout)
    gallery = Gallery(layout.out, recipe, units)
    scanned = list((layout.out / "manifests" / "scan").glob("*.json"))
    progress.stage("report", len(scanned) + 1)
    figures = collect(layout.out, recipe, gallery.candidates(), progress.advance)
    largest = _largest(layout.out, figures)
    report = assemble(figures, recipe, dataset, largest) | {"reproduce": _reproduce(layout, recipe, dataset, figures)}
    gallery.fetch(_samples(report))
    replace_file(layout.report.with_suffix(".json"), orjson.dumps(report, option=orjson.OPT_INDENT_2))
    replace_file(layout.report, render(report, gallery.cards).encode())
    progress.advance()
    return layout.report


def remembered_recipe(layout: Layout[Place]) -> Recipe:
    """The recipe that a run left in its output, without folders."""
    stored = read_manifest(layout.recipe)
    if stored is None:
        raise ContractError(f"{layout.recipe}: missing; `qvl curate run` writes it")
    stored.pop("decontaminate", None)  # known by what it holds, not by where it lies
    if stored.get("score"):
        stored["score"].pop("clip", None)
    sources = [{"name": name, **source} for name, source in stored["sources"].items()]
    for source in sources:
        source["read"] = {**source["read"], "paths": ["unknown"]}
    return Recipe.model_validate({**stored, "sources": sources})


def assemble(
    figures: Figures, recipe: Recipe, dataset: dict[str, Any], largest: dict[str, list[Cluster]]
) -> dict[str, Any]:
    """The report as data, but for what ``_reproduce`` adds."""
    return {
        "name": recipe.name,
        "hash": dataset["hash"],
        "rows": figures.rows,
        "kept": figures.kept,
        "remaining": content.share(figures.kept, figures.rows),
        "shards": len(dataset["shards"]),
        "bytes": dataset["bytes"],
        "seed": recipe.pack.seed,
        "funnel": content.funnel(figures, recipe),
        "table2": content.against_paper(figures, recipe),
        "mix": content.mix(figures, recipe),
        "filters": content.filters(figures, recipe),
        "duplicates": content.duplicates(figures, recipe, largest),
        "faults": content.faults(figures),
    }


def _largest(out: Place, figures: Figures) -> dict[str, list[Cluster]]:
    """The largest clusters of each rule with some of their members, from a second look at three columns."""
    largest = {word: figures.clusters.largest(word) for word in figures.clusters.parts}
    if largest:
        for _, table in read_ledger(out, ["id", "verdict", "dup_of"]):
            add_members(largest, table)
    return largest


def _reproduce(layout: Layout[Place], recipe: Recipe, dataset: dict[str, Any], figures: Figures) -> dict[str, Any]:
    """What the result depends on: recipe, inputs, fingerprints. No folder of this machine."""
    paths = [layout.unit_manifest(unit) for unit in list(figures.source_of)[:INPUTS_SHOWN]]
    inputs = map_concurrently(layout.out, committed_manifest, paths)
    lineage = dataset["lineage"]
    return {
        "command": f"qvl curate run {recipe.name}.yaml --output out",
        "recipe": yaml.safe_dump(
            portable(recipe), sort_keys=False, allow_unicode=True, default_flow_style=None, width=110
        ),
        "fingerprints": {"dataset": dataset["hash"], "select": lineage["select"], "scan": lineage["scan"]},
        "units": len(figures.source_of),
        "inputs": [{name: unit[name] for name in ("name", "source", "rows", "fingerprint")} for unit in inputs],
    }


def portable(recipe: Recipe) -> dict[str, Any]:
    """The recipe as it was written, without folders."""
    content = recipe.model_dump(mode="json", exclude_unset=True)
    for source in content["sources"]:
        source["read"] = {k: v for k, v in source["read"].items() if k not in ("paths", "image_folder")}
    if "language_model" in content:
        content["language_model"] = Path(content["language_model"]).name
    return content


def _samples(report: dict[str, Any]) -> set[str]:
    """Ids of all rows that the page shows."""
    picked = {pick["id"] for each in report["filters"] for part in each["gallery"] for pick in part["samples"]}
    clusters = [cluster for rule in report["duplicates"] for cluster in rule["largest"]]
    return picked | {sample for each in clusters for sample in (each["keeper"], *each["members"])}


def render(report: dict[str, Any], cards: dict[str, Card]) -> Html:
    """The page."""
    parts = [
        sections.funnel(report), sections.against_paper(report), sections.mix(report), sections.filters(report, cards),
        sections.duplicates(report, cards), sections.faults(report), sections.reproduce(report),
    ]  # fmt: skip
    script = (HERE / "script.js").read_text("utf-8")
    title = f"{report['name']}: curation report"
    return document(title, _contents(report), sections.header(report), parts, _data(report), script)


def _data(report: dict[str, Any]) -> dict[str, Any]:
    """What the charts need."""
    charted = {name: report[name] for name in CHARTED}
    charted["filters"] = [{"word": each["word"], "charts": each["charts"]} for each in report["filters"]]
    charted["duplicates"] = [rule["sizes"] for rule in report["duplicates"]]
    return {**charted, "rows": report["rows"]}


def _contents(report: dict[str, Any]) -> Html:
    """Links to every part."""

    def link(name: str, title: str) -> Html:
        return tag("a", title, attributes={"href": f"#{name}"})

    below = [link(f"filter-{each['word']}", each["word"].replace("_", " ")) for each in report["filters"]]
    return tag(
        "nav", link("top", report["name"]), link("funnel", "Funnel"), link("table2", "Table 2"), link("mix", "Mix"),
        link("filters", "Filters"), tag("div.below", *below), link("duplicates", "Duplicates"),
        link("faults", "Unreadable"), link("reproduce", "Reproduce"), attributes={"aria-label": "contents"},
    )  # fmt: skip
