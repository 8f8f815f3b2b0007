"""Figures of mixtures against datasets whose contents are known, and against the real schedule."""

import json
from collections import Counter
from pathlib import Path

import pytest
import typer
from transformers import PreTrainedTokenizerFast
from typer.testing import CliRunner

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.markup.turns import caption_turns, vqa_turns
from qvl.pipeline.shards.reader import open_dataset
from qvl.training.commands.mix import app
from qvl.training.data.datasets import open_all, used_datasets
from qvl.training.data.encode import Rule
from qvl.training.data.lengths import LengthsFolder, LengthsTask, measure_lengths, rule_fingerprint
from qvl.training.data.parts import mix_parts
from qvl.training.data.schedule import Schedule
from qvl.training.data.steps import STREAM_START
from qvl.training.pages.mix.compare import difference, duplicates
from qvl.training.pages.mix.figures import ShareDifference
from qvl.training.pages.mix.page import page
from qvl.training.pages.mix.paper import TABLE2, TABLE3, source_share, task_share
from qvl.training.pages.mix.preflight import preflight
from qvl.training.pages.mix.stats import dataset_stats, recipe_plan
from qvl.training.pages.mix.tokens import TokenCounting
from qvl.training.recipe import load_train_recipe
from tests.training.made import of_task, picture, sample, stage, write_dataset, write_recipe


def counting(tokenizer: PreTrainedTokenizerFast | None, per_shard: int = 1000) -> TokenCounting:
    return TokenCounting(tokenizer, Rule(256, 16), per_shard)


def test_the_papers_tables_add_up() -> None:
    assert sum(millions for _, millions in TABLE3.values()) == pytest.approx(76.8)
    assert sum(millions for _, millions in TABLE2.values()) == pytest.approx(1417.4)
    assert task_share("ocr") == pytest.approx(24.8 / 76.8)
    assert task_share("chat") is None
    assert source_share("LAION-en") == ("LAION-en", pytest.approx(280 / 1417.4))
    assert source_share("laion_zh") == ("LAION-zh", pytest.approx(105 / 1417.4))
    assert source_share("emoji") is None


def test_every_sample_of_a_dataset_is_counted(datasets: dict[str, Path], tokenizer: PreTrainedTokenizerFast) -> None:
    stats = dataset_stats("mixed", open_all({"mixed": str(datasets["mixed"])}), counting(tokenizer))
    (found,) = stats.stages
    assert {cell.task: cell.samples for cell in found.cells} == dict.fromkeys(
        ("caption", "vqa", "ocr", "referring"), 24
    )
    assert all(cell.share == 0.25 for cell in found.cells)
    assert sum(map(sum, found.lengths.values())) == 96
    assert {task: counts[0] for task, counts in found.resolutions.items()} == dict.fromkeys(
        ("caption", "vqa", "ocr", "referring"), 24
    )  # 80 x 60 pixels
    (part,) = found.parts
    assert (part.counted, part.counted_of) == ("encoded", 96)


