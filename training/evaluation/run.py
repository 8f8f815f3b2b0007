"""An evaluation from start to end: pieces answered by whoever takes part, then scores, predictions and the page."""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from qvl.model.network.errors import ModelError
from qvl.model.weights.folder import read_config
from qvl.pipeline.base.differences import json_differences
from qvl.pipeline.base.errors import RecipeError, StaleError
from qvl.pipeline.base.pool import Pool, Resources
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.commit.attempts import clear_attempts
from qvl.pipeline.commit.fingerprint import content_hash, file_hash, fingerprint, merkle_root
from qvl.pipeline.commit.lock import output_lock
from qvl.pipeline.commit.manifests import read_manifest
from qvl.pipeline.storage.atomic import replace_file, replacing
from qvl.pipeline.storage.paths import remove_tree
from qvl.training.evaluation.answering.pieces import (
    LONG,
    LONG_PIECE,
    PIECE,
    ModelSettings,
    PieceTask,
    answer_piece,
    committed,
    plan,
    read_answers,
)
from qvl.training.evaluation.page import write_page
from qvl.training.evaluation.samples.sample import Answer, EvalSample
from qvl.training.evaluation.scoring import EvalScores, score
from qvl.training.process_group import ProcessGroup

EVALUATION_VERSION = 1
SHOWN = 5
MODEL_FILES = ("*.safetensors", "*.bin", "config.json", "tokenizer.json", "processor_config.json")

PREDICTIONS = pa.schema(
    [
        ("id", pa.string()),
        ("set", pa.string()),
        ("group", pa.string()),
        ("metric", pa.string()),
        ("prompt", pa.string()),
        ("answers", pa.list_(pa.string())),
        ("prediction", pa.string()),
        ("score", pa.float64()),  # 0 to 1 (CIDEr 0 to 10; box: IoU; ocr: 1 - CER, not below 0)
        ("fault", pa.string()),
        ("likelihoods", pa.list_(pa.float64())),
        ("images", pa.list_(pa.string())),  # file name, and @offset in a tar
    ]
)


def run(
    samples: Sequence[EvalSample],
    asked: dict[str, Any],
    out: Path,
    where: ModelSettings,
    pool: Pool,
    progress: RunProgress,
    group: ProcessGroup | None = None,
    fresh: bool = False,
) -> dict[str, Any]:
    """Answer what is not answered yet, score, and write scores, predictions, the folders of the images, and the page.

    ``asked`` says in words what is evaluated (tasks, split, seed); it goes into the results. Returns the scores. Raises
    StaleError where ``out`` holds another evaluation and ``fresh`` is False.
    """
    out, group = out.resolve(), group or ProcessGroup()
    with ExitStack() as stack:
        group.decide(lambda: _hold(stack, out))
        content = group.decide(lambda: _settle(samples, asked, out, where, fresh))
        tasks = _tasks(samples, out, where, content["fingerprint"])
        todo = group.decide(lambda: [task.number for task in tasks if committed(task) is None])
        own = todo[group.rank :: group.size]
        if group.is_first:
            stack.enter_context(progress)
            progress.stage("answer", len(own) + len(tasks) - len(todo), len(tasks) - len(todo))
        needs = Resources(gpus=int(where.device.startswith("cuda")))
        for _, manifest in pool.map(answer_piece, [tasks[number] for number in own], needs):
            if group.is_first:
                progress.advance(manifest["samples"], {"faults": manifest["faults"]} if manifest["faults"] else None)
        group.barrier()
        return group.decide(lambda: _finish(samples, tasks, content, out))


def _hold(stack: ExitStack, out: Path) -> None:
    """Lock the output until the stack is left; the lock itself stays in this process."""
    stack.enter_context(output_lock(out))


def model_identity(folder: Path) -> dict[str, str]:
    """The hash of the files that make a model what it is, whatever the folder is called. Raises RecipeError."""
    try:
        read_config(folder)
    except ModelError as error:
        raise RecipeError(str(error)) from None
    files = sorted({path for pattern in MODEL_FILES for path in folder.glob(pattern)})
    return {"model": merkle_root(f"{path.name} {file_hash(path)}" for path in files)}


