"""A dataset on disk: shards, their manifests, and ``dataset.json`` on top."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from qvl.pipeline.base.errors import ContractError
from qvl.pipeline.commit.attempts import attempt, publish
from qvl.pipeline.commit.fingerprint import file_hash, fingerprint, merkle_root
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import create_manifest, read_committed, read_manifest, restate_manifest
from qvl.pipeline.shards.order import ShardPlan
from qvl.pipeline.shards.revoked import read_revoked
from qvl.pipeline.shards.writer import Sample, ShardWriter
from qvl.pipeline.storage.paths import AnyPath, map_concurrently, size_of

COUNTED = ("sources", "languages", "tasks")
SHARD_FIELDS = ("shard", "samples", "bytes", "image_bytes", "hash", "index_hash")


def commit_shard(out: AnyPath, name: str, samples: Iterable[Sample], mark: str) -> dict[str, Any]:
    """Write samples to a shard and its index, and commit both; taken-down ones stay out. Returns the shard's manifest."""
    layout = Layout(out)
    revoked, left_out = read_revoked(layout.revoked), 0
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in COUNTED}
    with attempt(out) as folder:
        with ShardWriter(folder / f"{name}.tar") as writer:
            for sample in samples:
                if sample.content["id"] in revoked:
                    left_out += 1
                    continue
                writer.write(sample)
                for kind in COUNTED:
                    counts[kind][sample.content[kind.removesuffix("s")]] += 1
        index = writer.path.with_suffix(".parquet")
        index_hash, size = file_hash(index), writer.path.stat().st_size
        publish(writer.path, layout.shard(name), writer.hash)
        publish(index, layout.index(name), index_hash)
    content = {
        "shard": name,
        "fingerprint": mark,
        "samples": len(writer.rows),
        "bytes": size,
        "image_bytes": writer.image_bytes,
        "hash": writer.hash,
        "index_hash": index_hash,
        **{kind: dict(sorted(counts[kind].items())) for kind in COUNTED},
        **({"revoked": left_out} if left_out else {}),
    }
    return create_manifest(layout.shard_manifest(name), content)


def committed_shard(out: AnyPath, plan: ShardPlan, mark: str) -> dict[str, Any] | None:
    """The manifest of a shard that is made already from these very rows, or None."""
    layout = Layout(out)
    files = [layout.shard(plan.name), layout.index(plan.name)]
    committed = read_committed(layout.shard_manifest(plan.name), mark, files)
    if committed is not None and size_of(files[0]) != committed["bytes"]:
        layout.shard_manifest(plan.name).unlink()
        return None
    return committed


def remove_strays(out: AnyPath, plans: list[ShardPlan]) -> None:
    """Remove shards that belong to no plan: an interrupted change left them. Call it while holding the output's lock."""
    layout, names = Layout(out), {plan.name for plan in plans}
    for folder in (layout.dataset.parent, layout.shard_manifest("x").parent):
        for path in folder.glob("*-[0-9]*.*"):
            if path.stem not in names:
                path.unlink()


def finish(name: str, out: AnyPath, plans: list[ShardPlan], expected: int, lineage: dict[str, Any]) -> dict[str, Any]:
    """Write ``dataset.json``: counts, sizes, the Merkle root of the shards, and where it all came from.

    ``expected`` counts samples that were taken down (``qvl.pipeline.takedown.revoke``) since they were packed.

    Raises ContractError, and writes nothing, where the shards do not hold the ``expected`` number of samples.
    """
    remove_strays(out, plans)
    layout, shards, revoked = Layout(out), [], 0
    totals: dict[str, Counter[str]] = {kind: Counter() for kind in COUNTED}
    manifests = map_concurrently(out, lambda plan: read_manifest(layout.shard_manifest(plan.name)), plans)
    for plan, manifest in zip(plans, manifests, strict=True):
        gone = 0 if manifest is None else manifest.get("revoked", 0)
        if manifest is None or manifest["samples"] + gone != plan.last - plan.first:
            raise ContractError(
                f"{plan.name}: {plan.last - plan.first} samples were planned, its manifest says otherwise"
            )
        revoked += gone
        shards.append({field: manifest[field] for field in SHARD_FIELDS})
        for kind, total in totals.items():
            total.update(manifest[kind])
    if sum(shard["samples"] for shard in shards) + revoked != expected:
        raise ContractError(f"{name}: {expected} samples were to be packed, the shards hold other numbers: {shards}")
    content = {
        "name": name,
        "fingerprint": fingerprint(lineage),
        "samples": expected - revoked,
        "bytes": sum(shard["bytes"] for shard in shards),
        **{kind: dict(sorted(total.items())) for kind, total in totals.items()},
        "hash": merkle_root(shard["hash"] for shard in shards),
        "shards": shards,
        "lineage": lineage,
        **({"revoked": revoked} if revoked else {}),
    }
    return restate_manifest(layout.dataset, content)
