"""Tokens of a part: measured ones where a run has them, else means over samples of each shard that are encoded now."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerBase

from qvl.pipeline.shards.reader import Indexes, ShardFile
from qvl.training.data.encode import Rule
from qvl.training.data.lengths import lengths_path, read_lengths, rule_fingerprint
from qvl.training.data.schedule import MixPart
from qvl.training.pages.mix.content import KIND, Content, Kind
from qvl.training.plan.stream_estimate import Measure
from qvl.training.recipe import Holdout

READ = (*KIND, "text_length", "json_offset", "json_size", "image_sizes")
USUAL_LENGTH = 2048


@dataclass(frozen=True)
class TokenCounting:
    """How tokens are counted. ``lengths``: folder of a run's measured lengths; ``per_shard``: samples encoded otherwise."""

    tokenizer: PreTrainedTokenizerBase | None
    rule: Rule
    per_shard: int = 16
    lengths: Path | None = None
    holdout: Holdout | None = None


def count_tokens(part: MixPart, content: Content, how: TokenCounting) -> tuple[str, int]:
    """Fill in the tokens of all cells. Returns ``measured``, ``encoded`` or ``estimated``, and of how many samples."""
    if how.lengths is not None and how.tokenizer is not None:
        mark = rule_fingerprint(how.tokenizer, how.rule, how.holdout)
        paths = [lengths_path(how.lengths, mark, shard) for shard in part.dataset.shards]
        if paths and all(path.is_file() for path in paths):
            return "measured", _measured(part, content, paths)
    means: dict[Kind, list[int]] = defaultdict(list)
    measure, indexes = Measure(how.tokenizer, how.rule), Indexes(READ, keep=1)
    for shard in part.dataset.shards:
        for kind, tokens in _encoded(part, shard, measure, indexes, how.per_shard):
            means[kind].append(tokens)
    measure.reader.close()
    every = [tokens for found in means.values() for tokens in found]
    for kind, cell in content.cells.items():
        seen = means.get(kind) or every
        cell.tokens = cell.samples * sum(seen) / len(seen)
    return "encoded" if how.tokenizer is not None else "estimated", len(every)


def _encoded(part: MixPart, shard: ShardFile, measure: Measure, indexes: Indexes, most: int) -> list[tuple[Kind, int]]:
    """Tokens of samples spread evenly over a shard, of every kind in it at least one."""
    table = indexes.table(shard, part.selection)
    if not table.num_rows:
        return []
    even = np.linspace(0, table.num_rows - 1, min(most, table.num_rows)).round().astype(np.int64)
    kinds = list(zip(*(table[name].to_pylist() for name in KIND), strict=True))
    first = {kind: at for at, kind in reversed(list(enumerate(kinds)))}
    chosen = sorted({*even.tolist(), *first.values()})
    rows = table.take(chosen).to_pylist()
    return [(kinds[at], measure(shard.tar, row)[0]) for at, row in zip(chosen, rows, strict=True)]


def _measured(part: MixPart, content: Content, paths: list[Path]) -> int:
    for shard, path in zip(part.dataset.shards, paths, strict=True):
        index = Indexes(KIND, keep=1).table(shard)
        chosen, tokens = part.selection.ranks(index), read_lengths(path).tokens
        kinds = list(zip(*(index[name].to_pylist() for name in KIND), strict=True))
        for row in chosen.tolist():
            content.cells[kinds[row]].tokens += float(tokens[row])
    return content.samples
