"""Make the pictures of `training/recipes/experiments`: emoji and numbers on a light ground, with exact boxes.

    python examples/experiment_data.py --output out/experiments/data

Fluent emoji (MIT) and their names in many languages (emojibase, MIT) come from npm, pinned and checked by hash.
Annotations are written in the schemas of GRIT and TextVQA, and `qvl ground build` makes the datasets of them:

    scenes    1 to 4 emoji, phrases of three lengths
    unseen    1 or 2 emoji: sources known (of `scenes`), new_concept (of its categories, never shown there) and new_category
    names     one emoji of `scenes`: where is it and what is it, in six languages (sources names_en, asked_en, ...) and in
              none: `thing` asks where the thing is, `kind` for the number of its kind
    detail    a number and an emoji of 3 to 25% of the side, on 672 pixels; all others have 112
"""

import argparse
import io
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from corpus_packages import EMOJIBASE, FLUENT, Archives
from grounding_photos import Thing
from make_grounding import free_place
from PIL import Image, ImageDraw, ImageFont

HERE = Path(__file__).parent
SEED = 20_261_125
SIDE, DETAIL_SIDE = 112, 672
KNOWN = {
    "animals": ("1f438", "1f98a", "1f418", "1f433", "1f437", "1f41d", "1f980", "1f427"),
    "food": ("1f34e", "1f34c", "1f349", "1f955", "1f346", "1f369", "1f966", "1f34b"),
    "objects": ("1f511", "1f4f7", "1f4d8", "1f514", "1f388", "26bd", "1f3b8", "1f4e6"),
}
NEW_CONCEPTS = ("1f989", "1f419", "1f355", "1f951", "1f512", "1f4da")
NEW_CATEGORY = ("1f697", "1f692", "26f5", "1f680", "1f681", "1f6b2")
ASKED = {  # what a picture with one thing is asked; the languages beyond English and Chinese are those of experiment 5
    "en": "What is in the picture?", "zh": "图中是什么？", "de": "Was ist auf dem Bild?", "es": "¿Qué hay en la imagen?",
    "ru": "Что на картинке?", "ja": "写真には何がありますか？",
}  # fmt: skip
READ = "Which number is written in the picture?"
Labels = dict[str, dict[str, str]]
Record = dict[str, Any]


@dataclass
class Scene:
    """A picture's file name, its JPEG, and what was pasted: code and box (x, y, width, height in pixels)."""

    name: str
    data: bytes
    side: int
    things: list[tuple[str, list[float]]]
    number: str = ""


class Maker:
    """Pastes emoji; everything follows from the seed."""

    def __init__(self, archives: Archives, seed: int) -> None:
        self.rng = random.Random(seed)
        self.assets = archives.path(FLUENT) / "package/assets"
        self.cuts: dict[str, Image.Image] = {}

    def cut(self, code: str) -> Image.Image:
        """An emoji without its empty border."""
        if code not in self.cuts:
            with Image.open(self.assets / f"{code}.webp") as image:
                whole = image.convert("RGBA")
            self.cuts[code] = whole.crop(whole.getchannel("A").point(lambda a: 255 if a > 32 else 0).getbbox())
        return self.cuts[code]

    def background(self, side: int) -> Image.Image:
        """Nearly white: a small model does not learn to look past more within minutes."""
        level = self.rng.randint(225, 255)
        return Image.new("RGB", (side, side), tuple(level - self.rng.randint(0, 12) for _ in range(3)))

    def scene(self, name: str, codes: Sequence[str], shares: tuple[float, float], side: int = SIDE) -> Scene:
        """Emoji that hide nothing of each other; ``shares``: their longer side at least and at most, of the picture's."""
        canvas = self.background(side)
        placed = self._paste(canvas, codes, shares)
        return Scene(name, jpeg(canvas), side, placed)

    def detail(self, name: str, code: str) -> Scene:
        """A number on a sign and an emoji, both from small to large."""
        canvas, number = self.background(DETAIL_SIDE), str(self.rng.randint(0, 9))
        height = round(DETAIL_SIDE * self.rng.uniform(0.03, 0.2))
        font = ImageFont.load_default(height)
        x1, y1, x2, y2 = font.getbbox(number)
        sign = Image.new("RGB", (round(x2 - x1 + height * 0.4), round(y2 - y1 + height * 0.4)), "white")
        ImageDraw.Draw(sign).text((height * 0.2 - x1, height * 0.2 - y1), number, "black", font)
        place = self.rng.randint(0, DETAIL_SIDE - sign.width), self.rng.randint(0, DETAIL_SIDE - sign.height)
        canvas.paste(sign, place)
        hidden = Thing([*map(float, place), float(sign.width), float(sign.height)], number, ())
        placed = self._paste(canvas, [code], (0.05, 0.25), [hidden])
        return Scene(name, jpeg(canvas), DETAIL_SIDE, placed, number)

    def _paste(
        self, canvas: Image.Image, codes: Sequence[str], shares: tuple[float, float], things: Sequence[Thing] = ()
    ) -> list[tuple[str, list[float]]]:
        taken, placed = list(things), []
        for code in codes:
            cut = self.cut(code).copy()
            longest = round(canvas.width * self.rng.uniform(*shares))
            cut.thumbnail((longest, longest), Image.Resampling.LANCZOS)
            place = free_place(canvas.size, cut.size, taken, self.rng)
            if place is None:
                continue
            canvas.paste(cut, place, cut)
            box = [float(place[0]), float(place[1]), float(cut.width), float(cut.height)]
            taken.append(Thing(box, code, ()))
            placed.append((code, box))
        return placed


