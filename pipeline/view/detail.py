"""Everything about one row: each rule with the values it judged, lineage, samples, duplicates."""

from dataclasses import dataclass, replace
from typing import Any

from pydantic import JsonValue

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.base.verdicts import KEEP
from qvl.pipeline.view import predictions, samples
from qvl.pipeline.view.output import Output
from qvl.pipeline.view.pictures import split
from qvl.pipeline.view.tables.conditions import BadQuery, Condition
from qvl.pipeline.view.tables.queries import Query, Record, keys, records, total

TEXT = 20_000
RELATED, MEMBERS = 24, 5
CARD = ("verdict", "source", "language", "width", "height", "caption", "dup_of", "image_bytes", "characters")


@dataclass(frozen=True, slots=True)
class JudgedRule:
    """A filter that judged a row: its settings, the values that it read, and whether the row passed."""

    word: str
    passed: bool
    settings: dict[str, JsonValue]
    values: Record


@dataclass(frozen=True, slots=True)
class RowLineage:
    """Where a row of a ledger comes from."""

    source: str
    file: str
    row: int
    key: str | None
    url: str | None
    unit: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class SampleDetail:
    """A sample's position in its shard, the sizes of its images in pixels, and its JSON."""

    key: str
    images: int
    sizes: list[tuple[int, int]]
    shard: str
    offset: int
    size: int
    content: Record


@dataclass(frozen=True, slots=True)
class DuplicateMembers:
    """A kept row and the rows dropped in favour of it, of which ``more`` are not in ``members``."""

    keeper: str
    rule: str | None
    members: list[Record]
    more: int


@dataclass(frozen=True, slots=True)
class Cluster:
    """A kept row, the number of rows of its cluster, and a few of them."""

    keeper: str
    size: int
    members: list[Record]


@dataclass(frozen=True, slots=True)
class Clusters:
    """The largest clusters of a rule. ``sizes``: pairs of a size and the number of clusters of this size."""

    clusters: list[Cluster]
    sizes: list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class RowDetail:
    """A row of any table."""

    table: str
    key: str
    columns: Record


@dataclass(frozen=True, slots=True)
class LedgerRow(RowDetail):
    """A row of the ledger: the rules that judged it, its origin, its samples and its duplicates."""

    verdict: str | None
    rules: list[JudgedRule]
    lineage: RowLineage
    samples: list[SampleDetail]
    duplicates: DuplicateMembers | None


@dataclass(frozen=True, slots=True)
class SampleRow(RowDetail):
    """A sample, and the id of the ledger row that it comes from."""

    samples: list[SampleDetail]
    row: str | None


@dataclass(frozen=True, slots=True)
class PredictionRow(RowDetail):
    """A prediction: outlines by what they show, the number of images, and other models' answers."""

    places: dict[str, predictions.Shapes]
    pictures: int
    others: list[Record]


def row(output: Output, cursor: Any, table: str, key: str) -> RowDetail:
    """Everything about a row of any table. Raises DataError for an unknown key."""
    query = output.query(cursor, table, [])
    found = records(query, [key], list(query.table.columns), TEXT)
    if not found:
        raise DataError(f"{query.table.title.lower()}: no row has the key {key[:120]}")
    columns = found[0]
    if table == "rows":
        return _ledger_row(output, query, key, columns)
    if table == "samples":
        stored = samples.by_key(cursor, key)
        return SampleRow(table, key, columns, [_sample(output, stored)], _row_of(output, cursor, stored))
    if query.table.predicted:
        shapes, others = predictions.shapes(columns), predictions.other_answers(query, columns)
        return PredictionRow(table, key, columns, shapes, len(columns.get("images") or ()), others)
    return RowDetail(table, key, columns)


def build_cards(output: Output, cursor: Any, listed: list[Record]) -> list[Record]:
    """Cards of a build's input rows, with their origin, and text and outlines of the first sample of kept rows."""
    origins = {}
    for row in listed:
        unit, number = split(row["_key"])
        manifest = output.unit(unit)
        origins[row["_key"]] = manifest.source, manifest.name, number
    kept = [origins[row["_key"]] for row in listed if row.get("verdict") == KEEP]
    shown = samples.previews_of_rows(cursor, kept) if "samples" in output.tables else {}
    labels = {key: f"{name}, row {number:,}" for key, (_, name, number) in origins.items()}
    return [row | {"_from": labels[row["_key"]]} | shown.get(origins[row["_key"]], {}) for row in listed]


def _ledger_row(output: Output, query: Query, key: str, record: Record) -> LedgerRow:
    unit, number = split(key)
    manifest = output.unit(unit)
    stored = []
    if "samples" in output.tables and record.get("verdict") == KEEP:
        stored = samples.of_row(query.cursor, manifest.source, manifest.name, number)
    lineage = RowLineage(
        manifest.source, manifest.name, number, record.get("key"), record.get("url"), unit, manifest.fingerprint
    )
    return LedgerRow(
        "rows",
        key,
        record,
        verdict=record.get("verdict"),
        rules=_rules(output, record),
        lineage=lineage,
        samples=[_sample(output, each) for each in stored],
        duplicates=duplicates(query, key, record),
    )


