"""Untrusted YAML: bombs, nesting, values that do not exist, and what ordinary text means, compared with PyYAML."""

import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qvl.pipeline.recipe.bounded_yaml import MAX_BYTES, MAX_DEPTH, YamlFault, parse_yaml, read_yaml

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGED = "a: &a {x: 1, y: 2}\n" + "".join(
    f"{name}: &{name} {{<<: [{', '.join([f'*{before}'] * 9)}], {name}: 1}}\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
KEY_BOMB = LAUGHS + "? *i\n: 1\n"
DEEP_ALIASES = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 2_000))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LAUGHS, "more than 200,000 values"),
        (MERGED, "more than 200,000 values"),
        (KEY_BOMB, "more than 200,000 values"),
        (DEEP_ALIASES, f"nested more than {MAX_DEPTH} deep"),
        ("[" * 100_000, f"nested more than {MAX_DEPTH} deep"),
        ("- " * 10_000 + "x", f"nested more than {MAX_DEPTH} deep"),
        ("{a: " * 100_000, f"nested more than {MAX_DEPTH} deep"),
        ("a: &a [*a]", "an alias contains itself"),
        ("a: &a {b: *a}", "an alias contains itself"),
        ("&a *a : 1", ""),
        ("x: " + "9" * 5_000, "a value cannot be read"),
        ("x: 2024-99-99", "a value cannot be read"),
        ("x: !!timestamp soon", "a value cannot be read"),
        ("x: !!int many", "a value cannot be read"),
        ("x: !!python/object/apply:os.system [true]", "could not determine a constructor"),
        ("x: !!binary aGk=", "a value is bytes"),
        ("x: !!set {a, b}", "a value is set"),
        ("[a, b]: 1", "a key must be text"),
        ("1: a", "the key 1 is not text"),
        ("on: a", "the key True is not text"),
        ("null: a", "the key None is not text"),
        ('x: "a\\0b"', "a character that is not text"),
        ('x: "\\ud800"', "a character that is not text"),
        ("x: 1\n\ty: 2", "cannot start any token"),
        ("x: \x00", "special characters are not allowed"),
        ("x: 1\nx: 2", "key x occurs twice"),
    ],
)
def test_yaml_when_hostile_or_wrong_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(YamlFault) as caught:
        parse_yaml(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [b"\xff\xfea\0:\0", b"\xfe\xff\0a\0:", b"\x80abc", b"\x89PNG\r\n\x1a\n\0\0\xff"])
def test_yaml_when_not_utf8_says_so(data: bytes) -> None:
    with pytest.raises(YamlFault, match="not UTF-8 text"):
        parse_yaml(data)


def test_yaml_with_a_byte_order_mark_means_the_same() -> None:
    assert parse_yaml(b"\xef\xbb\xbfa: 1") == {"a": 1}


def test_file_when_it_has_no_end_is_refused() -> None:
    with pytest.raises(YamlFault, match="longer than 4 MiB"):
        read_yaml(Path("/dev/zero"))


def test_text_when_at_the_limit_is_read() -> None:
    text = "x: " + "y" * (MAX_BYTES - 3)
    assert len(parse_yaml(text)["x"]) == MAX_BYTES - 3


def test_aliases_when_few_are_copies_of_their_own() -> None:
    content = parse_yaml("a: &a {x: [1]}\nb: *a\nc: {<<: *a, y: 2}")
    assert content == {"a": {"x": [1]}, "b": {"x": [1]}, "c": {"x": [1], "y": 2}}
    assert content["a"] is not content["b"]
    assert content["a"]["x"] is not content["c"]["x"]


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4))


@given(values)
def test_value_when_written_and_read_is_the_same(value: Any) -> None:
    assert parse_yaml(yaml.safe_dump(value)) == value


@given(st.text(st.sampled_from("ab:{}[]&*<!|>-? \n\t\"'#%@,0189.~")))
@example("? &a\n: *a")
@example("- !!float\n")
@example("=")
@example("<<: {a: 1}")
@settings(max_examples=400)
def test_text_when_arbitrary_is_refused_or_means_what_pyyaml_says(text: str) -> None:
    try:
        found = parse_yaml(text)
    except YamlFault:
        return
    expected = yaml.safe_load(text)
    assert found == expected or (isinstance(found, float) and math.isnan(found) and math.isnan(expected))


@pytest.mark.long
@given(st.binary(max_size=200) | st.text(max_size=200))
@settings(max_examples=20_000)
def test_bytes_when_arbitrary_are_refused_or_read(data: bytes | str) -> None:
    try:
        parse_yaml(data)
    except YamlFault as error:
        assert "\n" not in str(error)
