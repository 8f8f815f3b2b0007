"""Removes results that a changed recipe or input has made invalid.

The results of the last stage are removed first: a kill in between leaves stages that are done, and nothing that looks done
without being so.
"""

from collections.abc import Iterable

from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.storage.paths import AnyPath, map_concurrently, remove_tree


def discard_shards(layout: Layout[AnyPath]) -> None:
    """Remove the dataset, the report, and the work and the manifests of the stages select and score, but no ledger."""
    layout.dataset.unlink(missing_ok=True)
    layout.report.unlink(missing_ok=True)
    layout.report.with_suffix(".json").unlink(missing_ok=True)
    for folder in ("manifests/pack", "shards"):
        remove_tree(layout.out / folder)
    for stage in ("select", "speak", "score", "scan"):
        layout.stage_manifest(stage).unlink(missing_ok=True)
    for folder in ("manifests/select", "select", "manifests/score"):
        remove_tree(layout.out / folder)


def discard_results(layout: Layout[AnyPath]) -> None:
    """Remove everything but the columns and the stored scores of the units."""
    discard_shards(layout)
    remove_tree(layout.out / "ledger")


def discard_units(layout: Layout[AnyPath], units: Iterable[str]) -> None:
    """Remove what was measured of units, computed by plug-ins and said by speakers; after ``discard_results``."""

    plugins, speakers = (_folders(layout.out / "manifests" / stage) for stage in ("computed", "spoken"))

    def discard_unit(unit: str) -> None:
        of_unit = (layout.unit_manifest, layout.columns, layout.texts, layout.scores, layout.text_scores)
        for path_of in (*of_unit, layout.embeddings):
            path_of(unit).unlink(missing_ok=True)
        for plugin in plugins:
            layout.computed_manifest(plugin, unit).unlink(missing_ok=True)
            layout.computed(plugin, unit).unlink(missing_ok=True)
        for speaker in speakers:
            layout.spoken_manifest(speaker, unit).unlink(missing_ok=True)
            layout.spoken(speaker, unit).unlink(missing_ok=True)

    map_concurrently(layout.out, discard_unit, list(units))


def _folders(folder: AnyPath) -> list[str]:
    return [path.name for path in folder.glob("*")] if folder.is_dir() else []
