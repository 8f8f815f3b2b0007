"""Answers of a model as evaluation stores them: picture, regions, expected and given answer, other models' answers."""

from pathlib import Path
from typing import Any

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.images.thumbnail import NoThumbnail
from qvl.pipeline.markup import parsing
from qvl.pipeline.markup.dialects import QWEN_VL, TAGS
from qvl.pipeline.shards.reader import read_index
from qvl.pipeline.shards.sample import decode_sample
from qvl.pipeline.storage.reader import Storage
from qvl.pipeline.view.output import Output
from qvl.pipeline.view.samples import outline, plain_words
from qvl.pipeline.view.tables.columns import quoted
from qvl.pipeline.view.tables.database import rows
from qvl.pipeline.view.tables.queries import Query, Record

INDEXED = ["key", "image_offsets", "image_sizes", "json_offset", "json_size"]
LOOKED_AT, SHOWN, OUTLINES, OTHERS = 4_000, 160, 60, 12
BOX = TAGS[QWEN_VL].box

Shapes = list[list[float]]


def previews(query: Query, keys: list[str]) -> dict[str, Record]:
    """For cards, by key: question, expected and predicted text, and the regions of each."""
    if not keys:
        return {}
    names, key = ("prompt", "answers", "prediction", "metric", "score"), query.table.column(query.table.key).sql
    shown = ", ".join(quoted(name) if query.table.has(name) else "NULL" for name in names)
    statement = f"SELECT {key}, {shown} FROM {quoted(query.table.name)} WHERE {key} IN ({', '.join('?' for _ in keys)})"
    return {str(found[0]): _preview(*found[1:]) for found in rows(query.cursor, statement, keys)}


def _preview(prompt: str | None, answers: list[str] | None, prediction: str | None, metric: Any, score: Any) -> Record:
    expected = (answers or [""])[0]
    shapes = regions(prompt or "", expected, prediction or "")
    return {
        "_question": plain_words((prompt or "")[:LOOKED_AT])[-SHOWN:],
        "_wanted": plain_words(expected[:LOOKED_AT])[:SHOWN],
        "_said": (plain_words((prediction or "")[:LOOKED_AT]) or ("" if shapes["answered"] else prediction or ""))[
            :SHOWN
        ],
        "_score": f"{metric or 'score'} {score:.3g}" if isinstance(score, float) else "",
        **{f"_{name}": found[:OUTLINES] for name, found in shapes.items()},
    }


def regions(prompt: str, expected: str, prediction: str) -> dict[str, Shapes]:
    """Outlines of what the question points at, of the truth, and of the answer, whose box the prompt may have opened."""
    question = prompt[prompt.rfind("</img>") + 1 :]
    opened = prompt.endswith(BOX[0])
    return {
        "asked": _outlines(question),
        "truth": _outlines(expected),
        "answered": _outlines(f"{BOX[0]}{prediction}" if opened else prediction),
    }


def _outlines(text: str) -> Shapes:
    phrases = parsing.parse(text)
    shapes = [outline({"box": box}) for phrase in phrases for box in phrase.boxes]
    shapes += [outline({"quad": quad}) for phrase in phrases for quad in phrase.quads]
    return [shape for shape in shapes if shape is not None]


def scores(query: Query) -> list[list[Any]]:
    """Mean score of each set by model: set, model (empty for a single model), metric, mean, number of questions."""
    model = query.table.column("model").sql if query.table.has("model") else "''"
    listed = query.run(
        f'SELECT "set", {model}, any_value(metric), avg(score), count(*) FROM {{table}} WHERE {{where}} '
        "GROUP BY ALL ORDER BY 1, 2"
    )
    return [[*row[:3], None if row[3] is None else round(row[3], 5), row[4]] for row in listed]


def shapes(record: Record) -> dict[str, Shapes]:
    """The outlines of a prediction (see ``regions``)."""
    answers = record.get("answers") or [""]
    return regions(record.get("prompt") or "", answers[0], record.get("prediction") or "")


