"""How a caption is written, with Arrow's own functions: no Python per row."""

import pyarrow as pa
import pyarrow.compute as pc

import qvl


class CaptionShape(qvl.Column):
    """The share of capitals among the letters of a caption, and whether it ends like a sentence."""

    reads = ("caption",)
    writes = {"capitals": pa.float32(), "is_sentence": pa.bool_()}  # noqa: RUF012

    def apply(self, batch: pa.RecordBatch) -> dict[str, pa.Array]:
        letters = pc.count_substring_regex(batch["caption"], r"\pL").cast(pa.float32())
        capitals = pc.count_substring_regex(batch["caption"], r"\p{Lu}").cast(pa.float32())
        share = pc.if_else(pc.greater(letters, 0), pc.divide(capitals, letters), None)
        return {"capitals": share, "is_sentence": pc.match_substring_regex(batch["caption"], r"[.!?。！？]\s*$")}
