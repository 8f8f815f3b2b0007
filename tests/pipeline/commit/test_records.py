"""Records on disk: equal records are equal bytes, and a file that does not fit is an error that names it."""

from dataclasses import dataclass, field

import pytest

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.commit.records import decode, encode


@dataclass(frozen=True, slots=True)
class Part:
    number: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Receipt:
    name: str
    parts: tuple[Part, ...]
    counts: dict[str, int]
    revoked: int | None = None
    tasks: dict[str, int] = field(default_factory=dict)


RECEIPT = Receipt("scan", (Part(2), Part(1, "b")), {"b": 1, "a": 2})
TEXT = encode(RECEIPT).decode()


def test_encode_when_read_back_gives_the_same_record() -> None:
    assert decode(Receipt, TEXT.encode(), "f") == RECEIPT


def test_encode_when_a_value_is_its_default_leaves_the_key_out() -> None:
    assert "revoked" not in TEXT and "tasks" not in TEXT
    assert '"revoked": 0' in encode(Receipt("scan", (), {}, 0)).decode()


def test_encode_sorts_keys_and_ends_with_a_line_break() -> None:
    assert TEXT.index('"a"') < TEXT.index('"b"') < TEXT.index('"name"') < TEXT.index('"parts"')
    assert TEXT.endswith("}\n")


@pytest.mark.parametrize(
    ("damaged", "problem"),
    [
        (TEXT.replace('"number": 1', '"number": "1"'), "parts.1.number: "),
        (TEXT.replace('"name": "scan",', ""), "the key name is missing"),
        (TEXT.replace('"name": "scan"', '"name": "scan", "extra": 1'), "unknown key extra"),
        (TEXT.replace('"number": 1', '"number": 1, "extra": 1'), "unknown key parts.1.extra"),
        (TEXT[:20], "Invalid JSON"),
        ("[]", "Input should be"),
    ],
)
def test_decode_when_the_file_does_not_fit_names_file_and_key(damaged: str, problem: str) -> None:
    with pytest.raises(DataError) as error:
        decode(Receipt, damaged.encode(), "out/scan.json")
    assert str(error.value).startswith("out/scan.json: ")
    assert problem in str(error.value)
    assert "\n" not in str(error.value)