def jpeg(image: Image.Image) -> bytes:
    target = io.BytesIO()
    image.save(target, "JPEG", quality=85)
    return target.getvalue()


def labels_of(archives: Archives) -> Labels:
    """Language -> emoji code -> name."""
    folder = archives.path(EMOJIBASE) / "package"
    found: Labels = {}
    for language in ASKED:
        entries = orjson.loads((folder / language / "data.json").read_bytes())
        found[language] = {entry["hexcode"].lower().replace("-fe0f", ""): entry["label"] for entry in entries}
    return found


def phrase(label: str, length: int, box: list[float], side: int) -> str:
    """A name alone (0), with its side (1), or with its corner and size (2)."""
    column = "right" if box[0] + box[2] / 2 > side / 2 else "left"
    row = "bottom" if box[1] + box[3] / 2 > side / 2 else "top"
    size = "large" if max(box[2:]) > 0.3 * side else "small"
    return (label, f"the {label} on the {column}", f"the {size} {label} at the {row} {column} of the picture")[length]


def grit(scene: Scene, phrases: Sequence[str], joint: str = ", ") -> Record:
    """A row of GRIT: a caption whose spans have boxes as fractions."""
    spans, start = [], 0
    for text, (_, (x, y, w, h)) in zip(phrases, scene.things, strict=True):
        corners = (x / scene.side, y / scene.side, (x + w) / scene.side, (y + h) / scene.side)
        spans.append([start, start + len(text), *corners, 1.0])
        start += len(text) + len(joint)
    return {
        "key": scene.name, "caption": joint.join(phrases), "width": scene.side, "height": scene.side, "ref_exps": spans,
        "noun_chunks": spans,
    }  # fmt: skip


def question(scene: Scene, text: str, answer: str, number: int) -> Record:
    """A row of TextVQA."""
    return {
        "question_id": number,
        "image_id": scene.name,
        "question": text,
        "answers": [answer],
        "set_name": "train",
    }


def known_codes() -> list[str]:
    return [code for codes in KNOWN.values() for code in codes]


def write_scenes(folder: Path, maker: Maker, labels: Labels, count: int) -> list[Record]:
    rows = []
    for scene in saved(folder, count, lambda name: several(maker, name)):
        named = [(labels["en"][code], maker.rng.randrange(3), box) for code, box in scene.things]
        rows.append(grit(scene, [phrase(label, length, box, scene.side) for label, length, box in named]))
    return [boxes(folder, "scenes", rows, "en", ("referring",))]


def several(maker: Maker, name: str) -> Scene:
    number = maker.rng.choice((1, 1, 2, 2, 3, 4))
    shares = (0.2, 0.8) if number == 1 else (0.15, 0.5)
    return maker.scene(name, maker.rng.sample(known_codes(), number), shares)


def write_unseen(folder: Path, maker: Maker, labels: Labels, count: int) -> list[Record]:
    sources = []
    for source, codes in (("known", known_codes()), ("new_concept", NEW_CONCEPTS), ("new_category", NEW_CATEGORY)):

        def make(name: str, codes: Sequence[str] = codes, source: str = source) -> Scene:
            return maker.scene(f"{source}-{name}", maker.rng.sample(codes, maker.rng.randint(1, 2)), (0.3, 0.6))

        scenes = saved(folder, 2 * count if source == "known" else count, make)
        rows = [grit(scene, [labels["en"][code] for code, _ in scene.things]) for scene in scenes]
        sources.append(boxes(folder, source, rows, "en"))
    return sources


