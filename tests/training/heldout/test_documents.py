"""Held-out pages are asked about only where no other page of their document is trained on."""

from dataclasses import replace
from pathlib import Path

from qvl.pipeline.shards.sample import Sample
from qvl.training.heldout.documents import pages_of_known_documents
from qvl.training.heldout.loss import held_out_samples
from qvl.training.heldout.questions import questions
from qvl.training.recipe import Holdout
from tests.training.made import of_task, write_dataset

HOLDOUT = Holdout(share=0.4, seed=1)


def page(number: int, file: str) -> Sample:
    sample = of_task("ocr", number)
    record = replace(sample.record, origin=replace(sample.record.origin, file=file))
    return replace(sample, record=record)


def test_questions_when_training_sees_the_document_leave_its_pages_out(tmp_path: Path) -> None:
    pages = [page(number, "book.pdf" if number % 2 else "scenes 0") for number in range(40)]
    paths = {"pages": str(write_dataset(tmp_path, "pages", pages))}
    known = pages_of_known_documents(paths, HOLDOUT)
    assert known
    assert all(int(key.removeprefix("ocr-")) % 2 for key in known)
    asked = {sample.id for sample in questions(paths, HOLDOUT)[0]}
    told = {sample.record.id for sample in held_out_samples(paths, HOLDOUT, 100)}
    assert asked == told
    assert not asked & known
    assert asked
    assert all(int(key.removeprefix("ocr-")) % 2 == 0 for key in asked)


def test_questions_when_a_document_is_held_out_whole_keep_its_pages(tmp_path: Path) -> None:
    """Every page is a document of its own here."""
    pages = [page(number, f"chapter{number}.html") for number in range(20)]
    paths = {"pages": str(write_dataset(tmp_path, "pages", pages))}
    assert pages_of_known_documents(paths, HOLDOUT) == frozenset()
    assert questions(paths, HOLDOUT)[0]
