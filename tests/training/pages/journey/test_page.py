"""The page on made results: figures as they are, claims judged by their error, hostile texts inert, links relative."""

from pathlib import Path

import orjson
import pytest

from qvl.training.evaluation.samples.sample import Answer, EvalSample
from qvl.training.evaluation.samples.selection import EvalSelection, load_samples
from qvl.training.evaluation.scores import SetScore
from qvl.training.evaluation.scoring import score
from qvl.training.heldout.loss import OTHER, TaskLoss
from qvl.training.heldout.questions import ModelAnswers
from qvl.training.pages.journey.page import JourneyPart, JourneyResults, render
from qvl.training.pages.journey.progress import conclusions, score_table
from qvl.training.pages.journey.side_by_side import choose
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

HOSTILE = "<script>alert(1)</script><box>(1,2),(3,4)</box>\u202e"
MODELS = ("start", "language", "pretrain", "multitask", "sft")
STAGES = {"language": "multitask", "pretrain": "pretrain", "multitask": "multitask", "sft": "sft"}
FALLING = {"start": 8.0, "language": 5.0, "pretrain": 4.0, "multitask": 3.9, "sft": 3.9}


def losses(by_model: dict[str, float], error: float = 0.1) -> dict[str, dict[str, TaskLoss]]:
    """Losses of two captions; ``error`` is that of any change over a stage."""

    def one(value: float, spread: float) -> TaskLoss:
        return TaskLoss(value, error, 200, 2, {"a": (100 * (value + spread), 100), "b": (100 * (value - spread), 100)})

    return {
        model: {"caption": one(value, number * error), "caption" + OTHER: one(value + 0.5, number * error)}
        for number, (model, value) in enumerate(by_model.items())
    }


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


@pytest.mark.parametrize(
    ("after", "error", "said"),
    [
        (4.0, 0.1, "yes"),
        (4.95, 0.1, "no: within the error"),
        (5.5, 0.1, "no: it rose"),
        (4.0, 1.0, "no: within the error"),
    ],
)
def test_a_claim_holds_where_the_loss_fell_by_more_than_its_error(after: float, error: float, said: str) -> None:
    table = conclusions(losses(FALLING | {"pretrain": after}, error), STAGES)
    assert "Captions in stage 1" in table
    assert f"<td>{said}</td>" in table
    assert f"<td>{after - 5:+.2f} ± {error:.2f}</td><td>+0.500 ± 0.000</td>" in table
    assert "Reading" not in table  # was not measured


def test_page_outlines_the_cell_that_the_paper_reasons_about() -> None:
    sets = {
        model: {"caption": SetScore("cider", 3, 0, 5.0 if model == "multitask" else 1.0, 0.1, {}, {})}
        for model in MODELS
    }
    row = score_table(sets, STAGES).split("<tbody>")[1]
    cells = row.split("<td>")[1:]
    assert ["expected" in cell for cell in cells] == [False, False, False, False, True, False, False]
    assert ["best" in cell for cell in cells] == [False, False, False, False, False, True, False]


def test_examples_alternate_images_and_languages() -> None:
    def one(at: int, image: int, language: str) -> EvalSample:
        return EvalSample(str(at), "caption", f"s {language}", "cider", "", (image,), ("",), None)  # type: ignore[arg-type]

    samples = [one(at, at // 4, "en" if at < 12 else "zh") for at in range(16)]
    chosen = choose(range(16), samples, 4)
    assert {samples[at].images for at in chosen} == {(0,), (1,), (2,), (3,)}
    assert sum(samples[at].group.endswith("zh") for at in chosen) == 1
