"""All about one row: every rule with what it saw, texts before and after, lineage, samples, duplicates."""

from typing import Any

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.base.verdicts import KEEP
from qvl.pipeline.view import predictions, samples
from qvl.pipeline.view.output import Output
from qvl.pipeline.view.pictures import split
from qvl.pipeline.view.tables.conditions import Where
from qvl.pipeline.view.tables.queries import Query, keys, records, total

TEXT = 20_000
RELATED = 24
CARD = ("verdict", "source", "language", "width", "height", "caption", "dup_of", "image_bytes", "characters")


def row(output: Output, cursor: Any, table: str, key: str) -> dict[str, Any]:
    """Everything about a row of any table. Raises DataError where there is none."""
    query = output.query(cursor, table, [])
    found = records(query, [key], list(query.table.columns), TEXT)
    if not found:
        raise DataError(f"{query.table.title.lower()}: there is no {key[:120]}")
    result: dict[str, Any] = {"table": table, "key": key, "columns": found[0]}
    if table == "rows":
        return result | _ledger_row(output, query, key, found[0])
    if table == "samples":
        place = samples.by_key(cursor, key)
        return result | {"samples": [_sample(output, place)], "row": _row_of(output, cursor, place)}
    return result | predictions.detail(query, found[0]) if query.table.predicted else result


def build_cards(output: Output, cursor: Any, listed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Cards of a build's input rows, with where each comes from, and words and outlines of the first sample of kept ones."""
    origins = {}
    for row in listed:
        unit, number = split(row["_key"])
        manifest = output.unit(unit)
        origins[row["_key"]] = manifest["source"], manifest["name"], number
    kept = [origins[row["_key"]] for row in listed if row.get("verdict") == KEEP]
    shown = samples.previews_of_rows(cursor, kept) if "samples" in output.tables else {}
    said = {key: f"{name}, row {number:,}" for key, (_, name, number) in origins.items()}
    return [row | {"_from": said[row["_key"]]} | shown.get(origins[row["_key"]], {}) for row in listed]


def _ledger_row(output: Output, query: Query, key: str, record: dict[str, Any]) -> dict[str, Any]:
    unit, row_number = split(key)
    manifest = output.unit(unit)
    places = []
    if "samples" in output.tables and record.get("verdict") == KEEP:
        places = samples.of_row(query.cursor, manifest["source"], manifest["name"], row_number)
    return {
        "verdict": record.get("verdict"),
        "rules": _rules(output, record),
        "lineage": {
            "source": manifest["source"],
            "file": manifest["name"],
            "row": row_number,
            "key": record.get("key"),
            "url": record.get("url"),
            "unit": unit,
            "fingerprint": manifest["fingerprint"],
        },
        "samples": [_sample(output, place) for place in places],
        "duplicates": duplicates(query, key, record),
    }


def _rules(output: Output, record: dict[str, Any]) -> list[dict[str, Any]]:
    """Every filter that judged the row: its settings, the values that it read, whether the row passed."""
    if output.stored is None or "fails" not in record:
        return []
    failed = set(record["fails"])
    return [
        {
            "word": word,
            "passed": word not in failed,
            "settings": chosen.model_dump(mode="json", exclude_none=True),
            "values": {name: record.get(name) for name in chosen.reads},
        }
        for _, word, chosen in output.stored.filters_of(record["source"]).active()
    ]


def _sample(output: Output, place: samples.Place) -> dict[str, Any]:
    """A sample as the shard holds it, and where it lies there."""
    found = samples.content(place)
    fields = place.fields
    turns = [turn for turn in found.get("turns", ()) if isinstance(turn, dict)]
    found["turns"] = [{"role": str(turn.get("role", "")), "text": str(turn.get("text", ""))[:TEXT]} for turn in turns]
    return {
        "key": place.key,
        "images": place.images,
        "sizes": list(zip(fields["widths"], fields["heights"], strict=True)),
        "shard": output.said(place.tar),
        "offset": fields["offset"],
        "size": fields["size"],
        "content": found,
    }


def _row_of(output: Output, cursor: Any, place: samples.Place) -> str | None:
    """The id of the ledger row that a sample comes from."""
    if "rows" not in output.tables:
        return None
    fields = place.fields
    query = output.query(cursor, "rows", [f"source:is:{fields['source']}", f"row:is:{fields['origin_row']}"])
    found = [key for key in keys(query, None, False, 0) if output.unit(split(key)[0])["name"] == fields["origin_file"]]
    return found[0] if found else None


def duplicates(query: Query, key: str, record: dict[str, Any]) -> dict[str, Any] | None:
    """The row that was kept, and rows that lost to it; None where the row is no duplicate of anything."""
    if not query.table.has("dup_of"):
        return None
    keeper = record.get("dup_of") or key
    table = query.table
    losing = Query(query.cursor, table, Where("dup_of = ?", (keeper,)), query.spans)
    members = keys(losing, None, False, 0)
    if not members:
        return None
    number = total(losing)["rows"]
    columns = [table.column(name) for name in CARD if table.has(name)]
    return {
        "keeper": keeper,
        "rule": record["verdict"] if record.get("dup_of") else None,
        "members": records(query, [keeper, *members[:RELATED]], columns),
        "more": max(0, number - RELATED),
    }


def clusters(query: Query, rule: str, offset: int) -> dict[str, Any]:
    """The largest duplicate clusters of a rule: keeper, number of losers, and a few of its rows."""
    table = query.table
    chosen = Query(
        query.cursor,
        table,
        Where(f"({query.where.sql}) AND dup_of IS NOT NULL AND verdict = ?", (*query.where.values, rule)),
        query.spans,
    )
    found = chosen.run(
        "SELECT dup_of, count(*) AS n FROM {table} WHERE {where} GROUP BY dup_of ORDER BY n DESC, dup_of "
        f"LIMIT 12 OFFSET {max(0, min(offset, 1_000_000))}"
    )
    members: dict[str, list[str]] = {keeper: [] for keeper, _ in found}
    if found:
        places = ", ".join("?" for _ in found)
        every = Where(f"dup_of IN ({places}) AND verdict = ?", (*members, rule))
        pairs = Query(query.cursor, table, every).run("SELECT dup_of, id FROM {table} WHERE {where} LIMIT 4000")
        for keeper, member in pairs:
            if len(members[keeper]) < 5:
                members[keeper].append(member)
    columns = [table.column(name) for name in CARD if table.has(name)]
    wanted = [each for keeper, losers in members.items() for each in (keeper, *losers)]
    cards = {card["_key"]: card for card in records(query, list(dict.fromkeys(wanted)), columns)}
    sizes = chosen.run(
        "SELECT n + 1, count(*) FROM (SELECT dup_of, count(*) AS n FROM {table} WHERE {where} GROUP BY dup_of) "
        "GROUP BY n ORDER BY n LIMIT 200"
    )
    return {
        "clusters": [
            {"keeper": keeper, "size": n + 1, "members": [cards[k] for k in (keeper, *members[keeper]) if k in cards]}
            for keeper, n in found
        ],
        "sizes": sizes,
    }
