"""Foreign tars become datasets: what is read of them, what is left out, and that the trainer reads the result."""

import io
import json
import shutil
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import typer
from transformers import PreTrainedTokenizerFast
from typer.testing import CliRunner

from qvl.pipeline.base.errors import DataError, QvlError, RecipeError
from qvl.pipeline.finished.audit import audit
from qvl.pipeline.shards.reader import open_dataset
from qvl.pipeline.shards.sample import SampleRecord
from qvl.pipeline.shards.scan import scan_dataset
from qvl.pipeline.takedown.requests import read_list
from qvl.pipeline.takedown.revoke import revoke
from qvl.training.commands.mix import app
from qvl.training.data.encode import Encoder, Rule
from tests.pipeline.builders.foreign_tars import write_tar
from tests.pipeline.samples import write_img2dataset
from tests.training.conftest import Command
from tests.training.made import of_task, picture, stage, write_dataset, write_recipe


def mix(*arguments: object) -> str:
    """The command in this process; its errors are raised."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit | typer.Exit):
        raise result.exception
    return result.output


def plain(first: int, rows: int) -> Iterable[tuple[str, bytes]]:
    """jpg + txt."""
    for row in range(first, first + rows):
        text = f"一只猫坐在第{row}张椅子上" if row % 4 == 3 else f"  A cat on chair\n{row} "
        yield from ((f"{row:05d}.jpg", picture(row)), (f"{row:05d}.txt", text.encode()))


def talk(question: str, answer: str = "It is red.", **more: Any) -> bytes:
    turns = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    return json.dumps({"id": "x", "conversations": turns, **more}).encode()


def samples(out: Path) -> list[tuple[SampleRecord, list[bytes]]]:
    return [(s.record(), [s.image(n) for n in range(len(s.images))]) for s in scan_dataset(open_dataset(str(out)))]


def test_index_when_tars_hold_pairs_makes_captions_and_leaves_the_tars_alone(tmp_path: Path) -> None:
    tars = [write_tar(tmp_path / "cats" / f"{n}.tar", plain(10 * n, 10)) for n in range(2)]
    before = [tar.read_bytes() for tar in tars]
    assert mix("index", tmp_path / "cats", "--output", tmp_path / "out").startswith("20 samples in 2 shards")
    assert [tar.read_bytes() for tar in tars] == before and len(list((tmp_path / "cats").iterdir())) == 2
    found = samples(tmp_path / "out")
    for row, (content, images) in enumerate(found):
        assert images == [picture(row)]
        assert (content.task, content.source) == ("caption", "cats")
        assert content.language == ("zh" if row % 4 == 3 else "en")
        assert content.turns[1].text.strip() == (
            f"一只猫坐在第{row}张椅子上" if row % 4 == 3 else f"A cat on chair {row}"
        )
        assert (content.origin.file, content.origin.key) == (f"{row // 10}.tar", f"{row:05d}")
    assert audit(tmp_path / "out").discrepancy is None


def test_index_when_tars_come_from_img2dataset_takes_their_urls(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"key": f"{n:09d}", "caption": f"house {n}", "url": f"https://e.org/{n}", "image": picture(n) if n % 3 else None}
        for n in range(12)
    ]  # fmt: skip
    tar = write_img2dataset(tmp_path / "in", "00000", rows)
    table = tar.with_suffix(".parquet").read_bytes()
    mix("index", tmp_path / "in", "--output", tmp_path / "out")
    found = samples(tmp_path / "out")
    assert [content.origin.url for content, _ in found] == [row["url"] for row in rows if row["image"]]
    assert tar.with_suffix(".parquet").read_bytes() == table
    with pytest.raises(RecipeError, match=r"samples without `turns`; --output"):
        mix("index", tmp_path / "in")


def test_index_when_tars_hold_dialogues_lists_what_it_leaves_out_with_reasons(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    image = picture(1)
    members = [
        ("a.jpg", image), ("a.json", talk("<image>\nWhich colour?")),
        ("b.jpg", image), ("b.json", talk("Which colour?")),  # no place: before the question
        ("c.json", talk("What is two and two?", "Four.")),
        ("d.jpg", image), ("d.json", talk("<image><image> Which?")),
        ("e.jpg", image), ("e.json", talk("<image>", "A <box>(1,1),(2,2)</box>.")),
        ("f.jpg", image), ("f.json", b"{"),
        ("g.jpg", b"no image"), ("g.txt", b"a text"),
        ("h.txt", b"a text without image"),
        ("i.jpg", image), ("i.txt", b"  "),
        ("j.jpg", image), ("j.txt", "caf\u00e9".encode("latin-1")),
        ("k.jpg", image), ("k.json", json.dumps({"conversations": [{"from": "gpt", "value": "Hm."}]}).encode()),
    ]  # fmt: skip
    write_tar(tmp_path / "talks" / "0.tar", members)
    content = json.loads(mix("index", tmp_path / "talks", "--output", tmp_path / "out", "--json"))
    assert content["left_out"] == {
        "image_count": 1, "markup": 1, "bad_json": 1, "image:not_an_image": 1, "no_image": 1, "no_caption": 1,
        "not_utf8": 1, "roles": 1,
    }  # fmt: skip
    lines = (tmp_path / "out" / "left_out" / "talks-000000.jsonl").read_text().splitlines()
    assert [json.loads(line)["key"] for line in lines] == list("defghijk")
    found = samples(tmp_path / "out")
    asked = [content.turns[0].text for content, _ in found]
    assert asked == ["Picture 1: <img>0</img>\nWhich colour?"] * 2 + ["What is two and two?"]
    assert [len(images) for _, images in found] == [1, 1, 0]
    encoder = Encoder(tokenizer, Rule(256, 16))
    assert all(len(encoder.encode(content).ids) > 4 for content, _ in found)
    assert audit(tmp_path / "out").discrepancy is None


def test_index_when_killed_and_repeated_continues_and_rebuilds_only_a_changed_tar(tmp_path: Path) -> None:
    folder, out = tmp_path / "cats", tmp_path / "out"
    for number in range(3):
        write_tar(folder / f"{number}.tar", plain(10 * number, 10))
    mix("index", folder, "--output", out)
    files = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    (out / "manifests" / "pack" / "cats-000001.json").unlink()  # killed before the second commit
    (out / "shards" / "dataset.json").unlink()
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*.tar")}
    mix("index", folder, "--output", out)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == files
    assert times[out / "shards" / "cats-000000.tar"] == (out / "shards" / "cats-000000.tar").stat().st_mtime_ns
    write_tar(folder / "1.tar", plain(50, 7))
    mix("index", folder, "--output", out)
    assert len(samples(out)) == 27 and audit(out).discrepancy is None
    (folder / "2.tar").write_bytes((folder / "2.tar").read_bytes()[:5000])
    with pytest.raises(DataError, match=r"2\.tar: truncated_tar"):
        mix("index", folder, "--output", out)


def test_index_when_the_tars_are_our_shards_restores_their_indexes_byte_for_byte(
    tmp_path: Path, datasets: dict[str, Path]
) -> None:
    moved = Path(shutil.copytree(datasets["mixed"], tmp_path / "moved"))
    known = {path: path.read_bytes() for path in moved.iterdir()}
    for path in [*moved.glob("*.parquet"), moved / "dataset.json"]:
        path.unlink()
    mix("index", moved)
    for path, data in known.items():
        if path.suffix != ".json":
            assert path.read_bytes() == data, path
    before, after = open_dataset(str(datasets["mixed"])), open_dataset(str(moved))
    assert (before.hash, before.samples) == (after.hash, after.samples)
    assert before.manifest.tasks == after.manifest.tasks
    with pytest.raises(RecipeError, match="is already in our format"):
        mix("index", moved, "--output", tmp_path / "out")


def test_index_when_our_samples_are_in_third_party_tars_with_pax_headers_reads_them(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "d", "d", [of_task("vqa", n) for n in range(6)])
    with tarfile.open(folder / "d-000000.tar") as tar:
        members = [(m.name, tar.extractfile(m).read()) for m in tar]  # type: ignore[union-attr]
    path = tmp_path / "foreign" / "a.tar"
    path.parent.mkdir()
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size, info.pax_headers = len(data), {"comment": "x"}
            tar.addfile(info, io.BytesIO(data))
    mix("index", path.parent)
    expected = [content for content, _ in samples(folder.parent)]
    assert [content for content, _ in samples(path.parent)] == expected
    (tmp_path / "list").write_text("vqa-0002\nvqa-0005\n")
    revoke(path.parent, read_list(tmp_path / "list"), "2026-11-25")
    assert [content.id for content, _ in samples(path.parent)] == [f"vqa-{n:04d}" for n in (0, 1, 3, 4)]
    assert [images for _, images in samples(path.parent)] == [[picture(n)] for n in (0, 1, 3, 4)]


def test_index_when_repeated_after_a_takedown_leaves_the_sample_out(tmp_path: Path) -> None:
    write_tar(tmp_path / "cats" / "0.tar", plain(0, 10))
    mix("index", tmp_path / "cats", "--output", tmp_path / "out")
    (tmp_path / "list").write_text("cats-000000-0000004\n")
    assert "1 sample of 1 shard taken down" in mix("revoke", tmp_path / "out", tmp_path / "list")
    assert audit(tmp_path / "out").discrepancy is None
    mix("index", tmp_path / "cats", "--output", tmp_path / "out")
    assert len(samples(tmp_path / "out")) == 9 and audit(tmp_path / "out").discrepancy is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("nowhere",), "not a folder with"), (("cats", "--language", "fr"), "choose auto, en or zh")],
)
def test_index_when_the_arguments_are_wrong_says_what_is_wrong(
    arguments: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    write_tar(tmp_path / "cats" / "0.tar", plain(0, 2))
    with pytest.raises(QvlError, match=said):
        mix("index", tmp_path / arguments[0], *arguments[1:])


def test_verify_when_a_sample_of_an_indexed_dataset_was_taken_down_reports_a_difference(
    qvl: Command, start: Path, tmp_path: Path
) -> None:
    write_tar(tmp_path / "cats" / "0.tar", plain(0, 24))
    talks = [
        (f"{n}.{end}", data) for n in range(16) for end, data in (("jpg", picture(n)), ("json", talk(f"Which {n}?")))
    ]
    write_tar(tmp_path / "talks" / "0.tar", talks)
    for name in ("cats", "talks"):
        mix("index", tmp_path / name, "--output", tmp_path / "out" / name)
    folders = {name: tmp_path / "out" / name for name in ("cats", "talks")}
    parts = [{"dataset": name, "weight": 1} for name in folders]
    recipe = write_recipe(tmp_path / "r.yaml", start, folders, stage(mix=parts, steps=3))
    done = qvl("train", "run", str(recipe), "--output", str(tmp_path / "run"), "--loader-workers", "0")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "multitask" / "model" / "config.json").is_file()
    assert qvl("train", "verify", str(tmp_path / "run")).returncode == 0
    (tmp_path / "list").write_text("cats-000000-0000003\n")
    mix("revoke", tmp_path / "out" / "cats", tmp_path / "list")
    told = qvl("train", "verify", str(tmp_path / "run"))
    assert told.returncode == 1 and "the receipts agree" not in told.stdout
