"""The annotations of the pictures in exactly the schemas of RefCOCO, Visual Genome, GRIT, COCO and VQAv2, oddities too."""

import io
import json
import pickle
import random
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from grounding_photos import CAFETERIA_QUESTIONS, OBJECTS, Photo, Thing
from PIL import Image

SPLITS = {11: "val", 12: "testA", 13: "testB", 14: "val"}  # images of RefCOCO that must not be trained on
FIRST_COMPOSITE = 3
QUESTION_SEED = 20_260_704
Record = dict[str, Any]


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
    failed = {"key": f"00000{len(rows):04d}", "url": "https://example.org/gone.jpg", "caption": "gone"}
    write_shard(folder / "00000.tar", rows, images, [{**failed, "status": "failed_to_download"}])


def write_more_grit(folder: Path, photos: list[Photo]) -> None:
    """Another shard, so that there is enough of it to train on."""
    rows = [{**grit_row(n + 1, photo), "key": f"00001{n:04d}"} for n, photo in enumerate(photos)]
    write_shard(folder / "00001.tar", rows, [photo.data for photo in photos], [])


def write_shard(path: Path, rows: list[Record], images: list[bytes], failed: list[Record]) -> None:
    """As img2dataset writes it: image, text and JSON in a tar; a table of all rows next to it."""
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for row, data in zip(rows, images, strict=True):
            add(tar, f"{row['key']}.jpg", data)
            add(tar, f"{row['key']}.txt", row["caption"].encode())
            add(tar, f"{row['key']}.json", json.dumps(row, ensure_ascii=False).encode())
    table = [{"key": r["key"], "url": r["url"], "caption": r["caption"], "status": "success"} for r in rows]
    pq.write_table(pa.Table.from_pylist([*table, *failed]), path.with_suffix(".parquet"))


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


def write_vqav2(folder: Path, photos: list[Photo]) -> None:
    """Questions by hand on the first photograph, by template on the composites; those on image 11 must be held back."""
    questions, annotations = [], []
    asked = [(photos[0], question, answers) for question, answers in CAFETERIA_QUESTIONS]
    rng = random.Random(QUESTION_SEED)
    for photo in photos[FIRST_COMPOSITE - 1 :]:
        if photo.number == 11 or photo.number not in SPLITS:
            asked += [(photo, question, (answer,) * 3) for question, answer in composite_questions(photo, rng)]
    for n, (photo, question, answers) in enumerate(asked):
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


def composite_questions(photo: Photo, rng: random.Random) -> list[tuple[str, str]]:
    """Questions about what is there, what is not and what is leftmost; the answers are true by construction."""
    there = [each.category for each in photo.things]
    absent = [english for _, english, _ in OBJECTS if english not in there]
    chinese = [zh for _, english, zh in OBJECTS if english in there]
    leftmost = min(photo.things, key=lambda each: each.bbox[0] + each.bbox[2] / 2)
    highest = min(photo.things, key=lambda each: each.bbox[1] + each.bbox[3] / 2)
    return [
        (f"Is there a {rng.choice(there)} in the picture?", "yes"),
        (f"Is there a {rng.choice(absent)} in the picture?", "no"),
        ("Which emoji is furthest to the left?", leftmost.category),
        ("Which emoji is at the top?", highest.category),
        ("How many emoji are in the picture?", str(len(there))),
        (f"图片里有{rng.choice(chinese)}吗？", "有"),
    ]


def jpeg(image: Image.Image, quality: int) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()
