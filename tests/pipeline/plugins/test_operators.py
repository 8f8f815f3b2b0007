"""Which operators a recipe has: names, parameters, declarations, and what identifies them."""

import pickle
from pathlib import Path

import pyarrow as pa
import pytest

from qvl.pipeline.base.errors import RecipeError
from tests.pipeline.plugins.modules import HOST, KEYWORDS, loaded, write


def test_operators_of_two_files_have_the_names_of_their_classes_and_their_declared_columns(tmp_path: Path) -> None:
    plugins = loaded(write(tmp_path / "a.py", KEYWORDS), write(tmp_path / "b.py", HOST))
    assert [plugin.name for plugin in plugins.columns] == ["key_words", "host"]
    words, host = plugins.columns
    assert words.schema == pa.schema([("has_word", pa.bool_()), ("length", pa.int32())])
    assert (words.reads, host.reads) == (("caption",), ("url",))
    note = plugins.note()["key_words"]
    assert note == {
        "module": "a.py",
        "source": words.code.hash,
        "version": "1",
        "parameters": {},
        "columns": {"has_word": "bool", "length": "int32"},
    }


def test_operator_when_it_travels_to_another_process_is_opened_there_with_its_parameters(tmp_path: Path) -> None:
    module = {"module": write(tmp_path / "a.py", KEYWORDS), "parameters": {"key_words": {"words": ["cat", "cow"]}}}
    (plugin,) = pickle.loads(pickle.dumps(loaded(module).columns))
    batch = pa.record_batch({"caption": ["a dog", "a cat", "a cow"]})
    assert plugin.open().apply(batch)["has_word"].to_pylist() == [False, True, True]


def test_fingerprint_when_source_version_or_parameters_change_is_another_and_folders_do_not_matter(
    tmp_path: Path,
) -> None:
    versioned = KEYWORDS.replace("    reads =", '    version = "2"\n    reads =')
    words = {"key_words": {"words": ["cat"]}}
    modules = [
        write(tmp_path / "one" / "a.py", KEYWORDS),
        write(tmp_path / "two" / "a.py", KEYWORDS + "\n"),
        write(tmp_path / "three" / "a.py", versioned),
        {"module": write(tmp_path / "four" / "a.py", KEYWORDS), "parameters": words},
    ]
    fingerprints = [loaded(module).columns[0].fingerprint for module in modules]
    assert len(set(fingerprints)) == 4
    assert loaded(write(tmp_path / "five" / "a.py", KEYWORDS)).columns[0].fingerprint == fingerprints[0]


@pytest.mark.parametrize(
    ("text", "parameters", "message"),
    [
        ("import qvl\n", {}, "a.py has no operator: no class derives from qvl.Column"),
        (KEYWORDS, {"key_word": {}}, "a.py has no operator key_word; it has key_words"),
        (KEYWORDS, {"key_words": {"word": 1}}, "key_words: TypeError: .*unexpected keyword argument 'word'"),
        ("import qvl\n\n1 / 0\n", {}, r"a.py cannot be loaded: ZeroDivisionError: division by zero \(a.py:3\)"),
        ("def f(:\n", {}, r"a.py cannot be loaded: SyntaxError: .*\(a.py:1\)"),
        (HOST.replace('reads = ["url"]', 'reads = "url"'), {}, "host: `reads` must be a list of column names"),
        (HOST.replace('reads = ["url"]', "reads = []"), {}, "host: `reads` must be a list of column names"),
        (HOST.replace('{"host": "string"}', "{}"), {}, "host: `writes` must map names"),
        (
            HOST.replace('"host": "string"', '"host": "strin"'),
            {},
            "host: `writes` has a value that is not an Arrow type",
        ),
        (HOST.replace('"host": "string"', '"a host": "string"'), {}, "a host is not a valid column name"),
        (HOST + HOST.replace("class Host", "class Other"), {}, "host and other both write the column host"),
    ],
)
def test_plugin_when_it_cannot_be_used_is_an_error_that_says_why(
    tmp_path: Path, text: str, parameters: dict[str, object], message: str
) -> None:
    with pytest.raises(RecipeError, match=message):
        loaded({"module": write(tmp_path / "a.py", text), "parameters": parameters})


def test_two_modules_when_they_have_operators_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"b.py and a.py both have an operator host"):
        loaded(write(tmp_path / "a.py", HOST), write(tmp_path / "b.py", HOST + "\n"))
