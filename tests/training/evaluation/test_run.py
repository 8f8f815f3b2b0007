"""The command from start to end on real shards: killed, on two processes, on Ray, the files are the same."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from qvl.pipeline.base.errors import RecipeError, StaleError
from qvl.pipeline.base.pool import SerialPool
from qvl.pipeline.base.progress import RunProgress
from qvl.training.evaluation.answering.pieces import ModelSettings
from qvl.training.evaluation.run import run
from qvl.training.evaluation.samples.selection import EvalSelection, load_samples
from qvl.training.evaluation.scores import EvaluationResult
from tests.training.evaluation.conftest import ROOT
from tests.training.evaluation.tiny import write_tiny
from tests.training.forked import ForkedCommand

RESULTS = ("predictions.parquet", "scores.json", "report.html")
FLAGS = ("--max-new", "8", "--limit", "20", "--device", "cpu")


def command(tiny: Path, data: list[Path], out: Path, *flags: str) -> list[str]:
    named = [word for path in data for word in ("--data", str(path))]
    return ["eval", "run", str(tiny), *named, *FLAGS, "--output", str(out), *flags]


def pieces(out: Path) -> int:
    return len(list((out / "manifests" / "eval").glob("*.json")))


def same(first: Path, second: Path) -> bool:
    return all((first / name).read_bytes() == (second / name).read_bytes() for name in RESULTS)


@pytest.fixture(scope="module")
def data(grounding_shards: Path, made_shards: Path) -> list[Path]:
    return [grounding_shards, made_shards]


@pytest.fixture(scope="module")
def undisturbed(tiny: Path, data: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed")
    done = ForkedCommand(*command(tiny, data, out, "--json")).finish()
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads((out / "scores.json").read_bytes())
    return out


def test_run_gives_every_sample_an_answer_and_a_score(undisturbed: Path, data: list[Path]) -> None:
    samples = load_samples(
        EvalSelection(tuple(map(str, data)), ("caption", "vqa", "grounding", "ocr"), longest=8, limit=20)
    )
    table = pq.read_table(undisturbed / "predictions.parquet")
    assert table["id"].to_pylist() == [sample.id for sample in samples]
    scores = json.loads((undisturbed / "scores.json").read_bytes())
    assert scores["samples"] == len(samples) == sum(each["samples"] for each in scores["sets"].values())
    assert set(scores["sets"]) == {
        "caption", "region_caption", "vqa", "referring", "grounded_caption", "detection", "ocr"
    }  # fmt: skip
    assert len(set(table["prediction"].to_pylist())) > 1
    assert str(undisturbed.parent) not in (undisturbed / "scores.json").read_text()


def test_page_shows_images_with_regions_and_runs_no_script_of_its_own(undisturbed: Path) -> None:
    page = (undisturbed / "report.html").read_text("utf-8")
    assert page.count("<img ") > 30
    assert page.count('class="truth"') > 30
    assert 'class="asked"' in page
    assert page.count("<script") == 1  # the one of all pages, which marks the contents
    assert "script-src &#x27;sha256-" in page
    assert 'src="http' not in page


def test_run_when_killed_and_resumed_writes_the_same_files(
    undisturbed: Path, tiny: Path, data: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    process = ForkedCommand(*command(tiny, data, out))
    while pieces(out) < 1:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert 1 <= pieces(out) < pieces(undisturbed)
    assert not (out / "scores.json").exists()
    done = ForkedCommand(*command(tiny, data, out)).finish()
    assert done.returncode == 0, done.stderr
    assert same(out, undisturbed)
    assert not (out / ".attempts").exists() or not list((out / ".attempts").iterdir())


def test_run_under_torchrun_writes_the_same_files(
    undisturbed: Path, tiny: Path, data: list[Path], tmp_path: Path
) -> None:
    script = tmp_path / "qvl_command.py"
    script.write_text(f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom qvl.command import main\nmain()\n")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    words = [*torchrun, *command(tiny, data, tmp_path / "out")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert same(tmp_path / "out", undisturbed)
    assert done.stdout.count("report   ") == 1


def test_run_on_ray_writes_the_same_files(undisturbed: Path, tiny: Path, data: list[Path], tmp_path: Path) -> None:
    done = ForkedCommand(*command(tiny, data, tmp_path / "out", "--workers", "ray")).finish()
    assert done.returncode == 0, done.stderr
    assert same(tmp_path / "out", undisturbed)


def test_run_when_the_folder_holds_another_evaluation_is_refused(tiny: Path, made_shards: Path, tmp_path: Path) -> None:
    def go(model: Path = tiny, fresh: bool = False, **asked: object) -> EvaluationResult:
        question = EvalSelection((str(made_shards),), ("caption",), longest=4, **asked)  # type: ignore[arg-type]
        where = ModelSettings(model, "cpu", "float32", 4)
        return run(
            load_samples(question),
            question.description(),
            tmp_path / "out",
            where,
            SerialPool(),
            RunProgress(),
            fresh=fresh,
        )

    first = go()
    assert go() == first
    with pytest.raises(StaleError, match=r"asked\.limit: null -> 3.*--fresh"):
        go(limit=3)
    other = write_tiny(tmp_path / "other", seed=1)
    with pytest.raises(StaleError, match="model: "):
        go(other)
    assert go(other, fresh=True).manifest.model != first.manifest.model
    assert go(tiny, fresh=True) == first


def test_run_when_nothing_can_be_evaluated_is_one_line(tiny: Path, made_shards: Path, tmp_path: Path) -> None:
    where = ModelSettings(tmp_path / "none", "cpu", "auto", 4)
    with pytest.raises(RecipeError, match="none"):
        run(
            load_samples(EvalSelection((str(made_shards),), ("caption",))),
            {},
            tmp_path / "out",
            where,
            SerialPool(),
            RunProgress(),
        )
    with pytest.raises(RecipeError, match="nothing to evaluate"):
        run([], {}, tmp_path / "out", ModelSettings(tiny, "cpu", "auto", 4), SerialPool(), RunProgress())
    done = ForkedCommand("eval", "run", str(tiny), "--data", str(tmp_path / "none"), "-o", str(tmp_path / "o")).finish()
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith("error: ")
