"""Commands over data whose keys, captions, URLs and file names try to control the terminal."""

import json
from pathlib import Path

import pytest

from tests.adversary.commands import Ended, qvl
from tests.pipeline.base.test_screen import raw
from tests.pipeline.base.test_terminal import HOSTILE
from tests.pipeline.samples import jpeg, write_img2dataset
from tests.shared import built_once

FILE = "e\x1b]0;owned\x07\u202evil.jsonl"
TEXTS = [text.replace("\0", "") for text in HOSTILE.values() if "\udcff" not in text]


def build(folder: Path) -> None:
    """A finished curation of rows with hostile texts, one of which is a duplicate and one dropped."""
    rows = [
        {"caption": f"a picture number {n} {text}", "url": f"http://x/{n}{text}", "key": f"k{n}{text}"}
        for n, text in enumerate([*TEXTS, TEXTS[0]])
    ]
    (folder / "pictures").mkdir()
    lines = []
    for n, row in enumerate(rows):
        name = f"{n}\x1b[31m\u202e.jpg"
        (folder / "pictures" / name).write_bytes(jpeg(n % len(TEXTS)))
        lines.append(json.dumps({**row, "file": name if n != 2 else f"absent{name}"}))
    (folder / FILE).write_text("\n".join(lines) + "\n")
    write_img2dataset(folder / "web", "00000", [{**row, "image": jpeg(100 + n)} for n, row in enumerate(rows)])
    table = {"kind": "table", "paths": [str(folder / "*.jsonl")], "image_folder": str(folder / "pictures")}
    columns = {"caption": "caption", "url": "url", "key": "key", "path": "file"}
    recipe = {
        "name": "hostile",
        "sources": [
            {"name": "table", "read": {**table, "columns": columns}},
            {"name": "web", "read": {"kind": "webdataset", "paths": [str(folder / "web" / "*.tar")]}},
        ],
        "dedup": {"image": True},
    }
    (folder / "recipe.json.yaml").write_text(json.dumps(recipe))
    ended = qvl("curate", "run", str(folder / "recipe.json.yaml"), "--output", str(folder / "out"))
    assert ended.status == 0, ended.err
    shown(ended)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built_once(tmp_path_factory, "hostile", build)


def shown(ended: Ended) -> str:
    """What a command printed, none of which may control a terminal."""
    assert not raw(ended.out + ended.err), ended
    return ended.out + ended.err


@pytest.mark.parametrize("row", range(len(TEXTS) + 1))
def test_trace_when_texts_are_hostile_shows_escapes(hostile: Path, row: int) -> None:
    ended = qvl("curate", "trace", str(hostile / "out"), "--row", FILE, str(row))
    assert ended.status == 0
    assert "e\\x1b]0;owned\\x07\\u202evil" in "".join(shown(ended).split()).replace("│", "")


def test_trace_as_json_when_texts_are_hostile_is_exact(hostile: Path) -> None:
    for row, text in enumerate(TEXTS):
        ended = qvl("curate", "trace", str(hostile / "out"), "--row", FILE, str(row), "--json")
        found = json.loads(ended.out)
        assert found["file"] == FILE
        assert found["columns"]["caption_raw"] == f"a picture number {row} {text}"


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["curate", "plan", "{recipe}", "--output", "{out}"], 0),
        (["curate", "audit", "{out}"], 0),
        (["curate", "audit", "{out}\x1b[31m"], 2),
        (["curate", "trace", "{out}", "--row", "absent\u202e", "0"], 2),
        (["curate", "trace", "{out}", "\x1b]8;;http://x\x07-1"], 2),
        (["curate", "whatif", "{out}", "--by", "caption_raw,url"], 0),
        (["curate", "whatif", "{out}", "\x1b[31m.x=1"], 2),
        (["curate", "run", "{recipe}\x1b[31m", "--output", "{out}"], 2),
        (["mix", "diff", "{out}", "{out}"], 0),
        (["mix", "stats", "{out}"], 0),
        (["mix", "diff", "{out}", "\x1b[31m\u202e"], 2),
        (["view", "{out}\x1b[31m"], 2),
        (["\x1b[31m"], 2),
        (["\u202e\x1b[31m"], 2),
        (["--\u202e\x1b[31m"], 2),
        (["doctor", "\u202e\x1b[31m"], 2),
        (["curate", "run", "{recipe}", "--\u202e\x1b[31m"], 2),
        (["view", "{out}", "--port", "\u202e\x1b[31m"], 2),
    ],
    ids=lambda value: " ".join(value).encode("unicode_escape").decode() if isinstance(value, list) else "",
)
def test_command_when_texts_are_hostile_shows_escapes(hostile: Path, arguments: list[str], status: int) -> None:
    places = {"out": str(hostile / "out"), "recipe": str(hostile / "recipe.json.yaml")}
    ended = qvl(*(each.format(**places) for each in arguments))
    shown(ended)
    assert ended.status == status, ended
