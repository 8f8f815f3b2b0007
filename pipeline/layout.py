"""Where things lie below an output folder. No other module spells these names."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Layout:
    """Paths of one curation's output."""

    out: Path

    @property
    def recipe(self) -> Path:
        return self.out / "recipe.json"

    def unit_manifest(self, unit: str) -> Path:
        return self.out / "manifests" / "scan" / f"{unit}.json"

    def score_manifest(self, unit: str) -> Path:
        return self.out / "manifests" / "score" / f"{unit}.json"

    def scores(self, unit: str) -> Path:
        return self.out / "scores" / f"{unit}.parquet"

    def embeddings(self, unit: str) -> Path:
        return self.out / "embeddings" / f"{unit}.parquet"

    def group_manifest(self, step: str, group: int) -> Path:
        return self.out / "manifests" / "select" / f"{step}-{group:06d}.json"

    def shard_manifest(self, shard: str) -> Path:
        return self.out / "manifests" / "pack" / f"{shard}.json"

    def stage_manifest(self, stage: str) -> Path:
        return self.out / "manifests" / f"{stage}.json"

    def columns(self, unit: str) -> Path:
        return self.out / "columns" / f"{unit}.parquet"

    def made(self, unit: str) -> Path:
        return self.out / "made" / f"{unit}.tar"

    def work(self, step: str, group: int) -> Path:
        return self.out / "select" / f"{step}-{group:06d}.npy"

    def ledger(self, unit: str) -> Path:
        return self.out / "ledger" / f"{unit}.parquet"

    def shard(self, name: str) -> Path:
        return self.out / "shards" / f"{name}.tar"

    def index(self, name: str) -> Path:
        return self.out / "shards" / f"{name}.parquet"

    @property
    def dataset(self) -> Path:
        return self.out / "shards" / "dataset.json"

    @property
    def report(self) -> Path:
        return self.out / "report.html"
