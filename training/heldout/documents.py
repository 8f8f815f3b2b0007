"""Held-out pages of documents of which training sees other pages: models are not asked about them."""

from collections.abc import Mapping
from pathlib import PurePosixPath

from qvl.pipeline.commit.fingerprint import content_hash
from qvl.pipeline.shards.reader import open_dataset
from qvl.pipeline.shards.scan import ScannedSample, scan_dataset
from qvl.training.data.holdout import held_out
from qvl.training.recipe import Holdout

PAGE_TASK = "ocr"


def is_held_out(scanned: ScannedSample, holdout: Holdout) -> bool:
    """Whether training leaves the sample out: one of its images is held out, or its id if it has no images."""
    hashes = scanned.image_hashes(scanned.record()) or [content_hash(scanned.key.encode())]
    return any(held_out(sha, holdout.share, holdout.seed) for sha in hashes)


def pages_of_known_documents(paths: Mapping[str, str], holdout: Holdout) -> frozenset[str]:
    """The ids of held-out pages whose document has other pages in training.

    A document is a file whose pages were rendered. Synthetic pages (scenes, templates) belong to no document.
    """
    trained: set[tuple[str, str]] = set()
    held: list[tuple[str, tuple[str, str]]] = []  # sample key, document
    for path in paths.values():
        for scanned in scan_dataset(open_dataset(path)):
            record = scanned.record()
            if record.task != PAGE_TASK or not PurePosixPath(record.origin.file).suffix:
                continue
            document = record.source, record.origin.file
            if is_held_out(scanned, holdout):
                held.append((scanned.key, document))
            else:
                trained.add(document)
    return frozenset(key for key, document in held if document in trained)
