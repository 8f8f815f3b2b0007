"""A dataset on disk: shards, their manifests, and ``dataset.json`` on top."""

from collections import Counter
from collections.abc import Iterable

from pydantic import JsonValue

from qvl.pipeline.base.errors import ContractError, DataError
from qvl.pipeline.commit.attempts import attempt, publish
from qvl.pipeline.commit.fingerprint import file_hash, fingerprint, merkle_root
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import create_manifest, read_committed, read_manifest, restate_manifest
from qvl.pipeline.shards.manifests import COUNTED, DatasetManifest, ShardManifest
from qvl.pipeline.shards.order import ShardPlan
from qvl.pipeline.shards.revoked import read_revoked
from qvl.pipeline.shards.sample import BlankedSample, Sample
from qvl.pipeline.shards.writer import ShardWriter
from qvl.pipeline.storage.paths import AnyPath, map_concurrently, size_of


def commit_shard(out: AnyPath, name: str, samples: Iterable[Sample | BlankedSample], fingerprint: str) -> ShardManifest:
    """Write samples to a shard and its index and commit both. Samples that were taken down are left out."""
    layout = Layout(out)
    revoked, left_out = read_revoked(layout.revoked), 0
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in COUNTED}
    with attempt(out) as folder:
        with ShardWriter(folder / f"{name}.tar") as writer:
            for sample in samples:
                if sample.id in revoked:
                    left_out += 1
                    continue
                if isinstance(sample, BlankedSample):
                    raise DataError(
                        f"{layout.revoked}: {sample.id} is blanked in its unit but not listed as taken down"
                    )
                writer.write(sample)
                counts["sources"][sample.record.source] += 1
                counts["languages"][sample.record.language] += 1
                counts["tasks"][sample.record.task] += 1
        index = writer.path.with_suffix(".parquet")
        index_hash, size = file_hash(index), writer.path.stat().st_size
        publish(writer.path, layout.shard(name), writer.hash)
        publish(index, layout.index(name), index_hash)
    manifest = ShardManifest(
        shard=name,
        fingerprint=fingerprint,
        samples=len(writer.rows),
        bytes=size,
        image_bytes=writer.image_bytes,
        hash=writer.hash,
        index_hash=index_hash,
        revoked=left_out,
        **{kind: dict(sorted(counts[kind].items())) for kind in COUNTED},
    )
    return create_manifest(layout.shard_manifest(name), manifest)


def committed_shard(out: AnyPath, plan: ShardPlan, fingerprint: str) -> ShardManifest | None:
    """The manifest of a shard that is already packed from exactly these rows, or None."""
    layout = Layout(out)
    files = [layout.shard(plan.name), layout.index(plan.name)]
    committed = read_committed(layout.shard_manifest(plan.name), fingerprint, files, ShardManifest)
    if committed is not None and size_of(files[0]) != committed.bytes:
        layout.shard_manifest(plan.name).unlink()
        return None
    return committed


def remove_strays(out: AnyPath, plans: list[ShardPlan]) -> None:
    """Remove the shards that no plan names, left by an interrupted change. Call it while holding the output's lock."""
    layout, names = Layout(out), {plan.name for plan in plans}
    for folder in (layout.dataset.parent, layout.shard_manifest("x").parent):
        for path in folder.glob("*-[0-9]*.*"):
            if path.stem not in names:
                path.unlink()


def finish(
    name: str, out: AnyPath, plans: list[ShardPlan], expected: int, lineage: dict[str, JsonValue]
) -> DatasetManifest:
    """Write ``dataset.json``: counts, sizes, the Merkle root of the shards, and the lineage.

    ``expected`` includes the samples that were taken down since they were packed (``qvl.pipeline.takedown.revoke``).

    Raises ContractError, and writes nothing, if the shards do not hold the ``expected`` number of samples.
    """
    remove_strays(out, plans)
    layout = Layout(out)
    read = map_concurrently(out, lambda plan: read_manifest(layout.shard_manifest(plan.name), ShardManifest), plans)
    shards = [_complete(plan, manifest) for plan, manifest in zip(plans, read, strict=True)]
    totals: dict[str, Counter[str]] = {kind: Counter() for kind in COUNTED}
    for shard in shards:
        for kind, counts in shard.counts.items():
            totals[kind].update(counts)
    revoked, samples = sum(shard.revoked for shard in shards), sum(shard.samples for shard in shards)
    if samples + revoked != expected:
        raise ContractError(
            f"{name}: {expected} samples were to be packed, but the shards hold {samples} and {revoked} were taken down"
        )
    manifest = DatasetManifest(
        name=name,
        fingerprint=fingerprint(lineage),
        samples=samples,
        bytes=sum(shard.bytes for shard in shards),
        hash=merkle_root(shard.hash for shard in shards),
        shards=tuple(shard.entry for shard in shards),
        lineage=lineage,
        revoked=revoked,
        **{kind: dict(sorted(total.items())) for kind, total in totals.items()},
    )
    return restate_manifest(layout.dataset, manifest)


def _complete(plan: ShardPlan, manifest: ShardManifest | None) -> ShardManifest:
    """The manifest of a planned shard. Raises ContractError if it has none or another number of samples."""
    planned = plan.last - plan.first
    if manifest is None:
        raise ContractError(f"{plan.name}: {planned} samples were planned, but the shard has no manifest")
    if manifest.samples + manifest.revoked != planned:
        found = manifest.samples + manifest.revoked
        raise ContractError(f"{plan.name}: {planned} samples were planned, its manifest says {found}")
    return manifest
