"""`qvl model`, its conversation and the drawing of boxes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from qvl.model.commands.chat import Chat, plain_answer
from qvl.model.commands.command import app
from qvl.model.commands.draw import draw_regions, find_regions

run = CliRunner().invoke


def test_info_prints_the_exact_counts_of_a_preset() -> None:
    done = run(app, ["info", "qwen-vl", "--json"])
    assert done.exit_code == 0
    counts = {row["part"]: row["parameters"] for row in json.loads(done.stdout)["parts"]}
    assert counts["vision"] == 1_842_770_688
    assert counts["language"] == 7_721_324_544
    assert "9,656,935,168" in run(app, ["info", "qwen-vl"]).stdout


def test_info_prints_the_counts_of_a_folder(imported: Path) -> None:
    rows = json.loads(run(app, ["info", str(imported), "--json"]).stdout)["parts"]
    assert rows[-1]["part"] == "total"
    assert rows[1]["fixed"] == 256 * 256


def test_commands_print_one_line_and_exit_with_2_when_the_user_is_wrong(tmp_path: Path) -> None:
    done = run(app, ["info", "huge"])
    assert done.exit_code == 2
    assert "neither a preset" in done.stderr
    assert run(app, ["import", "qwen-vl", str(tmp_path), str(tmp_path / "out")]).exit_code == 2


def test_import_and_export_write_a_folder(released: Path, tmp_path: Path) -> None:
    ours, back = tmp_path / "ours", tmp_path / "back"
    assert run(app, ["import", "qwen-vl", str(released), str(ours), "--dtype", "bfloat16"]).exit_code == 0
    assert (ours / "tokenizer.json").is_file()
    assert run(app, ["export", str(ours), str(back), "--layout", "released"]).exit_code == 0
    assert json.loads((back / "config.json").read_text())["visual"]["layers"] == 2


def test_help_does_not_import_torch() -> None:
    code = "import sys; import qvl.model.commands.command; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[3], check=False).returncode == 0


def test_chat_answers_one_question_and_exits(imported: Path, tmp_path: Path) -> None:
    Image.new("RGB", (40, 30), (9, 99, 200)).save(tmp_path / "x.png")
    arguments = ["chat", str(imported), "--image", str(tmp_path / "x.png"), "--ask", "the cat?", "--length", "5"]
    done = run(app, arguments)
    assert done.exit_code == 0, done.output
    assert done.stdout.strip()
    lost = run(app, [*arguments[:3], str(tmp_path / "none.png"), *arguments[4:]])
    assert lost.exit_code == 2
    assert "none.png" in lost.stderr


def test_chat_keeps_its_turns_and_draws_boxes(imported: Path, tmp_path: Path) -> None:
    Image.new("RGB", (100, 50), (255, 255, 255)).save(tmp_path / "x.png")
    chat = Chat(imported)
    chat.ask("the cat", [tmp_path / "x.png"], length=3)
    chat.ask("and the other", [], length=3)
    assert [message["role"] for message in chat.messages] == ["user", "assistant"] * 2
    text = chat.processor.apply_chat_template(chat.messages)
    assert text.count("Picture 1: <img></img>\n") == 1
    answer = "<ref> the cat</ref><box>(0,0),(499,999)</box>"
    assert chat.draw(answer, tmp_path / "boxes.png") == 1
    picture = Image.open(tmp_path / "boxes.png").convert("RGB")
    assert picture.size == (100, 50)
    assert picture.getpixel((50, 30)) != (255, 255, 255)
    assert picture.getpixel((80, 30)) == (255, 255, 255)
    assert chat.draw("no box", tmp_path / "none.png") == 0
    assert not (tmp_path / "none.png").exists()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("<ref> cat</ref><box>(0,0),(999,999)</box>", [("cat", ((0, 0), (1, 0), (1, 1), (0, 1)))]),
        ("<box>(999,0),(0,999)</box>", [("", ((1, 0), (0, 0), (0, 1), (1, 1)))]),
        ("<quad>(0,0), (999,0), (999,999), (0,999)</quad>", [("", ((0, 0), (1, 0), (1, 1), (0, 1)))]),
        ("<ref>a</ref><box>(0,0)</box><box>(0,x),(1,2)</box>", []),
        ("no markup", []),
    ],
)
def test_find_regions_reads_boxes_and_quads(
    answer: str, expected: list[tuple[str, tuple[tuple[float, float], ...]]]
) -> None:
    assert [(region.phrase, region.corners) for region in find_regions(answer)] == expected


def test_draw_regions_gives_boxes_of_one_phrase_one_colour() -> None:
    regions = find_regions("<ref>猫</ref><box>(0,0),(300,999)</box><box>(600,0),(999,999)</box>")
    assert [region.phrase for region in regions] == ["猫", "猫"]
    picture = draw_regions(Image.new("RGB", (300, 300), "white"), regions)
    assert picture.getpixel((90, 200)) == picture.getpixel((180, 200)) != (255, 255, 255)


def test_plain_answer_ends_where_the_turn_ends() -> None:
    assert plain_answer(" a cat<|im_end|>\n<|im_start|>user") == "a cat"
    assert plain_answer("a cat<|endoftext|>b") == "a cat"
