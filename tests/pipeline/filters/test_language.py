"""Languages of the captions."""

from qvl.pipeline.filters.language import Language
from tests.pipeline.filters.judging import kept


def test_by_default_english_and_chinese_pass() -> None:
    found = kept(Language(), language=["en", "zh", "fr", "und", None], language_probability=[0.9] * 5)
    assert found == [True, True, False, False, False]


def test_a_probability_equal_to_the_minimum_passes() -> None:
    chosen = Language(minimum_probability=0.7)
    found = kept(chosen, language=["en"] * 4, language_probability=[0.6999, 0.7, 1.0, None])
    assert found == [False, True, True, False]


def test_only_the_languages_of_the_recipe_pass() -> None:
    assert kept(Language(allowed=("fr",)), language=["fr", "en"], language_probability=[1.0, 1.0]) == [True, False]


def test_captions_without_a_language_when_allowed_pass_whatever_their_probability() -> None:
    chosen = Language(allowed=("en", "und"), minimum_probability=0.7)
    found = kept(chosen, language=["en", "en", "und", "und", "fr"], language_probability=[0.9, 0.6, 0.0, None, 0.9])
    assert found == [True, False, True, True, False]
