"""Predictions in the app: the picture that was asked about, places of truth and answer, several models side by side."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
import pytest

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.images.thumbnail import NoThumbnail
from qvl.pipeline.takedown.requests import read_list
from qvl.pipeline.takedown.revoke import revoke
from qvl.pipeline.view import detail, predictions
from qvl.pipeline.view.output import Output, UserInputs
from qvl.pipeline.view.pictures import picture
from qvl.pipeline.view.tables.queries import counts, keys
from qvl.training.evaluation import run
from qvl.training.evaluation.samples.sample import Answer, EvalSample, ImageLocation
from qvl.training.evaluation.samples.shards import find_shards, read_shards
from qvl.training.evaluation.scoring import score


def evaluated(out: Path, samples: Sequence[EvalSample], texts: dict[str, str]) -> Path:
    """An evaluation's output with these answers (by set), written as a run writes it."""
    answers = [Answer(texts.get(sample.set, "")) for sample in samples]
    out.mkdir(parents=True, exist_ok=True)
    pq.write_table(run.predictions(samples, answers, score(samples, answers)), out / "predictions.parquet")
    (out / "images.json").write_bytes(orjson.dumps({"folders": run.image_folders(samples, out)}))
    return out


@pytest.fixture
def asked(grounding_shards: Path, tmp_path: Path) -> tuple[Path, Path, list[EvalSample]]:
    """A copy of the grounding demo, an evaluation next to it, and what was asked."""
    data = Path(shutil.copytree(grounding_shards, tmp_path / "grounding"))
    samples = list(read_shards(find_shards(data), ["grounding", "caption"]))[:40]
    return data, evaluated(tmp_path / "eval" / "small", samples, {"referring": "<box>(0,0),(500,500)</box>"}), samples


def opened(out: Path, *data: Path) -> tuple[Output, Any]:
    output = Output.open(out, UserInputs(data=data))
    return output, output.database.cursor()


def test_pictures_are_found_where_the_evaluation_saw_them(asked: tuple[Path, Path, list[EvalSample]]) -> None:
    _, out, samples = asked
    assert run.image_folders(samples, out) == ["../../grounding/shards"]
    output, cursor = opened(out)
    query = output.query(cursor, "predictions", [])
    for number, key in enumerate(keys(query, None, False, 0)):
        assert picture(output, cursor, "predictions", key, 0, 160)[8:12] == b"WEBP"
        assert predictions.image(output, query, key, 0) == samples[number].images[0].read()
    with pytest.raises(DataError, match="has 1 pictures"):
        picture(output, cursor, "predictions", "predictions#0", 1, 160)


def test_row_holds_the_boxes_of_question_truth_and_answer(asked: tuple[Path, Path, list[EvalSample]]) -> None:
    _, out, samples = asked
    output, cursor = opened(out)
    at = next(i for i, sample in enumerate(samples) if sample.set == "referring")
    found = detail.row(output, cursor, "predictions", f"predictions#{at}")
    assert isinstance(found, detail.PredictionRow)
    x1, y1, x2, y2 = samples[at].boxes[0]
    assert found.pictures == 1 and found.others == []
    assert found.places["truth"] == [pytest.approx([x1, y1, x2, y1, x2, y2, x1, y2], abs=1e-3)]
    assert found.places["answered"][0][4] == pytest.approx(500 / 999, abs=1e-3)
    region = next(i for i, sample in enumerate(samples) if sample.set == "region_caption")
    card = predictions.previews(output.query(cursor, "predictions", []), [f"predictions#{region}"])
    shown = card[f"predictions#{region}"]
    assert len(shown["_asked"]) == 1 and shown["_wanted"] == samples[region].answers[0] and shown["_said"] == ""
    assert predictions.regions("<img>0</img>Where? <box>", "", "(10,10),(20,20)</box>")[
        "answered"
    ]  # opened by the question


