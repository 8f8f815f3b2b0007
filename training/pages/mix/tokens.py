"""Tokens of a part: the lengths that a run has measured, or else means over samples of each shard that are encoded now."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerBase

from qvl.pipeline.shards.reader import Indexes, ShardFile
from qvl.training.data.encode import Rule
from qvl.training.data.lengths import LengthsFolder, read_lengths, rule_fingerprint
from qvl.training.data.parts import MixPart
from qvl.training.pages.mix.content import KIND, Content, Kind
from qvl.training.pages.mix.figures import TokenSource
from qvl.training.plan.stream_estimate import Measure
from qvl.training.recipe import Holdout

READ = (*KIND, "text_length", "json_offset", "json_size", "image_sizes")
USUAL_LENGTH = 2048


@dataclass(frozen=True, slots=True)
class TokenCounting:
    """How tokens are counted.

    ``lengths``: the folder of a run's measured lengths, or None. Without them ``per_shard`` samples of each shard are
    encoded; without a ``tokenizer`` their tokens are estimated from their characters.
    """

    tokenizer: PreTrainedTokenizerBase | None
    rule: Rule
    per_shard: int = 16
    lengths: Path | None = None
    holdout: Holdout | None = None


def count_tokens(part: MixPart, content: Content, counting: TokenCounting) -> tuple[TokenSource, int]:
    """Fill in the tokens of all cells. Returns how they were counted, and on how many samples."""
    if counting.lengths is not None and counting.tokenizer is not None:
        fingerprint = rule_fingerprint(counting.tokenizer, counting.rule, counting.holdout)
        paths = [LengthsFolder(counting.lengths, fingerprint).path_of(shard) for shard in part.dataset.shards]
        if paths and all(path.is_file() for path in paths):
            return "measured", _measured(part, content, paths)
    means: dict[Kind, list[int]] = defaultdict(list)
    measure, indexes = Measure(counting.tokenizer, counting.rule), Indexes(READ, keep=1)
    for shard in part.dataset.shards:
        for kind, tokens in _encoded(part, shard, measure, indexes, counting.per_shard):
            means[kind].append(tokens)
    measure.reader.close()
    every = [tokens for lengths in means.values() for tokens in lengths]
    for kind, cell in content.cells.items():
        encoded = means.get(kind) or every
        cell.tokens = cell.samples * sum(encoded) / len(encoded)
    return "encoded" if counting.tokenizer is not None else "estimated", len(every)


def _encoded(part: MixPart, shard: ShardFile, measure: Measure, indexes: Indexes, most: int) -> list[tuple[Kind, int]]:
    """Tokens of samples spread evenly over a shard, with at least one sample of every kind in it."""
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
