"""The parts of a stage's mix: each a dataset with the rows of its shards that the recipe selects."""

from dataclasses import dataclass

from qvl.pipeline.shards.mixture import Component
from qvl.pipeline.shards.reader import Dataset, Indexes, Selection
from qvl.training.recipe import StageSpec


@dataclass(frozen=True, slots=True)
class MixPart:
    """A dataset in a stage's mix. ``rows``: the number of selected samples of each of its shards."""

    label: str
    dataset: Dataset
    selection: Selection
    weight: float
    rows: tuple[int, ...]

    def component(self) -> Component:
        names = [shard.name for shard in self.dataset.shards]
        return Component(self.label, tuple(zip(names, self.rows, strict=True)), self.weight)

    def tar_of(self, name: str) -> str:
        return f"{self.dataset.folder}/{name}.tar"


def mix_parts(stage: StageSpec, datasets: dict[str, Dataset]) -> list[MixPart]:
    """The parts of a stage. For a part that selects samples, the indexes of all its shards are read once to count them."""
    parts = []
    for spec in stage.mix:
        dataset, selection = datasets[spec.dataset], spec.selection
        rows = tuple(shard.samples for shard in dataset.shards)
        if selection:
            indexes = Indexes((), keep=1)
            rows = tuple(indexes.table(shard, selection).num_rows for shard in dataset.shards)
        parts.append(MixPart(spec.label, dataset, selection, spec.weight, rows))
    return parts
