"""Scenes as a source: what a unit depends on and what is reported as missing."""

from pathlib import Path

import pytest
import xxhash
from PIL import features

from qvl.synth_ocr.page.text import HAN
from qvl.synth_ocr.scene.corpus import faker_of
from qvl.synth_ocr.scene.source import Scene
from tests.synth_ocr.scene.scenes import LATIN, generator, noise_picture, stock


def test_faker_when_seeded_equally_gives_equal_chinese_names_and_its_version_is_part_of_the_unit(
    tmp_path: Path,
) -> None:
    assert HAN.search(faker_of("zh", generator(0)).name())
    assert faker_of("zh", generator(0)).name() == faker_of("zh", generator(0)).name()
    stock(tmp_path, "en")
    source = Scene.model_validate({
        "language": "en", "count": 1, "fonts": [{"fonts": [LATIN]}], "corpora": [{"texts": [str(tmp_path / "en.txt")]}]
    })  # fmt: skip
    libraries = source.common()["libraries"]
    assert {"faker", "pillow", "freetype2", "harfbuzz", "raqm", "cv2", "numpy"} <= set(libraries)


def test_missing_when_pillow_has_no_raqm_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stock(tmp_path, "en")
    source = Scene.model_validate({
        "language": "en", "count": 1, "fonts": [{"fonts": [LATIN]}], "corpora": [{"texts": [str(tmp_path / "en.txt")]}]
    })  # fmt: skip
    assert source.missing() == []
    monkeypatch.setattr(features, "check", lambda name: False)
    assert any("raqm" in line for line in source.missing())


def test_parts_when_a_background_changes_differ_in_the_pictures_only(tmp_path: Path) -> None:
    stock(tmp_path, "en")
    (tmp_path / "a.jpg").write_bytes(noise_picture(1))
    content = {
        "language": "en", "count": 1, "fonts": [{"fonts": [LATIN]}], "corpora": [{"texts": [str(tmp_path / "en.txt")]}],
        "backgrounds": [str(tmp_path / "*.jpg")],
    }  # fmt: skip
    first = Scene.model_validate(content).common()
    assert Scene.model_validate(content).common() == first
    (tmp_path / "a.jpg").write_bytes(noise_picture(2))
    changed = Scene.model_validate(content).common()
    assert {key for key in first if first[key] != changed[key]} == {"pictures"}
    assert xxhash.xxh3_128_hexdigest(noise_picture(1)) != xxhash.xxh3_128_hexdigest(noise_picture(2))