def test_after_a_takedown_the_others_are_still_found(
    asked: tuple[Path, Path, list[EvalSample]], tmp_path: Path
) -> None:
    data, out, samples = asked
    gone = samples[0].id
    (tmp_path / "list.txt").write_text(f"{gone}\n")
    revoke(data, read_list(tmp_path / "list.txt"), "2026-11-25")
    output, cursor = opened(out)
    query = output.query(cursor, "predictions", [])
    with pytest.raises(NoThumbnail, match="rebuilt since"):
        predictions.image(output, query, "predictions#0", 0)
    (data / "shards" / "dataset.json").unlink()  # only the shards are looked at
    for number in range(1, 40):
        assert predictions.image(output, query, f"predictions#{number}", 0)
    shutil.rmtree(data)
    with pytest.raises(NoThumbnail, match="--data FOLDER, the folder of its dataset"):
        predictions.image(*opened_query(out), "predictions#1", 0)


def opened_query(out: Path) -> tuple[Output, Any]:
    output, cursor = opened(out)
    return output, output.query(cursor, "predictions", [])


def test_picture_when_it_is_not_in_a_given_folder_is_not_shown(tmp_path: Path, made_shards: Path) -> None:
    (sample,) = list(read_shards(find_shards(made_shards), ["vqa"]))[:1]
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / "a.png").write_bytes(sample.images[-1].read())
    (tmp_path / "secret.png").write_bytes(sample.images[-1].read())
    places = [tmp_path / "public" / "a.png", tmp_path / "secret.png"]
    public = [replace(sample, images=(ImageLocation(str(path)),)) for path in places]
    out = evaluated(tmp_path / "out", public, {})
    table = pq.read_table(out / "predictions.parquet")
    hostile = table.set_column(10, table.schema.field("images"), [[["a.png"], ["../secret.png"]]])
    pq.write_table(hostile, out / "predictions.parquet")
    output, cursor = opened(out)
    with pytest.raises(NoThumbnail, match="start the app with --data"):
        picture(output, cursor, "predictions", "predictions#0", 0, 160)
    output, cursor = opened(out, tmp_path / "public")
    assert picture(output, cursor, "predictions", "predictions#0", 0, 160)
    with pytest.raises(NoThumbnail):
        picture(output, cursor, "predictions", "predictions#1", 0, 160)


def test_a_journey_shows_all_models_and_the_mixture(asked: tuple[Path, Path, list[EvalSample]], tmp_path: Path) -> None:
    data, _, samples = asked
    journey = tmp_path / "journey"
    for name, text in (("before", ""), ("after", samples[0].answers[0])):
        evaluated(journey / "eval" / name, samples, {sample.set: text for sample in samples})
    recipe = {"name": "j", "datasets": {"ground": {"path": str(data)}, "text": {"path": "../nowhere"}}}
    (journey / "recipe.yaml").write_bytes(orjson.dumps(recipe))
    output, cursor = opened(journey)
    assert list(output.tables) == ["predictions", "samples"]
    assert len(output.related.missing) == 1 and "dataset text: " in output.related.missing[0]
    found = detail.row(output, cursor, "predictions", "after#0")
    assert isinstance(found, detail.PredictionRow)
    assert [(other["model"], other["score"] > 0) for other in found.others] == [("after", True), ("before", False)]
    assert picture(output, cursor, "predictions", "after#0", 0, 160)
    scores = predictions.scores(output.query(cursor, "predictions", [f"set:is:{samples[0].set}"]))
    assert [row[1] for row in scores] == ["after", "before"] and scores[0][3] > scores[1][3] == 0
    mixed = output.query(cursor, "samples", [])
    dataset = orjson.loads((data / "shards" / "dataset.json").read_bytes())
    assert counts(mixed, [mixed.table.column("dataset")]) == [["ground", dataset["samples"], dataset["samples"]]]
    assert picture(output, cursor, "samples", samples[3].id, 0, 160)
