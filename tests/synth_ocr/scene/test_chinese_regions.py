"""Simplified and traditional text, and the faces that draw each."""

from fontTools.ttLib import TTCollection

from qvl.synth_ocr.scene.chinese_regions import COMMON, faces_for, region_of
from qvl.synth_ocr.scene.fonts import Face, face_name
from tests.synth_ocr.scene.scenes import CHINESE, KAI, LATIN, need

NOTO = "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc"


def test_region_of_a_text_is_decided_by_characters_of_only_one_standard() -> None:
    assert {len(text) for text in COMMON.values()} == {39}
    for region, text in COMMON.items():
        assert region_of(text) == region and not set(text) & set(COMMON["simplified"]) & set(COMMON["traditional"])
    assert region_of("山水人口") is None and region_of("Latin 2024") is None
    assert region_of("国家里有一个喆") == "simplified"


def test_faces_for_a_region_are_its_own() -> None:
    faces = [Face(need(NOTO), 2), Face(need(KAI), 0), Face(need(CHINESE), 0), Face(NOTO, 0)]
    names = {
        region: [face_name(TTCollection(face.path).fonts[face.index]) for face in faces_for(faces, region)]
        for region in COMMON
    }
    assert names == {
        "simplified": ["Noto Sans CJK SC", "AR PL UKai CN", "WenQuanYi Micro Hei"],
        "traditional": ["Noto Sans CJK TC", "AR PL UKai TW", "WenQuanYi Micro Hei"],
    }
    assert faces_for(faces, None) == faces
    assert faces_for([Face(LATIN)], "traditional") == []
