"""Where lines of text may break."""

from qvl.synth_ocr.scene.line_breaking import fill_line, units


def test_units_keep_words_numbers_and_signs_together() -> None:
    pieces = [unit.text for unit in units("我在2023年用Python写“程序”，好（真）。OK! go")]
    assert "".join(pieces) == "我在2023年用Python写“程序”，好（真）。OK!go"
    assert {"2023", "Python", "“程", "序”，", "（真）。"} <= set(pieces)
    assert [unit.text for unit in units("苏轼（１０３６－１１０１）")] == ["苏", "轼", "（１０３６", "－", "１１０１）"]
    assert fill_line(list(units("one two three")), 0, len, 8) == ("one two", 2)
    assert fill_line(list(units("中文。字")), 0, len, 2) == ("中", 1)
