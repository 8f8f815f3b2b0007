"""A filter by code: captions that advertise, by words of two languages."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

import qvl


@dataclass(frozen=True)
class NoAdvertisement(qvl.Filter):
    """Drops captions that have one of these words, in any case."""

    words: tuple[str, ...] = ("for sale", "free shipping", "buy now", "包邮", "促销")

    reads = ("caption",)

    def keep(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        return pc.invert(pc.match_substring_regex(batch["caption"], "|".join(self.words), ignore_case=True))
