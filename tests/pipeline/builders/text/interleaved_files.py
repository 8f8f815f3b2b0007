"""Interleaved documents in the published layouts, with made pictures."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.pipeline.samples import encoded, picture


def png(seed: int, width: int = 40, height: int = 30) -> bytes:
    return encoded(picture(width, height, seed=seed), "png")


def obelics(path: Path, rows: list[tuple[list[Any], list[Any]]], images: pa.DataType | None = None) -> None:
    """A Parquet file with the columns of OBELICS. The published one has addresses as images."""
    metadata = [[{"src": str(image)[:20]} if image is not None else None for image in row[0] or ()] for row in rows]
    general = [
        json.dumps({"url": f"https://example.org/{number}", "warc_filename": "x"}) for number in range(len(rows))
    ]
    table = {
        "images": pa.array([row[0] for row in rows], pa.list_(images or pa.string())),
        "texts": pa.array([row[1] for row in rows], pa.list_(pa.string())),
        "metadata": pa.array([json.dumps(each) for each in metadata]),
        "general_metadata": pa.array(general),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(table), path)


def omnicorpus(path: Path, rows: list[tuple[list[Any], list[Any]]]) -> None:
    """JSON lines with the keys of OmniCorpus, whose metadata are objects."""
    lines = [
        {"general_metadata": {"id": f"d{number}", "url": "https://example.org"}, "images": images, "texts": texts}
        | {"metadata": [{"aesthetic_prob": 0.5} if image else None for image in images]}
        for number, (images, texts) in enumerate(rows)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")


def mmc4(path: Path, rows: list[tuple[list[str], list[tuple[str, int]]]]) -> None:
    """JSON lines with the keys of MMC4: sentences, and each image with the index of its sentence."""
    lines = [
        {
            "url": f"https://example.org/{number}",
            "text_list": texts,
            "image_info": [
                {
                    "image_name": name,
                    "raw_url": f"https://example.org/{name}",
                    "matched_text_index": at,
                    "matched_sim": 0.3,
                }
                for name, at in images
            ],
            "similarity_matrix": [[0.3] * len(texts) for _ in images],
            "could_have_url_duplicate": 0,
        }
        for number, (texts, images) in enumerate(rows)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
