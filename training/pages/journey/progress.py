"""Losses and scores of a journey's models as tables, and whether each improved in the stage that the paper names."""

from collections.abc import Mapping

from qvl.pipeline.html.elements import Html, count, table, tag
from qvl.training.evaluation.scores import SetScore
from qvl.training.heldout.loss import DIALOGUE, OTHER, TaskLoss, change
from qvl.training.heldout.questions import DIALOGUE as ASKED_DIALOGUE

NOTHING = "–"
CERTAIN = 2.0
"""How many standard errors a change must exceed to count."""
GAIN = {"caption": "pretrain", "ocr": "multitask", "referring": "multitask", "chat": "sft"}
"""The kind of stage that teaches each set, by the paper."""
CLAIMS = (
    ("Captions in stage 1", "caption", "pretrain"),
    ("Reading in stage 2", "ocr", "multitask"),
    ("Grounding in stage 2", "referring", "multitask"),
    ("Dialogues in stage 3", "chat", "sft"),
)
STAGE_NUMBER = {"language": 0, "pretrain": 1, "multitask": 2, "sft": 3}


def teaches(stages: Mapping[str, str]) -> dict[str, str]:
    """The name of the last stage of each kind; an earlier one replaces the model that the paper starts from."""
    return {kind: label for label, kind in stages.items()}


def conclusions(losses: Mapping[str, Mapping[str, TaskLoss]], stages: Mapping[str, str]) -> Html:
    """A row for each claim of the paper: the held-out loss at first, before and after the claimed stage, and its change."""
    names, rows = list(losses), []
    last = teaches(stages)
    for title, task, kind in CLAIMS:
        label = last.get(kind)
        if label is None or label not in names or any(task not in losses[name] for name in names):
            continue
        own = names.index(label)
        before, after = losses[names[own - 1]][task], losses[label][task]
        difference, error = change(before, after)
        limit = CERTAIN * error
        verdict = "yes" if difference < -limit else "no: it rose" if difference > limit else "no: within the error"
        first = losses[names[0]][task].loss
        rows.append(
            [title, f"{first:.2f}", f"{before.loss:.2f}", f"{after.loss:.2f}", f"{difference:+.2f} ± {error:.2f}",
             _other_image(losses[label], task), verdict]
        )  # fmt: skip
    if not rows:
        return Html()
    head = [
        "the paper's claim",
        "first weights",
        "before the stage",
        "after it",
        "change of loss",
        "with another image",
        "moved",
    ]
    return table(head, rows, ".numbers.claims")


def _other_image(losses: Mapping[str, TaskLoss], task: str) -> str:
    """By how much the loss is higher with another image: not at all if the model ignores the image."""
    if task + OTHER not in losses:
        return NOTHING
    higher, error = change(losses[task], losses[task + OTHER])
    return f"{higher:+.3f} ± {error:.3f}"


def loss_table(losses: Mapping[str, Mapping[str, TaskLoss]], stages: Mapping[str, str]) -> Html:
    """Held-out loss per token by task (rows) and model (columns)."""
    tasks = dict.fromkeys(task for found in losses.values() for task in found)
    rows = []
    for task in tasks:
        values = {name: found.get(task) for name, found in losses.items()}
        best = min((value.loss for value in values.values() if value is not None), default=None)
        example = next(value for value in values.values() if value is not None)
        cells = [
            NOTHING if value is None else _cell(f"{value.loss:.3f}", value.standard_error, 3, value.loss == best,
                                                _expected(task, DIALOGUE, name, stages))
            for name, value in values.items()
        ]  # fmt: skip
        rows.append([task.replace("_", " "), count(example.samples), count(example.tokens), *cells])
    return table(["task", "samples", "tokens", *(_title(name, stages) for name in losses)], rows, ".numbers.models")


def score_table(sets: Mapping[str, Mapping[str, SetScore]], stages: Mapping[str, str]) -> Html:
    """Scores of decoded answers by set (rows) and model (columns)."""
    names = dict.fromkeys(name for found in sets.values() for name in found)
    rows = []
    for name in names:
        values = [found.get(name) for found in sets.values()]
        best = max((value.score for value in values if value is not None), default=0.0)
        example = next(value for value in values if value is not None)
        cells = [
            NOTHING if value is None else _cell(f"{value.score:.1f}", value.standard_error, 1,
                                                value.score == best > 0, _expected(name, ASKED_DIALOGUE, model, stages))
            for model, value in zip(sets, values, strict=True)
        ]  # fmt: skip
        rows.append([_set_title(name), example.metric.replace("_", " "), count(example.samples), *cells])
    head = ["set", "metric", "samples", *(_title(name, stages) for name in sets)]
    return table(head, rows, ".numbers.models")


def _set_title(name: str) -> str:
    return name.replace(ASKED_DIALOGUE, DIALOGUE).replace("_", " ")


def _title(model: str, stages: Mapping[str, str]) -> Html:
    """The heading of a model's column: its stage, and the paper's number of that stage."""
    if model not in stages:
        return tag("span", "first weights")
    own = teaches(stages)[stages[model]] == model
    number = f"stage {STAGE_NUMBER[stages[model]] if own else 0}"
    return tag("span", f"after {model}", tag("small", number))


def _expected(name: str, dialogue: str, model: str, stages: Mapping[str, str]) -> bool:
    if name.endswith(OTHER):
        return False
    kind = "sft" if name.endswith(dialogue) else GAIN.get(name, "multitask" if name != "text" else None)
    return kind is not None and teaches(stages).get(kind) == model


def _cell(value: str, error: float, digits: int, best: bool, expected: bool) -> Html:
    classes = (".best" if best else "") + (".expected" if expected else "")
    return tag(f"span.value{classes}", value, tag("small", f" ± {error:.{digits}f}"))
