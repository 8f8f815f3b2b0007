"""A recipe bound to an output folder, and its input files."""

from dataclasses import dataclass

from qvl.pipeline.base.errors import ContractError, RecipeError
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.curate.measuring.added_columns import (
    check_balance,
    check_filtered_columns,
    check_names,
    check_prompts,
    check_reads,
)
from qvl.pipeline.curate.measuring.scan import ScanTask, language_model, scan_task
from qvl.pipeline.plugins.operators import NO_PLUGINS, Plugins, load_plugins
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.recipe.source import reader
from qvl.pipeline.sources.base import Unit
from qvl.pipeline.sources.paths import owned
from qvl.pipeline.storage.paths import AnyPath, map_with_threads
from qvl.pipeline.storage.reader import Storage


@dataclass(frozen=True)
class Curation:
    """A recipe bound to an output folder."""

    recipe: Recipe
    out: AnyPath
    plugins: Plugins = NO_PLUGINS

    @classmethod
    def open(cls, recipe: Recipe, out: AnyPath) -> "Curation":
        """With the plug-ins that the recipe names. Raises RecipeError for one that cannot be used."""
        plugins = load_plugins(recipe.plugins)
        names = tuple(name for plugin in plugins.all for name in plugin.schema.names)
        scored = tuple(name for plugin in plugins.scorers for name in plugin.schema.names)
        try:
            loaded = recipe.with_plugins(names, plugins.filters, scored)
        except ValueError as error:
            raise RecipeError(f"plugins: {' '.join(str(error).split())}") from None
        check_reads(loaded, plugins)
        if plugins.scorers and loaded.has_captions():
            raise RecipeError(
                f"plugins: {plugins.scorers[0].name} is a scorer, and rows with several `captions` cannot be scored yet; "
                "leave out one of them"
            )
        return cls(loaded, out, plugins)

    @property
    def layout(self) -> Layout[AnyPath]:
        return Layout(self.out)

    def units(self) -> list[Unit]:
        """Every input file by source and name, whatever the order of the recipe. Raises ContractError for equal ids."""
        units = [unit for source in self.recipe.sources for unit in owned(reader(source).units(Storage()), source.name)]
        if len({unit.id for unit in units}) < len(units):
            raise ContractError("two input files have the same unit id; rename one of them")
        return sorted(units, key=lambda unit: (unit.source, unit.name))

    def scan_tasks(self) -> list[ScanTask]:
        """A task for each unit, in the same order. Looks at every input file."""
        check_names(self.recipe)
        check_filtered_columns(self.recipe)
        check_balance(self.recipe)
        check_prompts(self.recipe)
        storage, units = Storage(), self.units()
        language_model(self.recipe.language_model)  # loaded before several threads ask for it

        def task(unit: Unit) -> ScanTask:
            return scan_task(self.recipe, self.recipe.source(unit.source), unit, self.out, storage)

        remote = any(not storage.is_local(unit.path) for unit in units)
        return map_with_threads(task, units) if remote else [task(unit) for unit in units]