def samples_hash(samples: Sequence[EvalSample]) -> str:
    """Of what is asked and what is true, with the sizes of images in tars; not of where images lie."""
    rows = ([asdict(replace(each, images=())), [(at.offset, at.size) for at in each.images]] for each in samples)
    return merkle_root(content_hash(orjson.dumps(row)) for row in rows)


def _settle(
    samples: Sequence[EvalSample], asked: dict[str, Any], out: Path, where: ModelSettings, fresh: bool
) -> dict[str, Any]:
    """What this evaluation is; refused where the folder holds another one. Call it while holding the lock."""
    if not samples:
        raise RecipeError("nothing to evaluate: no sample of these tasks on this side of the split")
    content: dict[str, Any] = {
        "version": EVALUATION_VERSION,
        **model_identity(where.model),
        "dtype": where.dtype,
        "pieces": [PIECE, LONG_PIECE, LONG],
        "samples": len(samples),
        "samples_hash": samples_hash(samples),
    }
    content = {**content, "asked": asked, "fingerprint": fingerprint(content)}
    path = out / "evaluation.json"
    before = read_manifest(path)
    if before is not None and before["fingerprint"] != content["fingerprint"]:
        changes = [line for line in json_differences(before, content) if not line.startswith("fingerprint")]
        if not fresh:
            raise StaleError(
                f"{out} holds another evaluation: {'; '.join(changes[:SHOWN])}. Choose another --output, or run with "
                "--fresh to discard its answers"
            )
        remove_tree(out / "manifests")
        remove_tree(out / "pieces")
    clear_attempts(out)
    replace_file(path, orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS))
    return content


def _tasks(samples: Sequence[EvalSample], out: Path, where: ModelSettings, mark: str) -> list[PieceTask]:
    tasks = []
    for number, places in enumerate(plan(samples)):
        own = tuple(samples[place] for place in places)
        tasks.append(PieceTask(out, number, fingerprint([mark, number]), where, places, own))
    return tasks


def _finish(
    samples: Sequence[EvalSample], tasks: list[PieceTask], content: dict[str, Any], out: Path
) -> dict[str, Any]:
    answers = read_answers(tasks, len(samples))
    scored = score(samples, answers)
    with replacing(out / "predictions.parquet") as temporary:
        pq.write_table(predictions(samples, answers, scored), temporary, compression="zstd")
    scores = {**content, "predictions": file_hash(out / "predictions.parquet"), "sets": scored.sets}
    replace_file(out / "scores.json", orjson.dumps(scores, option=orjson.OPT_INDENT_2))
    replace_file(
        out / "images.json", orjson.dumps({"folders": image_folders(samples, out)}, option=orjson.OPT_INDENT_2)
    )
    write_page(out / "report.html", scores, samples, answers, scored)
    return scores


def image_folders(samples: Sequence[EvalSample], out: Path) -> list[str]:
    """Folders of all images, seen from ``out`` where they lie on a disk: `qvl view` finds the pictures there."""
    folders = {at.path.rpartition("/")[0] for sample in samples for at in sample.images}
    return sorted(folder if "://" in folder else os.path.relpath(folder, out) for folder in folders)


def predictions(samples: Sequence[EvalSample], answers: Sequence[Answer], scored: EvalScores) -> pa.Table:
    """One row per sample, in their order."""
    rows = []
    for sample, answer, value in zip(samples, answers, scored.scores, strict=True):
        places = [Path(at.path).name + (f"@{at.offset}" if at.size is not None else "") for at in sample.images]
        rows.append(
            {
                "id": sample.id, "set": sample.set, "group": sample.group, "metric": sample.metric,
                "prompt": sample.prompt, "answers": list(sample.answers), "prediction": answer.text, "score": value,
                "fault": answer.fault, "likelihoods": list(answer.likelihoods), "images": places,
            }
        )  # fmt: skip
    return pa.Table.from_pylist(rows, PREDICTIONS)
