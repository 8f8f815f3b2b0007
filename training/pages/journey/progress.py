"""Losses and scores of the models of a journey as tables, and whether each moved in the stage that the paper says."""

from collections.abc import Mapping

from qvl.pipeline.html.elements import Html, count, table, tag
from qvl.training.evaluation.scores import SetScore
from qvl.training.heldout.loss import DIALOGUE, OTHER, Loss, change
from qvl.training.heldout.questions import DIALOGUE as ASKED_DIALOGUE

NOTHING = "–"
CERTAIN = 2.0
"""Standard errors that a change must exceed."""
GAIN = {"caption": "pretrain", "ocr": "multitask", "referring": "multitask", "chat": "sft"}
"""Where the paper's reason lies: what the sets are called to the kind of stage that teaches them."""
CLAIMS = (
    ("Captions in stage 1", "caption", "pretrain"),
    ("Reading in stage 2", "ocr", "multitask"),
    ("Grounding in stage 2", "referring", "multitask"),
    ("Dialogues in stage 3", "chat", "sft"),
)
STAGE_NUMBER = {"language": 0, "pretrain": 1, "multitask": 2, "sft": 3}


def teaches(stages: Mapping[str, str]) -> dict[str, str]:
    """Kind of stage to the name of its last stage: a first one of the same kind stands for what the paper starts from."""
    return {kind: label for label, kind in stages.items()}


def conclusions(losses: Mapping[str, Mapping[str, Loss]], stages: Mapping[str, str]) -> Html:
    """A line for each claim of the paper: how the held-out loss changed over that stage and over all others."""
    names, rows = list(losses), []
    last = teaches(stages)
    for title, task, kind in CLAIMS:
        label = last.get(kind)
        if label is None or label not in names or any(task not in losses[name] for name in names):
            continue
        own = names.index(label)
        before, after = losses[names[own - 1]][task], losses[label][task]
        moved, error = change(before, after)
        limit = CERTAIN * error
        said = "yes" if moved < -limit else "no: it rose" if moved > limit else "no: within the error"
        first = losses[names[0]][task].loss
        rows.append(
            [title, f"{first:.2f}", f"{before.loss:.2f}", f"{after.loss:.2f}", f"{moved:+.2f} ± {error:.2f}",
             _looked(losses[label], task), said]
        )  # fmt: skip
    if not rows:
        return Html()
    head = [
        "the paper's reason",
        "first weights",
        "before the stage",
        "after it",
        "change of loss",
        "with another picture",
        "moved",
    ]
    return table(head, rows, ".numbers.claims")


def _looked(losses: Mapping[str, Loss], task: str) -> str:
    """How much higher the loss is beside another picture: nothing where a model does not look."""
    if task + OTHER not in losses:
        return NOTHING
    higher, error = change(losses[task], losses[task + OTHER])
    return f"{higher:+.3f} ± {error:.3f}"


def loss_table(losses: Mapping[str, Mapping[str, Loss]], stages: Mapping[str, str]) -> Html:
    """Held-out loss per token by task (rows) and model (columns)."""
    tasks = dict.fromkeys(task for found in losses.values() for task in found)
    rows = []
    for task in tasks:
        values = {name: found.get(task) for name, found in losses.items()}
        best = min((value.loss for value in values.values() if value is not None), default=None)
        some = next(value for value in values.values() if value is not None)
        cells = [
            NOTHING if value is None else _cell(f"{value.loss:.3f}", value.standard_error, 3, value.loss == best,
                                                _expected(task, DIALOGUE, name, stages))
            for name, value in values.items()
        ]  # fmt: skip
        rows.append([task.replace("_", " "), count(some.samples), count(some.tokens), *cells])
    return table(["task", "samples", "tokens", *(_title(name, stages) for name in losses)], rows, ".numbers.models")


def score_table(sets: Mapping[str, Mapping[str, SetScore]], stages: Mapping[str, str]) -> Html:
    """Scores of decoded answers by set (rows) and model (columns)."""
    names = dict.fromkeys(name for found in sets.values() for name in found)
    rows = []
    for name in names:
        values = [found.get(name) for found in sets.values()]
        best = max((value.score for value in values if value is not None), default=0.0)
        some = next(value for value in values if value is not None)
        cells = [
            NOTHING if value is None else _cell(f"{value.score:.1f}", value.standard_error, 1,
                                                value.score == best > 0, _expected(name, ASKED_DIALOGUE, model, stages))
            for model, value in zip(sets, values, strict=True)
        ]  # fmt: skip
        rows.append([_set_title(name), some.metric.replace("_", " "), count(some.samples), *cells])
    head = ["set", "metric", "samples", *(_title(name, stages) for name in sets)]
    return table(head, rows, ".numbers.models")


def _set_title(name: str) -> str:
    return name.replace(ASKED_DIALOGUE, DIALOGUE).replace("_", " ")


def _title(model: str, stages: Mapping[str, str]) -> Html:
    """What stands over a model's column: its stage, and the paper's number of it."""
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
