"""Contract tests of scorers over sample pictures, which users run on their own."""

import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image, ImageDraw

from qvl.pipeline.base.arrays import flags
from qvl.pipeline.base.errors import DataError
from qvl.pipeline.curate.measuring.plugin_check import CAPTIONS, CheckedPlugin, Finding, table_difference
from qvl.pipeline.images.decode import Pixels, read_only
from qvl.pipeline.plugins.operators import ScorerPlugin
from qvl.pipeline.plugins.scoring import UnitScorer

SIZES = ((448, 448), (640, 480), (30, 400), (1, 1), (1000, 500), (3, 2))  # width, height
PICTURES = 24
SEED = 7


def sample_pictures() -> list[Pixels]:
    """Pictures as stage score decodes them: noise, one colour and shapes; large, narrow and tiny ones."""
    generator = np.random.default_rng(SEED)
    pictures = []
    for number in range(PICTURES):
        width, height = SIZES[number % len(SIZES)]
        image = Image.new("RGB", (width, height), tuple(generator.integers(0, 256, 3).tolist()))
        if number % 3 == 0:
            image = Image.fromarray(generator.integers(0, 256, (height, width, 3), np.uint8))
        if number % 3 == 1:
            ImageDraw.Draw(image).ellipse((width // 4, height // 4, width // 2, height // 2), "white")
        pictures.append(read_only(np.asarray(image)))
    return pictures


def check_scorer(plugin: ScorerPlugin) -> CheckedPlugin:
    """Test a scorer over sample pictures with sample captions. What it stores in its folder is thrown away."""
    pictures = sample_pictures()
    columns = {field.name: str(field.type) for field in plugin.schema}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        order = np.arange(len(pictures))
        shuffled = np.random.default_rng(SEED).permutation(len(pictures))
        try:
            whole = _score(plugin, pictures, folder, order)
            start = time.process_time()
            again = _score(plugin, pictures, folder, order)
            spent = time.process_time() - start
            other = _score(plugin, pictures, folder, shuffled)
            cuts = [0, 1, 2, 3, 8, len(pictures)]
            parts = [_score(plugin, pictures, folder, order[first:last]) for first, last in pairwise(cuts)]
        except DataError as error:
            findings: tuple[Finding, ...] = (Finding("types", str(error)),)
            return CheckedPlugin(plugin.name, plugin.fingerprint, columns, len(pictures), 0.0, findings, ())
    findings = (
        Finding("types"),
        Finding("the same values when it runs again", table_difference(whole, again)),
        Finding("the same values for shuffled pictures", table_difference(whole.take(pa.array(shuffled)), other)),
        Finding("the same values for pictures in other batches", table_difference(whole, pa.concat_tables(parts))),
    )
    rate = len(pictures) / max(spent, 1e-9)
    return CheckedPlugin(
        plugin.name, plugin.fingerprint, columns, len(pictures), rate, findings, _notes(whole, pictures)
    )


def _score(plugin: ScorerPlugin, pictures: list[Pixels], folder: Path, order: np.ndarray) -> pa.Table:
    """The columns and faults of pictures in an order."""
    captions = [CAPTIONS[number % len(CAPTIONS)] for number in range(len(pictures))]
    scorer = UnitScorer(plugin, frozenset(order.tolist()), captions, folder)
    for number in order.tolist():
        scorer.add(number, scorer.prepare(pictures[number]))
    scorer.finish()
    return scorer.computed().combine_chunks()


def _notes(whole: pa.Table, pictures: list[Pixels]) -> tuple[str, ...]:
    """Pictures that make the scorer fail are not mistakes, but worth knowing."""
    failed = np.flatnonzero(flags(pc.is_valid(whole["fault"])))
    if not len(failed):
        return ()
    height, width = pictures[int(failed[0])].shape[:2]
    fault = whole["fault"][int(failed[0])]
    return (f"{len(failed)} of {len(pictures)} pictures make it fail, such as one of {width} x {height}: {fault}",)
