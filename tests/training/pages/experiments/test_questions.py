"""Questions of two languages are about the same things, with the columns that answers are grouped by."""

from pathlib import Path

import pytest

from qvl.training.evaluation.samples.sample import Answer
from qvl.training.heldout.loss import TaskLoss
from qvl.training.pages.experiments.measure import agreement, answer_values, wrong_language
from qvl.training.pages.experiments.questions import Question, bucket, load_questions
from qvl.training.pages.experiments.recipe import Arm, Ask, Experiment
from qvl.training.recipe import Holdout

from .made_pairs import NAMES, QUESTIONS, place, write_pairs


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("pairs") / "pairs", 60)


def ask(name: str, **more: object) -> Ask:
    return Ask.model_validate({"name": name, "dataset": "pairs", "limit": 8, **more})


def asked(pairs: Path, *asks: Ask, holdout: Holdout | None = None) -> list[Question]:
    experiment = Experiment(name="e", question="q", arms={"a": Arm(model=Path("m"))}, ask=asks)
    return load_questions(experiment, {"pairs": str(pairs)}, holdout)


POINT = (ask("en", task="referring", languages=("en",)), ask("zh", task="referring", languages=("zh",)))
NAMED = (ask("en", task="vqa", languages=("en",), metric="exact"), ask("zh", task="vqa", languages=("zh",)))


def test_questions_in_two_languages_are_about_the_same_things(pairs: Path) -> None:
    found = asked(pairs, *POINT, holdout=Holdout(share=0.4))
    english, chinese = found[:8], found[8:]
    assert [q.thing for q in english] == [q.thing for q in chinese]
    assert {q.columns["language"] for q in english} == {"en"} and {q.sample.id[-3:] for q in chinese} == {"@zh"}
    assert all(a.sample.boxes == b.sample.boxes for a, b in zip(english, chinese, strict=True))


def test_question_columns_hold_area_objects_and_words(pairs: Path) -> None:
    for question in asked(pairs, POINT[0]):
        x1, y1, x2, y2 = place(int(question.sample.id[-6:-3]))
        assert question.columns["area"] == pytest.approx((x2 - x1) * (y2 - y1))
        assert (question.columns["objects"], question.columns["words"]) == (1, 1)
    assert "area" not in asked(pairs, NAMED[0])[0].columns


def test_questions_with_a_holdout_are_about_held_out_images_only(pairs: Path) -> None:
    every, half = (asked(pairs, ask("en", task="vqa", limit=500), holdout=h) for h in (None, Holdout(share=0.3)))
    assert len(every) == 120 and 10 < len(half) < 60
    assert {q.thing for q in half} < {q.thing for q in every}


def test_questions_when_the_prompt_is_replaced_change_both_prompt_and_loss_sample(pairs: Path) -> None:
    (first, *_) = asked(
        pairs, ask("de", task="vqa", languages=("en",), language="de", prompt={QUESTIONS["en"]: "Welche Farbe?"})
    )
    assert "Welche Farbe?" in first.sample.prompt and "Welche Farbe?" in first.loss_sample.record.turns[0].text
    assert first.columns["language"] == "de"


def test_wrong_language_and_agreement_of_names(pairs: Path) -> None:
    found = asked(pairs, *NAMED)
    english = [Answer(q.sample.answers[0]) for q in found[:8]]
    right = [*english, *(Answer(q.sample.answers[0]) for q in found[8:])]
    assert wrong_language(found, right) == [0.0] * 16 and agreement(found, right) == [None] * 8 + [1.0] * 8
    spoken = [*english, *english]  # English where Chinese was asked
    assert wrong_language(found, spoken) == [0.0] * 8 + [1.0] * 8
    assert agreement(found, spoken)[8:] == [0.0] * 8
    nothing = [*english, *[Answer("")] * 8]
    assert wrong_language(found, nothing)[8:] == [0.0] * 8
    colour = NAMES["en"].index("red")
    both_wrong = [Answer(NAMES[q.columns["language"]][colour]) for q in found]  # type: ignore[index]
    assert agreement(found, both_wrong)[8:] == [1.0] * 8


def test_agreement_of_boxes_and_values(pairs: Path) -> None:
    found = asked(pairs, *POINT)
    box, other = Answer("<box>(0,0),(500,500)</box>"), Answer("<box>(500,500),(999,999)</box>")
    answers = [box] * 8 + [box] * 4 + [other] * 4
    assert agreement(found, answers)[8:] == [1.0] * 4 + [0.0] * 4
    losses = {q.loss_sample.task: TaskLoss(2.0, 0.0, 5, 1) for q in found[1:]}
    table = answer_values(found, answers, [0.5, 0.49] * 8, losses)
    assert table.score == [1.0, 0.0] * 8 and table.iou == [0.5, 0.49] * 8
    assert table.loss == [None, *[10.0] * 15] and table.tokens == [None, *[5.0] * 15]
    assert wrong_language(found, answers) == [None] * 16


@pytest.mark.parametrize(
    ("column", "value", "name"),
    [("area", 0.02, "under 3%"), ("area", 0.03, "3% to 8%"), ("area", 0.5, "16% and more"), ("objects", 1, "1"),
     ("objects", 2, "2"), ("objects", 9, "4 and more"), ("words", 3, "2 to 3"), ("language", "zh", "zh")],
)  # fmt: skip
def test_bucket_names_values_by_their_edges(column: str, value: str | float, name: str) -> None:
    assert bucket(column, value, {}) == name
