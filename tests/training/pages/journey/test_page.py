"""The page on made results: figures as they are, claims judged by their error, hostile texts inert, links relative."""

from pathlib import Path

import orjson
import pytest

from qvl.training.evaluation.samples.sample import Answer
from qvl.training.evaluation.samples.selection import EvalSelection, load_samples
from qvl.training.evaluation.scoring import score
from qvl.training.heldout.questions import ModelAnswers
from qvl.training.pages.journey.page import JourneyPart, JourneyResults, render
from qvl.training.pages.journey.steps import Cost
from qvl.training.pages.mix.figures import (
    LanguageShare,
    MixFigures,
    PaperComparison,
    PartFigures,
    SourceShare,
    StageMix,
    TaskShare,
)
from qvl.training.pages.report.history import read_history
from qvl.training.recipe import TrainRecipe
from tests.training.made import of_task, stage, write_dataset
from tests.training.made_run import write_run
from tests.training.pages.journey.made_losses import FALLING, MODELS, STAGES, losses

HOSTILE = "<script>alert(1)</script><box>(1,2),(3,4)</box>\u202e"


def recipe() -> TrainRecipe:
    stages = [stage(stage=kind, **({"name": label} if label != kind else {})) for label, kind in STAGES.items()]
    content = {"name": "made <journey>", "start": "tiny", "datasets": {"mixed": {"path": "m"}, "text": {"path": "t"}}}
    return TrainRecipe.model_validate(content | {"stages": stages, "holdout": {"share": 0.1}})


def mix() -> MixFigures:
    paper = PaperComparison(
        tasks=[TaskShare("ocr", "OCR", 0.25, 0.323)],
        sources=[SourceShare(HOSTILE, 1.0, None, None)],
        languages=[LanguageShare("en", 1.0, 0.773)],
    )
    part = PartFigures("mixed", "encoded", 96, 96.0, 96.0, 0.0, 0.0, 0.0, 48.0, 0.0, 0.5, 1.0, 1.0)
    stages = [
        StageMix(label, [part], [], paper, {}, {}, stage=kind, steps=6, train_resolution=56)  # type: ignore[arg-type]
        for label, kind in STAGES.items()
    ]
    return MixFigures("made", [], stages)


@pytest.fixture
def results(tmp_path: Path) -> JourneyResults:
    tasks = ("caption", "vqa", "ocr", "referring")
    out = tmp_path / "pairs"
    write_dataset(out, "pairs", [of_task(tasks[number % 4], number) for number in range(16)])
    file = out / "shards" / "dataset.json"
    content = orjson.loads(file.read_bytes())
    content["lineage"] = {"verdicts": {HOSTILE: {"keep": 16, "image_size": 5, "download:failed": 2}}}
    file.write_bytes(orjson.dumps(content))
    samples = load_samples(EvalSelection((str(out),), ("caption", "vqa", "grounding", "ocr")))
    answers = [Answer(HOSTILE) for _ in samples]
    scored = score(samples, answers)
    answered = {model: ModelAnswers(scored.sets, answers, scored.per_sample) for model in MODELS}
    history = read_history(write_run(tmp_path / "run", {"pretrain": 20, "multitask": 20, "sft": 5}))
    costs = {"curate": Cost(2.0, 1.0, 300.0), "training": Cost(100.0, 90.0, 900.0)}
    part = JourneyPart("pairs", out)
    return JourneyResults(recipe(), [part], mix(), history, samples, answered, losses(FALLING), costs)


def test_funnel_rows_and_reasons_add_up(results: JourneyResults, tmp_path: Path) -> None:
    text = render(results, tmp_path / "journey")
    assert ">23</td>" in text  # rows in
    assert "− download (failed)" in text
    assert "(69.6%)" not in text
    assert "kept, 69.6%" in text
    assert 'href="../pairs/report.html"' in text
    assert str(tmp_path) not in text


def test_page_when_texts_are_hostile_escapes_them(results: JourneyResults, tmp_path: Path) -> None:
    text = render(results, tmp_path)
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)" in text


def test_page_shows_the_answer_of_every_model_beside_the_truth(results: JourneyResults, tmp_path: Path) -> None:
    text = render(results, tmp_path)
    rows = text.split('<article class="held">')[1:]
    assert len(rows) == 4 * 4
    assert all(row.count('<div class="answer">') == len(MODELS) for row in rows)
    assert "data:image/webp;base64," in rows[0]