def test_tokens_by_encoding_all_are_the_measured_ones(
    datasets: dict[str, Path], tokenizer: PreTrainedTokenizerFast, start: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    parts = {"dataset": "mixed", "weight": 1}
    file = write_recipe(tmp_path / "r.yaml", start, {"mixed": datasets["mixed"]}, stage(mix=[parts]))
    recipe = load_train_recipe(file)
    opened = used_datasets(recipe)
    rule = Rule(256, 16)
    for shard in opened["mixed"].shards:
        path = LengthsFolder(run / "lengths", rule_fingerprint(tokenizer, rule)).path_of(shard)
        measure_lengths(LengthsTask(shard, path, tokenizer, rule))
    encoded = recipe_plan(recipe, opened, 1, 1000, None).stages[0]
    measured = recipe_plan(recipe, opened, 1, 1000, run).stages[0]
    assert encoded.parts[0].counted == "encoded"
    assert measured.parts[0].counted == "measured"
    assert measured.parts[0].tokens == pytest.approx(encoded.parts[0].tokens)
    few = recipe_plan(recipe, opened, 1, 4, None).stages[0]
    assert few.parts[0].counted_of < 96
    assert few.parts[0].tokens == pytest.approx(encoded.parts[0].tokens, rel=0.2)


def test_shares_of_a_stage_are_what_the_schedule_draws(datasets: dict[str, Path], start: Path, tmp_path: Path) -> None:
    mix = [
        {"dataset": "mixed", "tasks": ["caption"], "weight": 5},
        {"dataset": "mixed", "tasks": ["ocr"], "weight": 2},
        {"dataset": "text", "weight": 3},
    ]
    chosen = {name: datasets[name] for name in ("mixed", "text")}
    file = write_recipe(tmp_path / "r.yaml", start, chosen, stage(mix=mix, steps=100))
    recipe = load_train_recipe(file)
    opened = used_datasets(recipe)
    (found,) = recipe_plan(recipe, opened, 2, 16, None).stages
    schedule, state = Schedule(recipe.stages[0], mix_parts(recipe.stages[0], opened), recipe.seed), STREAM_START
    drawn: Counter[str] = Counter()
    for _ in range(100):
        step = schedule.plan(state, 0, 1)
        drawn.update(name.partition("-")[0] for name in step.ids)
        state = step.after
    for row in found.paper.tasks:
        assert drawn[row.task] / 800 == pytest.approx(row.share, abs=0.01)
    assert [part.epochs for part in found.parts] == pytest.approx([400 / 24, 160 / 24, 240 / 40], rel=1e-6)


@pytest.mark.parametrize("world", [1, 2, 3, 5, 7])
@pytest.mark.parametrize(
    "batch", [{"size": 8, "unit": "samples", "micro": 2}, {"size": 5, "unit": "sequences", "micro": 1}]
)
def test_preflight_counts_the_micro_batches_of_the_schedule(
    datasets: dict[str, Path], start: Path, tokenizer: PreTrainedTokenizerFast, tmp_path: Path, world: int,
    batch: dict[str, object],
) -> None:  # fmt: skip
    packing = {"packing": "causal", "pack_window": 48} if batch["unit"] == "sequences" else {}
    mix = [{"dataset": "mixed", "weight": 1}]
    file = write_recipe(
        tmp_path / "r.yaml", start, {"mixed": datasets["mixed"]}, stage(mix=mix, batch=batch, **packing)
    )
    recipe = load_train_recipe(file)
    (spec,) = recipe.stages
    parts = mix_parts(spec, used_datasets(recipe))
    found = preflight(recipe, spec, parts, tokenizer, 16, world)
    rule = Rule(spec.length, 16)
    measured = LengthsFolder(tmp_path, rule_fingerprint(tokenizer, rule))
    for shard in parts[0].dataset.shards:
        measure_lengths(LengthsTask(shard, measured.path_of(shard), tokenizer, rule))
    lengths = measured if packing else None
    made = [Schedule(spec, parts, 0, lengths).plan(STREAM_START, rank, world).micro_batches for rank in range(world)]
    assert {len(batches) for batches in made} == {found.micro_batches_per_rank}
    empty = sum(not micro.sequences for batches in made for micro in batches)
    assert found.empty_share == pytest.approx(empty / sum(map(len, made)))
    assert bool(found.problems) == (found.empty_share > 0.1)


def test_same_image_in_two_datasets_is_found_by_its_bytes(tmp_path: Path) -> None:
    shared = [sample(f"a-{n}", "caption", caption_turns(f"{n}", "en"), [picture(n)]) for n in range(20)]
    other = [sample(f"b-{n}", "vqa", vqa_turns("What?", f"{n}"), [picture(n + 15)]) for n in range(20)]
    twice = [*other, sample("b-again", "vqa", vqa_turns("And?", "x"), [picture(15)])]
    paths = {"a": write_dataset(tmp_path / "a", "a", shared), "b": write_dataset(tmp_path / "b", "b", twice)}
    found = duplicates(open_all({name: str(path) for name, path in paths.items()}))
    (across,) = found.across
    assert (across.images, across.samples) == (5, [5, 6])
    for first, second in across.examples:
        assert int(first.removeprefix("a-")) in range(15, 20)
        assert picture(int(first.removeprefix("a-"))) == picture(
            15 + int(second.removeprefix("b-").replace("again", "0"))
        )
    inside = {row.dataset: row for row in found.inside}
    assert (inside["a"].images, inside["a"].distinct, inside["a"].repeated) == (20, 20, 0)
    assert (inside["b"].images, inside["b"].distinct, inside["b"].repeated) == (21, 20, 1)
    assert inside["b"].examples == [("b-0", 2)]


def test_difference_by_id_image_and_content(tmp_path: Path) -> None:
    first = [of_task("caption", n) for n in range(10)]
    changed = sample("caption-0004", "caption", caption_turns("another", "en"), [picture(4)])
    second = [*first[:4], changed, *first[5:8], of_task("vqa", 30)]
    paths = [write_dataset(tmp_path / name, name, rows, 4) for name, rows in (("a", first), ("b", second))]
    a, b = (open_dataset(str(path)) for path in paths)
    found = difference(a, b)
    assert found.samples == [10, 9] and not found.same_bytes
    assert (found.ids.both, found.ids.changed, found.ids.only) == (8, 1, [2, 1])
    assert found.ids.examples == [["caption-0008", "caption-0009"], ["vqa-0030"]]
    assert found.ids.changed_examples == ["caption-0004"]
    assert (found.images.both, found.images.only) == (8, [2, 1])
    assert found.shares["tasks"][0] == ShareDifference("caption", [10, 8], [1.0, pytest.approx(8 / 9)])  # type: ignore[list-item]
    assert difference(a, a).same_bytes


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    bad = "<script>alert(1)</script>"
    row = sample("x-1", "caption", caption_turns("a", "en"), [picture(1)])
    row.content["source"] = bad
    stats = dataset_stats(bad, open_all({bad: str(write_dataset(tmp_path, "d", [row]))}), counting(None))
    text = page(stats)
    assert bad not in text and "&lt;script&gt;" in text and text.count("<script>") == 1


def test_all_absent_files_are_named_at_once(datasets: dict[str, Path], tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "d", "d", [of_task("text", n) for n in range(40)])
    (folder / "d-000000.tar").unlink()
    (folder / "d-000001.parquet").unlink()
    with pytest.raises(DataError, match=r"(?s)nowhere.*d-000000\.tar: missing.*d-000001\.parquet: missing"):
        open_all({"a": str(tmp_path / "nowhere"), "b": str(folder)})


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit | typer.Exit):
        raise result.exception
    return result.exit_code, result.output


