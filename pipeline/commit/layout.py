"""The paths of the files of an output."""

from dataclasses import dataclass
from pathlib import Path
from typing import Generic, cast

from typing_extensions import TypeVar

from qvl.pipeline.storage.paths import AnyPath

P_co = TypeVar("P_co", bound=AnyPath, default=Path, covariant=True)


@dataclass(frozen=True)
class Layout(Generic[P_co]):
    """The paths of one output: in a local folder (``Layout``), or in a folder or on a store (``Layout[AnyPath]``)."""

    out: P_co

    def _at(self, *names: str) -> P_co:
        path: AnyPath = self.out
        for name in names:
            path = path / name
        return cast(P_co, path)

    @property
    def lock(self) -> P_co:
        """The lock of a running command: a file on a disk, a folder of owner files on a store."""
        return self._at(".lock")

    @property
    def attempts(self) -> P_co:
        """Private folders of attempts that are running."""
        return self._at(".attempts")

    @property
    def recipe(self) -> P_co:
        return self._at("recipe.json")

    def unit_manifest(self, unit: str) -> P_co:
        return self._at("manifests", "scan", f"{unit}.json")

    def score_manifest(self, unit: str) -> P_co:
        return self._at("manifests", "score", f"{unit}.json")

    def computed_manifest(self, plugin: str, unit: str) -> P_co:
        return self._at("manifests", "computed", plugin, f"{unit}.json")

    def computed(self, plugin: str, unit: str) -> P_co:
        return self._at("computed", plugin, f"{unit}.parquet")

    def spoken_manifest(self, speaker: str, unit: str) -> P_co:
        return self._at("manifests", "spoken", speaker, f"{unit}.json")

    def spoken(self, speaker: str, unit: str) -> P_co:
        return self._at("spoken", speaker, f"{unit}.parquet")

    @property
    def answers(self) -> P_co:
        """The store of answers of a run whose recipe names no other."""
        return self._at("answers")

    def scorer_folder(self, plugin: str) -> P_co:
        """The folder for what a scorer stores on its own, such as answers that were paid for."""
        return self._at("scorers", plugin)

    def scores(self, unit: str) -> P_co:
        return self._at("scores", f"{unit}.parquet")

    def embeddings(self, unit: str) -> P_co:
        return self._at("embeddings", f"{unit}.parquet")

    def group_manifest(self, step: str, group: int) -> P_co:
        return self._at("manifests", "select", f"{step}-{group:06d}.json")

    def shard_manifest(self, shard: str) -> P_co:
        return self._at("manifests", "pack", f"{shard}.json")

    def stage_manifest(self, stage: str) -> P_co:
        return self._at("manifests", f"{stage}.json")

    def columns(self, unit: str) -> P_co:
        return self._at("columns", f"{unit}.parquet")

    def texts(self, unit: str) -> P_co:
        """The texts of the rows of a unit whose source has several captions."""
        return self._at("texts", f"{unit}.parquet")

    def text_scores(self, unit: str) -> P_co:
        return self._at("text_scores", f"{unit}.parquet")

    def made(self, unit: str) -> P_co:
        return self._at("made", f"{unit}.tar")

    def work(self, step: str, group: int) -> P_co:
        return self._at("select", f"{step}-{group:06d}.npy")

    def ledger(self, unit: str) -> P_co:
        return self._at("ledger", f"{unit}.parquet")

    def shard(self, name: str) -> P_co:
        return self._at("shards", f"{name}.tar")

    def index(self, name: str) -> P_co:
        return self._at("shards", f"{name}.parquet")

    @property
    def dataset(self) -> P_co:
        return self._at("shards", "dataset.json")

    @property
    def report(self) -> P_co:
        return self._at("report.html")

    @property
    def revoked(self) -> P_co:
        return self._at("revoked.jsonl")

    @property
    def takedown(self) -> P_co:
        """The journal of a takedown that is running."""
        return self._at(".revoke", "journal.json")
