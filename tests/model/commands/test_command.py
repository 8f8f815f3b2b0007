"""`qvl model`, its conversation and the drawing of boxes."""

import json
import subprocess
import sys
from pathlib import Path

from PIL import Image
from typer.testing import CliRunner

from qvl.model.commands.command import app

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