def _rules(output: Output, record: Record) -> list[JudgedRule]:
    """Every filter that judged the row."""
    if output.stored is None or "fails" not in record:
        return []
    failed = set(record["fails"])
    return [
        JudgedRule(
            reason,
            reason not in failed,
            chosen.model_dump(mode="json", exclude_none=True),
            {name: record.get(name) for name in chosen.judged_columns},
        )
        for _, reason, chosen in output.stored.filters_of(record["source"]).active()
    ]


def _sample(output: Output, stored: samples.StoredSample) -> SampleDetail:
    """A sample's content, and its position in the shard."""
    found = samples.content(stored)
    fields = stored.fields
    turns = [turn for turn in found.get("turns", ()) if isinstance(turn, dict)]
    found["turns"] = [{"role": str(turn.get("role", "")), "text": str(turn.get("text", ""))[:TEXT]} for turn in turns]
    return SampleDetail(
        key=stored.key,
        images=stored.images,
        sizes=list(zip(fields["widths"], fields["heights"], strict=True)),
        shard=output.display_path(stored.tar),
        offset=fields["offset"],
        size=fields["size"],
        content=found,
    )


def _row_of(output: Output, cursor: Any, stored: samples.StoredSample) -> str | None:
    """The id of the ledger row that a sample comes from."""
    if "rows" not in output.tables:
        return None
    fields = stored.fields
    query = output.query(cursor, "rows", [f"source:is:{fields['source']}", f"row:is:{fields['origin_row']}"])
    found = [key for key in keys(query, None, False, 0) if output.unit(split(key)[0]).name == fields["origin_file"]]
    return found[0] if found else None


def duplicates(query: Query, key: str, record: Record) -> DuplicateMembers | None:
    """The kept row, and rows dropped in favour of it; None if the row has no duplicates."""
    if not query.table.has("dup_of"):
        return None
    keeper = record.get("dup_of") or key
    table = query.table
    losing = Query(query.cursor, table, Condition("dup_of = ?", (keeper,)), query.spans)
    members = keys(losing, None, False, 0)
    if not members:
        return None
    number = total(losing).rows
    columns = [table.column(name) for name in CARD if table.has(name)]
    return DuplicateMembers(
        keeper,
        record["verdict"] if record.get("dup_of") else None,
        records(query, [keeper, *members[:RELATED]], columns),
        max(0, number - RELATED),
    )


def clusters(query: Query, rule: str, offset: int) -> Clusters:
    """The largest duplicate clusters of a rule, each with the kept row and a few others, and all sizes."""
    if not query.table.has("dup_of"):
        raise BadQuery(f"{query.table.name} does not hold duplicates")
    condition = query.condition
    of_rule = f"({condition.sql}) AND dup_of IS NOT NULL AND verdict = ?"
    chosen = replace(query, condition=Condition(of_rule, (*condition.values, rule)), files=())
    found = chosen.run(
        "SELECT dup_of, count(*) AS n FROM {table} WHERE {where} GROUP BY dup_of ORDER BY n DESC, dup_of "
        f"LIMIT 12 OFFSET {max(0, min(offset, 1_000_000))}"
    )
    members = _members(query, rule, [keeper for keeper, _ in found])
    columns = [query.table.column(name) for name in CARD if query.table.has(name)]
    wanted = dict.fromkeys(each for keeper, dropped in members.items() for each in (keeper, *dropped))
    cards = {card["_key"]: card for card in records(query, list(wanted), columns)}
    sizes = chosen.run(
        "SELECT n + 1, count(*) FROM (SELECT dup_of, count(*) AS n FROM {table} WHERE {where} GROUP BY dup_of) "
        "GROUP BY n ORDER BY n LIMIT 200"
    )
    listed = [
        Cluster(keeper, n + 1, [cards[each] for each in (keeper, *members[keeper]) if each in cards])
        for keeper, n in found
    ]
    return Clusters(listed, [(size, number) for size, number in sizes])


def _members(query: Query, rule: str, keepers: list[str]) -> dict[str, list[str]]:
    """A few of the rows that a rule dropped in favour of each of these rows."""
    members: dict[str, list[str]] = {keeper: [] for keeper in keepers}
    if not keepers:
        return members
    condition = Condition(f"dup_of IN ({', '.join('?' for _ in keepers)}) AND verdict = ?", (*keepers, rule))
    of_keepers = replace(query, condition=condition, files=())
    for keeper, member in of_keepers.run("SELECT dup_of, id FROM {table} WHERE {where} LIMIT 4000"):
        if len(members[keeper]) < MEMBERS:
            members[keeper].append(member)
    return members