def test_commands(datasets: dict[str, Path], start: Path, tmp_path: Path) -> None:
    target = tmp_path / "page.html"
    code, text = run("stats", str(datasets["mixed"]), "--tokenizer", str(start), "--report", str(target))
    assert code == 0 and "24" in text and target.read_text("utf-8").startswith("<!doctype html>")
    code, text = run("stats", str(datasets["mixed"]), "--json")
    assert json.loads(text)["stages"][0]["parts"][0]["counted"] == "estimated"
    mix = [{"dataset": "mixed", "weight": 1}]
    recipe = write_recipe(tmp_path / "r.yaml", start, {"mixed": datasets["mixed"]}, stage(mix=mix))
    assert run("plan", str(recipe), "--world-size", "2")[0] == 0
    code, text = run("plan", str(recipe), "--world-size", "5", "--json", "--no-duplicates")
    content = json.loads(text)
    assert code == 1 and content["duplicates"] is None and content["stages"][0]["preflight"]["problems"]
    assert json.loads(run("stats", str(recipe), "--json")[1])["datasets"][0]["samples"] == 96
    code, text = run("diff", str(datasets["mixed"]), str(datasets["text"]))
    assert code == 1 and "only in A" in text
    assert run("diff", str(datasets["text"]), str(datasets["text"]), "--json")[0] == 0
