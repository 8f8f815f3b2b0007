"""The processor: image slots, and the positions that it reports to other programs."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from qvl.model.network.errors import ModelError
from qvl.model.text.tokenizer import build_processor


def photo(width: int = 61, height: int = 37) -> Image.Image:
    generator = np.random.default_rng(5)
    return Image.fromarray(generator.integers(0, 256, (height, width, 3), dtype=np.uint8))


def test_processor_raises_when_images_and_slots_differ_in_number(ranks_file: Path) -> None:
    processor = build_processor(ranks_file, 28)
    with pytest.raises(ModelError, match=r"1 image\(s\) given, but the text has slots for 2"):
        processor(images=[photo()], text="<img></img><img></img>")
    with pytest.raises(ModelError, match=r"1 image\(s\) given, but the text has slots for 0"):
        processor(images=[photo()], text="the")
    with pytest.raises(ModelError, match="unpaired image tags"):
        processor(images=[photo()], text="<img>the")
    with pytest.raises(ModelError, match="truncation would cut an image"):
        processor(images=[photo()], text="<img></img>the", truncation=True, max_length=100)
    with pytest.raises(ModelError, match="text is missing"):
        processor(images=[photo()])


def test_processor_reports_image_positions_to_other_programs(ranks_file: Path) -> None:
    processor = build_processor(ranks_file, 28)
    batch = processor(images=[photo()], text="<img>0</img>the", return_mm_token_type_ids=True)
    kinds, ids = batch["mm_token_type_ids"][0], batch["input_ids"][0]
    assert sum(kinds) == 256
    assert kinds == [int(token == processor.image_token_id) for token in ids]
    assert processor._get_num_multimodal_tokens([[30, 40], [5, 5]]).num_image_tokens == [256, 256]
