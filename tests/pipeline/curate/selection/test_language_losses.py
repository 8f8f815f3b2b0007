"""A picture with captions in two languages: which rows stay, and the warning where a rule removes most of a language."""

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qvl.pipeline.curate.selection.language_losses import count_by_language, language_warnings
from qvl.pipeline.curate.selection.manifests import LedgerManifest
from qvl.pipeline.finished.changes import apply_changes
from qvl.pipeline.finished.stored_columns import StoredColumns
from qvl.pipeline.finished.whatif import whatif
from qvl.pipeline.recipe.recipe import Recipe
from tests.pipeline.curate.small_run import curate
from tests.pipeline.samples import jpeg, write_img2dataset

PICTURES = 110
FILTERS = {"language": {"allowed": ["en", "zh"]}}


def make_bilingual_data(folder: Path) -> None:
    """Each picture twice: with a long English caption and with a short Chinese one."""
    folder.mkdir()
    rows = [
        {"key": f"{i:03d}{language}", "caption": f"{caption} {i}", "url": f"u{i}{language}", "image": jpeg(i)}
        for i in range(PICTURES)
        for language, caption in (
            ("en", f"a red dog runs over the green meadow {i}"),
            ("zh", f"一只红色的狗在草地上奔跑 {i}"),
        )
    ]
    write_img2dataset(folder / "web", "00000", rows, count=len(rows))


def run(folder: Path, **dedup: Any) -> Path:
    """A curation of the pairs into a folder of its own."""
    sources = [{"name": "web", "read": {"kind": "webdataset", "paths": ["web/*.tar"]}}]
    out = folder.with_name(f"out{len(dedup)}")
    curate(folder, out, sources=sources, filters=FILTERS, dedup={"repeated_text": None, **dedup})
    return out


def verdicts(out: Path) -> Counter[tuple[str, str]]:
    table = pq.read_table(out / "ledger").select(["language", "verdict"])
    return Counter((row["language"], row["verdict"]) for row in table.to_pylist())


def test_bilingual_pairs_by_default_keep_both_captions_of_a_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_bilingual_data(tmp_path / "data")
    out = run(tmp_path / "data")
    assert verdicts(out) == {("en", "keep"): PICTURES, ("zh", "keep"): PICTURES}
    assert "warning" not in capsys.readouterr().err
    stored = StoredColumns.open(out)
    assert whatif(stored, apply_changes(stored.recipe, ["dedup.per=[]"])).counts().kept_after == PICTURES


def test_bilingual_pairs_when_all_rows_are_compared_warn_about_the_lost_language(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_bilingual_data(tmp_path / "data")
    out = run(tmp_path / "data", per=[])
    assert verdicts(out) == {("en", "keep"): PICTURES, ("zh", "duplicate_image"): PICTURES}
    warning = next(line for line in capsys.readouterr().err.splitlines() if "warning" in line)
    assert "duplicate_image removed 110 of the 110 rows in language 'zh'" in warning
    assert "per: [language]" in warning
    stored = StoredColumns.open(out)
    assert whatif(stored, apply_changes(stored.recipe, ["dedup.per=[language]"])).counts().kept_after == 2 * PICTURES


def test_count_by_language_counts_rows_that_passed_the_filters() -> None:
    language = pa.chunked_array([pa.array(["en", "zh", "en", None])])
    verdict = pa.chunked_array([pa.array(["keep", "near_duplicate", "text_length", "keep"])])
    assert count_by_language(language, verdict) == {"en": {"keep": 1}, "zh": {"near_duplicate": 1}, "und": {"keep": 1}}


@pytest.mark.parametrize(
    ("kept", "lost", "warned"), [(0, 99, False), (0, 100, True), (49, 51, True), (50, 50, False), (99, 1, False)]
)
def test_language_warnings_name_rules_that_remove_most_of_a_language(kept: int, lost: int, warned: bool) -> None:
    source = {"name": "a", "read": {"kind": "webdataset", "paths": ["x.tar"]}}
    recipe = Recipe.model_validate({"name": "r", "sources": [source], "filters": FILTERS})
    groups = [LedgerManifest("", {}, {"zh": {"keep": kept}}), LedgerManifest("", {}, {"zh": {"duplicate_image": lost}})]
    lines = language_warnings(recipe, groups)
    assert bool(lines) == warned
    assert all("per: [language]" not in line for line in lines)  # it is on already
