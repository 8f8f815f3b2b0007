"""A conversation with a model."""

from pathlib import Path

from PIL import Image

from qvl.model.commands.chat import Chat, plain_answer


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


def test_plain_answer_ends_where_the_turn_ends() -> None:
    assert plain_answer(" a cat<|im_end|>\n<|im_start|>user") == "a cat"
    assert plain_answer("a cat<|endoftext|>b") == "a cat"
