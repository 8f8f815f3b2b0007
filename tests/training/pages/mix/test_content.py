"""What a part of a mixture holds, counted from its indexes alone."""

from pathlib import Path

from qvl.training.data.datasets import open_all
from qvl.training.data.parts import mix_parts
from qvl.training.pages.mix.content import LENGTHS, RESOLUTIONS, read_content
from qvl.training.recipe import StageSpec
from tests.training.made import picture, stage


def test_content_of_a_part_counts_the_samples_images_and_bytes_of_its_tasks(datasets: dict[str, Path]) -> None:
    mix = [{"dataset": "mixed", "tasks": ["caption", "ocr"], "weight": 1}]
    (part,) = mix_parts(StageSpec.model_validate(stage(mix=mix)), open_all({"mixed": str(datasets["mixed"])}))
    found = read_content(part)
    assert found.samples == 48
    assert {kind: (cell.samples, cell.images) for kind, cell in found.cells.items()} == {
        ("caption", "made", "en"): (24, 24), ("ocr", "made", "en"): (24, 24)
    }  # fmt: skip
    captions = sum(len(picture(number)) for number in range(0, 96, 4))
    assert found.cells["caption", "made", "en"].bytes == captions
    assert {task: counts.sum() for task, counts in found.lengths.items()} == {"caption": 24, "ocr": 24}
    assert {len(counts) for counts in found.lengths.values()} == {len(LENGTHS)}
    assert found.resolutions["ocr"].tolist() == [24] + [0] * (len(RESOLUTIONS) - 1)  # 80 x 60 pixels


def test_content_of_texts_without_images_has_no_bytes(datasets: dict[str, Path]) -> None:
    mix = [{"dataset": "text", "weight": 1}]
    (part,) = mix_parts(StageSpec.model_validate(stage(mix=mix)), open_all({"text": str(datasets["text"])}))
    found = read_content(part)
    (cell,) = found.cells.values()
    assert (cell.samples, cell.images, cell.bytes) == (40, 0, 0) and cell.characters > 0
    assert found.resolutions["text"].sum() == 0