def write_names(folder: Path, maker: Maker, labels: Labels, count: int) -> list[Record]:
    codes = known_codes()
    scenes = list(saved(folder, count, lambda name: maker.scene(name, [maker.rng.choice(codes)], (0.35, 0.8))))
    kinds = [f"{codes.index(scene.things[0][0]):02d}" for scene in scenes]
    sources = [boxes(folder, "thing", [grit(scene, ["thing"]) for scene in scenes], "en", ("referring",))]
    numbered = [
        question(scene, "Which?", kind, number) for number, (scene, kind) in enumerate(zip(scenes, kinds, strict=True))
    ]
    sources.append(questions(folder, "kind", numbered, "en"))
    for language, text in ASKED.items():
        named = [(scene, labels[language][scene.things[0][0]]) for scene in scenes]
        prompts = (
            "zh" if language == "zh" else "en"
        )  # the builder has these two; the question's words are the language's
        tasks = ("referring", "region_caption") if language in ("en", "zh") else ("referring",)
        sources.append(
            boxes(folder, f"names_{language}", [grit(scene, [name]) for scene, name in named], prompts, tasks)
        )
        rows = [question(scene, text, name, number) for number, (scene, name) in enumerate(named)]
        sources.append(questions(folder, f"asked_{language}", rows, prompts))
    return sources


def write_detail(folder: Path, maker: Maker, labels: Labels, count: int) -> list[Record]:
    scenes = list(saved(folder, count, lambda name: maker.detail(name, maker.rng.choice(known_codes()))))
    rows = [grit(scene, [labels["en"][code] for code, _ in scene.things]) for scene in scenes if scene.things]
    asked = [question(scene, READ, scene.number, number) for number, scene in enumerate(scenes)]
    return [boxes(folder, "detail_place", rows, "en", ("referring",)), questions(folder, "detail_number", asked, "en")]


def saved(folder: Path, count: int, make: Callable[[str], Scene]) -> Iterator[Scene]:
    """So many scenes, each written below ``images``."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for number in range(count):
        scene = make(f"{number:05d}")
        (folder / "images" / f"{scene.name}.jpg").write_bytes(scene.data)
        yield scene


def boxes(
    folder: Path, source: str, rows: list[Record], language: str, tasks: Sequence[str] = ("referring", "region_caption")
) -> Record:
    """Write a source's rows; returns its part of the recipe."""
    (folder / f"{source}.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    return {
        "name": source, "kind": "grit", "paths": [f"{source}.jsonl"], "image_folder": "images", "per_image": None,
        "tasks": list(tasks), "language": language,
    }  # fmt: skip


def questions(folder: Path, source: str, rows: list[Record], language: str) -> Record:
    (folder / f"{source}.json").write_bytes(orjson.dumps({"data": rows}))
    return {
        "name": source, "kind": "vqa", "set": "textvqa", "questions": f"{source}.json", "image_folder": "images",
        "language": language,
    }  # fmt: skip


SETS: dict[str, tuple[Callable[[Path, Maker, Labels, int], list[Record]], int]] = {
    "names": (write_names, 2000),
    "scenes": (write_scenes, 2500),
    "unseen": (write_unseen, 500),
    "detail": (write_detail, 1500),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("out/experiments/data"))
    parser.add_argument("--downloads", type=Path, default=Path(tempfile.gettempdir()) / "qvl-corpus-packages")
    parser.add_argument("--only", choices=SETS, action="append", help="Repeatable; all sets if not given")
    options = parser.parse_args()
    archives = Archives(options.downloads)
    labels = labels_of(archives)
    for name in options.only or SETS:
        write, count = SETS[name]
        folder = options.output / "made" / name
        if not (folder / "recipe.yaml").exists():
            folder.mkdir(parents=True, exist_ok=True)
            sources = write(folder, Maker(archives, SEED + list(SETS).index(name)), labels, count)
            recipe = {"name": name, "leaks": "allowed", "sources": sources, "pack": {"shard_rows": 2000, "seed": 0}}
            (folder / "recipe.yaml").write_text(json.dumps(recipe, indent=1), encoding="utf-8")  # JSON is YAML
        command = [
            sys.executable,
            "-c",
            "from qvl.command import main; main()",
            "ground",
            "build",
            str(folder / "recipe.yaml"),
        ]
        subprocess.run([*command, "--output", str(options.output / name)], check=True)


if __name__ == "__main__":
    main()