def other_answers(query: Query, record: Record) -> list[Record]:
    """The answers of all models to the question of a prediction; none in a table of a single model."""
    if not query.table.has("model"):
        return []
    key, model = (query.table.column(name).sql for name in (query.table.key, "model"))
    listed = rows(
        query.cursor,
        f'SELECT {key}, {model}, left(prediction, ?), score FROM {quoted(query.table.name)} WHERE id = ? AND "set" = ? '
        f"ORDER BY 2 LIMIT {OTHERS}",
        (SHOWN * 4, record["id"], record["set"]),
    )
    return [dict(zip(("key", "model", "prediction", "score"), row, strict=True)) for row in listed]


def image(output: Output, query: Query, key: str, number: int) -> bytes:
    """The bytes of a picture of a question. Raises NoThumbnail with the reason why there is none."""
    key_column = query.table.column(query.table.key).sql
    found = rows(
        query.cursor, f"SELECT id, answers, images FROM {quoted(query.table.name)} WHERE {key_column} = ?", (key,)
    )
    if not found:
        raise DataError(f"{query.table.title.lower()}: no row has the key {key[:120]}")
    sample, answers, listed = found[0]
    if not listed:
        raise NoThumbnail("this question has no picture")
    if not 0 <= number < len(listed):
        raise DataError(f"{key[:120]} has {len(listed)} pictures")
    name, at, offset = str(listed[number]).rpartition("@")
    if not at or not offset.isdigit():
        return _file(output, str(listed[number]))
    own = number == len(listed) - 1  # the ones before it are of other samples, shown as examples
    return _in_shard(output, name, int(offset), str(sample) if own else "", (answers or [""])[0])


def _file(output: Output, name: str) -> bytes:
    """A picture of a public set, from the folders that the user named."""
    for folder in output.related.user_folders:
        path = (folder / name).resolve()
        if path.is_file() and path.is_relative_to(folder):
            return path.read_bytes()
    raise NoThumbnail(f"{name[:80]} was not found: start the app with --data FOLDER, the folder of the set's pictures")


def _in_shard(output: Output, name: str, offset: int, sample: str, answer: str) -> bytes:
    """A picture at an offset that a shard's index lists. A question's own picture must have its id and answer, too."""
    why = f"{name[:80]} was not found: start the app with --data FOLDER, the folder of its dataset"
    for folder in output.related.folders:
        tar = folder / name
        if Path(name).name != name or not tar.is_file() or not tar.with_suffix(".parquet").is_file():
            continue
        why = f"not shown: {name} has been rebuilt since the evaluation and holds another sample there"
        for row in read_index(str(tar.with_suffix(".parquet")), INDEXED).to_pylist():
            spans = dict(zip(row["image_offsets"], row["image_sizes"], strict=True))
            if offset in spans and (not sample or _asks(sample, row["key"])):
                return Storage().read_range(str(tar), offset, offset + spans[offset])
            if sample and _asks(sample, row["key"]) and len(spans) == 1 and _says(tar, row, answer):
                ((start, size),) = spans.items()  # it has moved because samples before it were taken down
                return Storage().read_range(str(tar), start, start + size)
    raise NoThumbnail(why)


def _asks(sample: str, key: str) -> bool:
    """Whether a question is about the sample with this key: its id is the key, or the key, a sign and more."""
    return sample == key or (sample.startswith(key) and not sample[len(key)].isalnum())


def _says(tar: Path, row: Record, answer: str) -> bool:
    """Whether a sample of a shard ends with this answer."""
    try:
        data = Storage().read_range(str(tar), row["json_offset"], row["json_offset"] + row["json_size"])
        turns = decode_sample(data, str(tar), row["key"]).turns
    except DataError:
        return False
    return bool(turns) and turns[-1].text.strip() == answer
