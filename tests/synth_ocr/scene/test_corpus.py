"""Running text and Faker's generators."""

from qvl.synth_ocr.scene.corpus import without_markup


def test_corpus_text_has_no_markup_and_no_blanks_between_chinese_lines() -> None:
    assert without_markup("a [[File:x.png|thumb|b]] [[link|word]] '''bold''' {{t|x}}") == "a word bold"
    assert without_markup("第一行\n第二行") == "第一行第二行"
    assert without_markup("first\nsecond\n%\nthird") == "first second third"
