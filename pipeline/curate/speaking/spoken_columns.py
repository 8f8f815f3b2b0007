"""The columns of a speaker for one unit: from replies to a table, and back to what they cost."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from qvl.pipeline.curate.measuring.columns import CATEGORY
from qvl.pipeline.recipe.speakers import Speaker
from qvl.pipeline.speakers.answers import read_reply
from qvl.pipeline.speakers.ask import Replies
from qvl.pipeline.speakers.prompt import Question

COUNTERS = pa.schema(
    [
        ("key", pa.binary(16)),  # of the answer in the store; null where nothing was asked
        ("prompt_tokens", pa.int32()),
        ("completion_tokens", pa.int32()),
        ("fault", CATEGORY),  # of an image that could not be sent, otherwise null
    ]
)
"""What the file of a speaker has behind the columns of the ledger."""


def spoken_schema(speaker: Speaker) -> pa.Schema:
    """The columns that a speaker adds to the ledger, its state last."""
    kinds = {name: pa.type_for_alias(kind) for name, kind in speaker.columns.items()}
    return pa.schema([(name, CATEGORY if name == speaker.state_column else kind) for name, kind in kinds.items()])


def spoken_table(speaker: Speaker, reasons: list[str], questions: Mapping[int, Question], replies: Replies) -> pa.Table:
    """A row for each row of the unit. ``reasons`` are the states of those that are not in ``questions``."""
    rows = len(reasons)
    schema = spoken_schema(speaker)
    values: list[list[object]] = [[None] * rows for _ in range(len(schema) - 1)]
    states: list[str | None] = [*reasons]
    faults: list[str | None] = [None] * rows
    keys: list[bytes | None] = [None] * rows
    tokens = np.zeros((rows, 2), np.int32)
    for row, question in questions.items():
        fault = replies.faults.get(question.key)
        if fault is not None:
            states[row], faults[row] = fault, fault
            continue
        reply = replies.by_key[question.key]
        answer = read_reply(speaker, reply)
        states[row], keys[row], tokens[row] = answer.state, question.key, (reply.prompt_tokens, reply.completion_tokens)
        for column, value in zip(values, answer.values, strict=True):
            column[row] = value
    unasked = np.array([key is None for key in keys], bool)
    columns = [
        *(pa.array(column, kind) for column, kind in zip(values, schema.types, strict=False)),
        _categories(states),
        pa.array(keys, pa.binary(16)),
        *(pa.array(tokens[:, number], mask=unasked) for number in range(2)),
        _categories(faults),
    ]
    return pa.Table.from_arrays(columns, schema=pa.schema([*schema, *COUNTERS]))


def _categories(values: list[str | None]) -> pa.Array:
    return pa.array(values, pa.string()).dictionary_encode().cast(CATEGORY)


def distinct_counts(table: pa.Table) -> tuple[int, int, int]:
    """The number of different answers in a table with COUNTERS, and their tokens in prompts and in answers."""
    asked = table.filter(table["key"].is_valid())
    keys = np.array(asked["key"].to_pylist(), dtype="S16") if len(asked) else np.empty(0, "S16")
    first = np.unique(keys, return_index=True)[1]
    tokens = [
        np.asarray(asked[name].to_numpy(), np.int64)[first].sum() for name in ("prompt_tokens", "completion_tokens")
    ]
    return len(first), int(tokens[0]), int(tokens[1])
