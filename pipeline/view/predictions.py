"""Answers of a model as evaluation leaves them: the picture asked about, places wanted and answered, other models."""

from pathlib import Path
from typing import Any

import orjson

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.images.thumbnail import NoThumbnail
from qvl.pipeline.markup import parsing
from qvl.pipeline.markup.dialects import QWEN_VL, TAGS
from qvl.pipeline.shards.reader import read_index
from qvl.pipeline.storage.reader import Storage
from qvl.pipeline.view.output import Output
from qvl.pipeline.view.samples import outline, plain_words
from qvl.pipeline.view.tables.database import rows
from qvl.pipeline.view.tables.queries import Query
from qvl.pipeline.view.tables.tables import quoted

INDEXED = ["key", "image_offsets", "image_sizes", "json_offset", "json_size"]
LOOKED_AT, SHOWN, OUTLINES, OTHERS = 4_000, 160, 60, 12
BOX = TAGS[QWEN_VL].box

Shapes = list[list[float]]


def previews(query: Query, keys: list[str]) -> dict[str, dict[str, Any]]:
    """For cards, by key: question, wanted and predicted words, and the places of both."""
    if not keys:
        return {}
    names, key = ("prompt", "answers", "prediction", "metric", "score"), query.table.column(query.table.key).sql
    shown = ", ".join(quoted(name) if query.table.has(name) else "NULL" for name in names)
    statement = f"SELECT {key}, {shown} FROM {quoted(query.table.name)} WHERE {key} IN ({', '.join('?' for _ in keys)})"
    return {str(found[0]): _preview(*found[1:]) for found in rows(query.cursor, statement, keys)}


def _preview(
    prompt: str | None, answers: list[str] | None, said: str | None, metric: Any, score: Any
) -> dict[str, Any]:
    wanted = (answers or [""])[0]
    shapes = places(prompt or "", wanted, said or "")
    return {
        "_question": plain_words((prompt or "")[:LOOKED_AT])[-SHOWN:],
        "_wanted": plain_words(wanted[:LOOKED_AT])[:SHOWN],
        "_said": (plain_words((said or "")[:LOOKED_AT]) or ("" if shapes["answered"] else said or ""))[:SHOWN],
        "_score": f"{metric or 'score'} {score:.3g}" if isinstance(score, float) else "",
        **{f"_{name}": found[:OUTLINES] for name, found in shapes.items()},
    }


def places(prompt: str, wanted: str, said: str) -> dict[str, Shapes]:
    """Outlines that the question points at, of the truth, and of the answer (whose box the question may have opened)."""
    question = prompt[prompt.rfind("</img>") + 1 :]
    opened = prompt.endswith(BOX[0])
    return {
        "asked": _outlines(question),
        "truth": _outlines(wanted),
        "answered": _outlines(f"{BOX[0]}{said}" if opened else said),
    }


def _outlines(text: str) -> Shapes:
    phrases = parsing.parse(text)
    shapes = [outline({"box": box}) for phrase in phrases for box in phrase.boxes]
    shapes += [outline({"quad": quad}) for phrase in phrases for quad in phrase.quads]
    return [shape for shape in shapes if shape is not None]


def scores(query: Query) -> list[list[Any]]:
    """Mean score of each question set by model: set, model (nothing where there is one alone), metric, mean, questions."""
    model = query.table.column("model").sql if query.table.has("model") else "''"
    listed = query.run(
        f'SELECT "set", {model}, any_value(metric), avg(score), count(*) FROM {{table}} WHERE {{where}} '
        "GROUP BY ALL ORDER BY 1, 2"
    )
    return [[*row[:3], None if row[3] is None else round(row[3], 5), row[4]] for row in listed]


def detail(query: Query, record: dict[str, Any]) -> dict[str, Any]:
    """What a prediction has beside its columns: places, number of images, and what other models answered."""
    answers = record.get("answers") or [""]
    found: dict[str, Any] = {"places": places(record.get("prompt") or "", answers[0], record.get("prediction") or "")}
    found |= {"pictures": len(record.get("images") or ()), "others": []}
    if query.table.has("model"):
        key, model = (query.table.column(name).sql for name in (query.table.key, "model"))
        listed = rows(
            query.cursor,
            f'SELECT {key}, {model}, left(prediction, ?), score FROM {quoted(query.table.name)} WHERE id = ? AND "set" = ? '
            f"ORDER BY 2 LIMIT {OTHERS}",
            (SHOWN * 4, record["id"], record["set"]),
        )
        found["others"] = [dict(zip(("key", "model", "prediction", "score"), row, strict=True)) for row in listed]
    return found


def image(output: Output, query: Query, key: str, number: int) -> bytes:
    """The bytes of a picture that a question showed. Raises NoThumbnail with the reason why there is none."""
    place = query.table.column(query.table.key).sql
    found = rows(query.cursor, f"SELECT id, answers, images FROM {quoted(query.table.name)} WHERE {place} = ?", (key,))
    if not found:
        raise DataError(f"{query.table.title.lower()}: there is no {key[:120]}")
    sample, answers, listed = found[0]
    if not listed:
        raise NoThumbnail("asked without a picture")
    if not 0 <= number < len(listed):
        raise DataError(f"{key[:120]} has {len(listed)} pictures")
    name, at, offset = str(listed[number]).rpartition("@")
    if not at or not offset.isdigit():
        return _file(output, str(listed[number]))
    own = number == len(listed) - 1  # those before it belong to other samples, shown as examples
    return _in_shard(output, name, int(offset), str(sample) if own else "", (answers or [""])[0])


def _file(output: Output, name: str) -> bytes:
    """A picture of a public set, from the folders that the user named."""
    for folder in output.beside.given:
        path = (folder / name).resolve()
        if path.is_file() and path.is_relative_to(folder):
            return path.read_bytes()
    raise NoThumbnail(f"{name[:80]} is not at hand: start the app with --data FOLDER, where the set's pictures lie")


def _in_shard(output: Output, name: str, offset: int, sample: str, answer: str) -> bytes:
    """A picture of a shard at a place that its index knows. A sample's own picture is that of the same id and answer."""
    why = f"{name[:80]} is not at hand: start the app with --data FOLDER of its dataset"
    for folder in output.beside.shelves:
        tar = folder / name
        if Path(name).name != name or not tar.is_file() or not tar.with_suffix(".parquet").is_file():
            continue
        why = f"not shown: {name} was made again since the evaluation, with another sample"
        for row in read_index(str(tar.with_suffix(".parquet")), INDEXED).to_pylist():
            spans = dict(zip(row["image_offsets"], row["image_sizes"], strict=True))
            if offset in spans and (not sample or _asks(sample, row["key"])):
                return Storage().read_range(str(tar), offset, offset + spans[offset])
            if sample and _asks(sample, row["key"]) and len(spans) == 1 and _says(tar, row, answer):
                ((start, size),) = spans.items()  # it moved: samples before it were taken down
                return Storage().read_range(str(tar), start, start + size)
    raise NoThumbnail(why)


def _asks(sample: str, key: str) -> bool:
    """Is this question about the sample of that key? Ids of questions begin with it, and may go on behind a sign."""
    return sample == key or (sample.startswith(key) and not sample[len(key)].isalnum())


def _says(tar: Path, row: dict[str, Any], answer: str) -> bool:
    """Does a sample of a shard end with this answer?"""
    try:
        content = orjson.loads(
            Storage().read_range(str(tar), row["json_offset"], row["json_offset"] + row["json_size"])
        )
        return bool(str(content["turns"][-1]["text"]).strip() == answer)
    except (ValueError, KeyError, IndexError, TypeError):
        return False
