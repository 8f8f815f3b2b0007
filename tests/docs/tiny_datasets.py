"""Tiny files in the formats that docs/sources describes, on which its recipes run."""

import json
import pickle
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pymupdf

from tests.grounding_builder.helpers import dump
from tests.pipeline.builders.text.interleaved_files import mmc4, obelics
from tests.pipeline.samples import jpeg, tar_bytes

CAPTION = "A red fox sleeps beside the old stone wall"
SCORES = ("clip", "nsfw", "watermark", "aesthetic")
WIDTH, HEIGHT = 400, 300
TRAIN, HELD_OUT = 9, 10  # numbers of COCO images


def record(columns: dict[str, str], caption: str, score: float) -> dict[str, Any]:
    """A row with exactly these columns; ``columns`` says what each one is read as."""
    row: dict[str, Any] = {}
    for number, (name, read_as) in enumerate(columns.items()):
        plain = read_as.strip("`")
        if plain.startswith("caption"):
            row[name] = caption
        elif plain.split("`")[0] in SCORES:
            row[name] = score
        elif plain == "url":
            row[name] = "http://example.org/fox.jpg"
        else:
            row[name] = f"{name} {number}"
    return row


def img2dataset(path: Path, rows: list[dict[str, Any]], text: str | None) -> None:
    """A tar as img2dataset writes it, with images, texts and JSON; the download of the last row has failed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    members, statuses = [], []
    for number, row in enumerate(rows):
        key, status = f"0000{number:04d}", "success"
        caption = text if text is not None else row.pop("caption")
        if number == len(rows) - 1:
            status = "failed_to_download"
        else:
            meta = {**row, "caption": caption, "key": key, "status": status}
            members += [
                (f"{key}.jpg", jpeg(number, WIDTH, HEIGHT)),
                (f"{key}.txt", caption.encode()),
                (f"{key}.json", json.dumps(meta).encode()),
            ]
        statuses.append({"key": key, "caption": caption, "url": "http://example.org", "status": status})
    path.write_bytes(tar_bytes(members))
    pq.write_table(pa.Table.from_pylist(statuses), path.with_suffix(".parquet"))
    path.with_name(f"{path.stem}_stats.json").write_text(json.dumps({"count": len(rows)}))


def coco_captions(folder: Path) -> None:
    """Two captions for one image."""
    (folder / "train2014").mkdir(parents=True)
    (folder / "train2014" / "a.jpg").write_bytes(jpeg(1, WIDTH, HEIGHT))
    image = {"id": 1, "file_name": "a.jpg", "width": WIDTH, "height": HEIGHT, "coco_url": "http://example.org/a.jpg"}
    captions = [{"id": n, "image_id": 1, "caption": f"{CAPTION} number {n}"} for n in (1, 2)]
    dump(folder / "annotations" / "captions_train2014.json", {"images": [image], "annotations": captions})


def train2014(folder: Path) -> None:
    """One image to train on and one that belongs to a benchmark."""
    for number in (TRAIN, HELD_OUT):
        path = folder / "train2014" / coco_name(number)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(jpeg(100 + number, WIDTH, HEIGHT))


def coco_name(number: int) -> str:
    return f"COCO_train2014_{number:012d}.jpg"


def refer(folder: Path, name: str, split_by: str) -> None:
    """The references of a dataset: one to train on, and one in the val split."""
    refs, images, annotations = [], [], []
    for number, split in ((TRAIN, "train"), (HELD_OUT, "val")):
        sentence = {"raw": "the fox", "sent": "the fox", "sent_id": number, "tokens": ["the", "fox"]}
        refs.append(
            {"ref_id": number, "ann_id": number, "category_id": 1, "image_id": number, "sent_ids": [number],
             "file_name": coco_name(number).replace(".jpg", "_1.jpg"), "split": split, "sentences": [sentence]}
        )  # fmt: skip
        images.append({"id": number, "file_name": coco_name(number), "width": WIDTH, "height": HEIGHT})
        box = {"bbox": [100.0, 50.0, 200.0, 100.0], "category_id": 1}
        annotations.append({"id": number, "image_id": number, **box})
    (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / name / f"refs({split_by}).p").write_bytes(pickle.dumps(refs, 2))
    dump(folder / name / "instances.json", {"images": images, "annotations": annotations, "categories": []})


def grit(folder: Path) -> None:
    """A row as on the dataset card: a phrase and its expansion, with spans as floats."""
    span = [2.0, 9.0, 0.1, 0.2, 0.6, 0.7, 0.9]
    row = {
        "key": "00000",
        "id": 1,
        "url": "http://example.org",
        "caption": CAPTION,
        "width": 2 * WIDTH,
        "height": 2 * HEIGHT,
        "noun_chunks": [span],
        "ref_exps": [span],
        "clip_similarity_vitb32": 0.3,
        "clip_similarity_vitl14": 0.2,
    }
    folder.mkdir(parents=True)
    members = [("00000.jpg", jpeg(3, WIDTH, HEIGHT)), ("00000.json", json.dumps(row).encode())]
    (folder / "00000.tar").write_bytes(tar_bytes(members))


def visual_genome(folder: Path) -> None:
    """Two images, one of which belongs to a benchmark by its ``coco_id``."""
    images = []
    for number, coco_id in ((1, None), (2, HELD_OUT)):
        url = f"https://example.org/VG_100K/{number}.jpg"
        images.append({"image_id": number, "url": url, "width": WIDTH, "height": HEIGHT, "coco_id": coco_id})
        path = folder / "VG_100K" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(200 + number, WIDTH, HEIGHT))
    dump(folder / "image_data.json", images)
    region = {"phrase": "a fox", "x": 10, "y": 10, "width": 100, "height": 80}
    thing = {"x": 10, "y": 10, "w": 100, "h": 80, "names": ["fox"]}
    qa = {"question": "What is it?", "answer": "A fox."}
    dump(folder / "region_descriptions.json", [{"id": n, "regions": [{**region, "region_id": n}]} for n in (1, 2)])
    dump(folder / "objects.json", [{"image_id": n, "objects": [{**thing, "object_id": n}]} for n in (1, 2)])
    dump(folder / "question_answers.json", [{"id": n, "qas": [{**qa, "qa_id": n, "image_id": n}]} for n in (1, 2)])


def questions(folder: Path) -> None:
    """One question from each dataset, in its released layout."""
    answer = {"answer": "fox", "answer_confidence": "yes", "answer_id": 1}
    vqa = [{"question_id": n, "image_id": n, "question": "What is it?"} for n in (TRAIN, HELD_OUT)]
    vqav2 = folder / "vqav2"
    dump(vqav2 / "v2_OpenEnded_mscoco_train2014_questions.json", {"questions": vqa})
    answers = [{"question_id": q["question_id"], "image_id": q["image_id"], "answers": [answer]} for q in vqa]
    dump(vqav2 / "v2_mscoco_train2014_annotations.json", {"annotations": answers})
    dump(folder / "gqa" / "train_balanced_questions.json", {"7": {"imageId": "1", "question": "Red?", "answer": "yes"}})
    text = {
        "question_id": 1,
        "question": "Brand?",
        "image_id": "ab",
        "answers": ["fox", "fox", "x"],
        "set_name": "train",
    }
    dump(folder / "textvqa" / "train.json", {"data": [text, {**text, "question_id": 2, "set_name": "val"}]})
    page = {
        "questionId": 3,
        "question": "Date?",
        "image": "documents/x.jpg",
        "answers": ["1993"],
        "data_split": "train",
    }
    dump(folder / "docvqa" / "train.json", {"data": [page]})
    for part in ("human", "augmented"):
        dump(folder / "chartqa" / f"train_{part}.json", [{"imgname": "1.jpg", "query": "How many?", "label": "14"}])
    book = {"imageURL": "http://example.org/5.jpg", "questions": ["Title?"], "answers": ["Foxes"], "split": 1}
    dump(folder / "ocrvqa" / "dataset.json", {"07": book, "08": {**book, "split": 3}})
    choice = {"questionId": "5-0", "correctAnswer": 1, "answerTexts": ["fox", "hare"]}
    dump(folder / "ai2d" / "questions" / "5.json", {"imageName": "5.jpg", "questions": {"Which eats grass?": choice}})
    bar = {"image": "bar.jpg", "question": "Value of A?", "answer": "7", "question_id": 4}
    dump(folder / "dvqa" / "train_qa.json", [bar])
    for number, name in enumerate(
        ("gqa/images/1", "textvqa/images/ab", "docvqa/documents/x", "chartqa/images/1", "ocrvqa/images/07",
         "ai2d/images/5", "dvqa/images/bar")
    ):  # fmt: skip
        path = folder / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(300 + number, WIDTH, HEIGHT))


def documents(folder: Path) -> None:
    """A document with a page of text, and one whose text has letters from Latin Extended-A."""
    folder.mkdir(parents=True)
    for name, text in (("english", CAPTION), ("polish", "Żółty lis śpi obok starego muru")):
        document = pymupdf.open()
        written = pymupdf.TextWriter(document.new_page().rect)
        for line in range(5):
            written.append((72, 100 + 40 * line), f"{text} {line}", fontsize=16)
        written.write_text(document[0])
        document.save(folder / f"{name}.pdf")
        document.close()


def dialogues(folder: Path) -> None:
    """A text, an article, and one dialogue in each layout."""
    paragraph = "The old wall stands beside the river, and a fox sleeps on it. "
    (folder / "books").mkdir(parents=True)
    (folder / "books" / "a.txt").write_text(paragraph * 3)
    dump(folder / "articles" / "a.jsonl", {"text": paragraph * 2})
    (folder / "images").mkdir()
    (folder / "images" / "a.jpg").write_bytes(jpeg(5, WIDTH, HEIGHT))
    messages = [{"role": "user", "content": "What sleeps here?"}, {"role": "assistant", "content": "A fox."}]
    dump(folder / "messages.jsonl", {"messages": messages})
    shown = [{"from": "human", "value": "<image>\nWhat is it?"}, {"from": "gpt", "value": "A fox."}]
    dump(folder / "conversations.json", [{"image": "a.jpg", "conversations": shown}])
    answer = "<ref>The fox</ref><box>(100,100),(500,600)</box>"
    grounded = [{"from": "human", "value": "<image>\nWhere is it?"}, {"from": "gpt", "value": answer}]
    dump(folder / "places.jsonl", {"image": "a.jpg", "conversations": grounded})


def interleaved(folder: Path) -> None:
    """A document of each dataset: two of MMC4 and OBELICS with two pictures, one of OmniCorpus with a lost picture."""
    addresses = [f"https://example.org/{number}.jpg" for number in range(3)]
    obelics(
        folder / "obelics" / "part-0.parquet", [([addresses[0], None, addresses[1]], [None, "Between them.", None])]
    )
    obelics(folder / "omnicorpus" / "part-0.parquet", [([addresses[2], None, addresses[0]], [None, "After it.", None])])
    (folder / "mmc4").mkdir()
    mmc4(folder / "mmc4" / "docs.jsonl", [(["One.", "Two."], [("1.jpg", 1), ("2.jpg", 0)])])
    for name, numbers in (("obelics", (0, 1)), ("omnicorpus", (2,))):
        members = []
        for number in numbers:
            meta = json.dumps({"url": addresses[number]}).encode()
            members += [(f"{number:09d}.jpg", jpeg(number, 200, 160)), (f"{number:09d}.json", meta)]
        tars = folder / f"{name}-tars" / "part-0"
        tars.mkdir(parents=True)
        (tars / "00000.tar").write_bytes(tar_bytes(members))
    (folder / "mmc4-images").mkdir()
    for number in (1, 2):
        (folder / "mmc4-images" / f"{number}.jpg").write_bytes(jpeg(number, 200, 160))
