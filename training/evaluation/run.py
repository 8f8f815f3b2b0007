"""An evaluation from start to end: the pieces are answered by all workers, then come scores, predictions and the page."""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import JsonValue

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
from qvl.training.evaluation.scores import EvalScores, EvaluationManifest, EvaluationResult, result_json
from qvl.training.evaluation.scoring import score
from qvl.training.process_group import ProcessGroup

EVALUATION_VERSION = 1
CHANGES_SHOWN = 5
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
    description: dict[str, JsonValue],
    out: Path,
    settings: ModelSettings,
    pool: Pool,
    progress: RunProgress,
    group: ProcessGroup | None = None,
    fresh: bool = False,
) -> EvaluationResult:
    """Answer what is not answered yet, score it, and write the scores, the predictions, the image folders and the page.

    ``description`` says what is evaluated (tasks, split, seed); it becomes part of the results. Raises StaleError if ``out``
    holds another evaluation and ``fresh`` is False.
    """
    out, group = out.resolve(), group or ProcessGroup()
    with ExitStack() as stack:
        group.decide(lambda: _hold(stack, out))
        manifest = group.decide(lambda: _claim(samples, description, out, settings, fresh))
        tasks = _tasks(samples, out, settings, manifest.fingerprint)
        missing = group.decide(lambda: [task.number for task in tasks if committed(task) is None])
        own = missing[group.rank :: group.size]
        if group.is_first:
            stack.enter_context(progress)
            progress.stage("answer", len(own) + len(tasks) - len(missing), len(tasks) - len(missing))
        needs = Resources(gpus=int(settings.device.startswith("cuda")))
        for _, piece in pool.map(answer_piece, [tasks[number] for number in own], needs):
            if group.is_first:
                progress.advance(piece.samples, {"faults": piece.faults} if piece.faults else None)
        group.barrier()
        return group.decide(lambda: _finish(samples, tasks, manifest, out))


def _hold(stack: ExitStack, out: Path) -> None:
    """Lock the output until the stack is left. The lock object itself stays in this process."""
    stack.enter_context(output_lock(out))


def model_identity(folder: Path) -> dict[str, str]:
    """The hash of the files that define a model, whatever its folder is called. Raises RecipeError."""
    try:
        read_config(folder)
    except ModelError as error:
        raise RecipeError(str(error)) from None
    files = sorted({path for pattern in MODEL_FILES for path in folder.glob(pattern)})
    return {"model": merkle_root(f"{path.name} {file_hash(path)}" for path in files)}


def samples_hash(samples: Sequence[EvalSample]) -> str:
    """The hash of questions and true answers, with the positions of images in tars, but without the paths of files."""
    rows = (
        [asdict(replace(sample, images=())), [(image.offset, image.size) for image in sample.images]]
        for sample in samples
    )
    return merkle_root(content_hash(orjson.dumps(row)) for row in rows)


def _manifest(
    samples: Sequence[EvalSample], description: dict[str, JsonValue], settings: ModelSettings
) -> EvaluationManifest:
    content = {
        "version": EVALUATION_VERSION,
        **model_identity(settings.model),
        "dtype": settings.dtype,
        "pieces": [PIECE, LONG_PIECE, LONG],
        "samples": len(samples),
        "samples_hash": samples_hash(samples),
    }
    return EvaluationManifest(**content, asked=description, fingerprint=fingerprint(content))  # type: ignore[arg-type]


def _claim(
    samples: Sequence[EvalSample], description: dict[str, JsonValue], out: Path, settings: ModelSettings, fresh: bool
) -> EvaluationManifest:
    """Write what this evaluation is, or refuse a folder that holds another one. Call it while holding the lock."""
    if not samples:
        raise RecipeError("nothing to evaluate: this side of the split has no sample of these tasks")
    manifest = _manifest(samples, description, settings)
    path = out / "evaluation.json"
    before = read_manifest(path, EvaluationManifest)
    if before is not None and before.fingerprint != manifest.fingerprint:
        changes = json_differences(asdict(before), asdict(manifest))
        changes = [line for line in changes if not line.startswith("fingerprint")]
        if not fresh:
            raise StaleError(
                f"{out} holds another evaluation: {'; '.join(changes[:CHANGES_SHOWN])}. Choose another --output, or run "
                "with --fresh to discard its answers"
            )
        remove_tree(out / "manifests")
        remove_tree(out / "pieces")
    clear_attempts(out)
    replace_file(path, orjson.dumps(asdict(manifest), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS))
    return manifest


def _tasks(
    samples: Sequence[EvalSample], out: Path, settings: ModelSettings, evaluation_fingerprint: str
) -> list[PieceTask]:
    tasks = []
    for number, indexes in enumerate(plan(samples)):
        own = tuple(samples[index] for index in indexes)
        piece_fingerprint = fingerprint([evaluation_fingerprint, number])
        tasks.append(PieceTask(out, number, piece_fingerprint, settings, indexes, own))
    return tasks


def _finish(
    samples: Sequence[EvalSample], tasks: list[PieceTask], manifest: EvaluationManifest, out: Path
) -> EvaluationResult:
    answers = read_answers(tasks, len(samples))
    scores = score(samples, answers)
    with replacing(out / "predictions.parquet") as temporary:
        pq.write_table(predictions(samples, answers, scores), temporary, compression="zstd")
    result = EvaluationResult(manifest, file_hash(out / "predictions.parquet"), scores.sets)
    replace_file(out / "scores.json", orjson.dumps(result_json(result), option=orjson.OPT_INDENT_2))
    folders = {"folders": image_folders(samples, out)}
    replace_file(out / "images.json", orjson.dumps(folders, option=orjson.OPT_INDENT_2))
    write_page(out / "report.html", result, samples, answers, scores)
    return result


def image_folders(samples: Sequence[EvalSample], out: Path) -> list[str]:
    """The folders of all images, relative to ``out`` if they are on a disk. `qvl view` finds the images there."""
    folders = {image.path.rpartition("/")[0] for sample in samples for image in sample.images}
    return sorted(folder if "://" in folder else os.path.relpath(folder, out) for folder in folders)


def predictions(samples: Sequence[EvalSample], answers: Sequence[Answer], scores: EvalScores) -> pa.Table:
    """One row per sample, in the order of the samples."""
    rows = []
    for sample, answer, value in zip(samples, answers, scores.per_sample, strict=True):
        images = [
            Path(image.path).name + (f"@{image.offset}" if image.size is not None else "") for image in sample.images
        ]
        rows.append(
            {
                "id": sample.id, "set": sample.set, "group": sample.group, "metric": sample.metric,
                "prompt": sample.prompt, "answers": list(sample.answers), "prediction": answer.text, "score": value,
                "fault": answer.fault, "likelihoods": list(answer.likelihoods), "images": images,
            }
        )  # fmt: skip
    return pa.Table.from_pylist(rows, PREDICTIONS)
