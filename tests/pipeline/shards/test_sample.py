"""The JSON of a sample: its one encoder, its one decoder, and what the decoder refuses."""

from typing import Any

import orjson
import pytest

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.markup.regions import Region
from qvl.pipeline.markup.turns import Turn
from qvl.pipeline.shards.sample import Origin, SampleRecord, blank_json, decode_sample, encode_sample

QUAD = (0.1, 0.2, 0.3, 0.2, 0.3, 0.4, 0.1, 0.4)
RECORD = SampleRecord(
    "a-1", "web", "ocr", "zh", (Turn("user", "<img>0</img>"), Turn("assistant", "猫")), Origin("a.tar", 7, "k", "u", "00"),
    (Region("猫", 0, box=(0.0, 1e-06, 0.5, 1.0)), Region("猫", 0, quad=QUAD, level="line", order=0, ink_share=0.25)),
)  # fmt: skip
JSON = (
    '{"id":"a-1","source":"web","task":"ocr","language":"zh",'
    '"turns":[{"role":"user","text":"<img>0</img>"},{"role":"assistant","text":"猫"}],'
    '"regions":[{"phrase":"猫","image":0,"box":[0.0,1e-6,0.5,1.0]},'
    '{"phrase":"猫","image":0,"quad":[0.1,0.2,0.3,0.2,0.3,0.4,0.1,0.4],"level":"line","order":0,"ink_share":0.25}],'
    '"origin":{"file":"a.tar","row":7,"key":"k","url":"u","sha":"00"}}'
).encode()


def changed(*path: str | int, **keys: Any) -> bytes:
    """The JSON with keys of the object at a path replaced; None removes a key."""
    content: Any = orjson.loads(JSON)
    target = content
    for step in path:
        target = target[step]
    for key, value in keys.items():
        if value is None:
            del target[key]
        else:
            target[key] = value
    return orjson.dumps(content)


def test_encoded_sample_has_its_keys_in_a_fixed_order_without_the_optional_keys_of_regions() -> None:
    assert encode_sample(RECORD) == JSON


def test_encoded_sample_decodes_to_the_same_record() -> None:
    assert decode_sample(JSON, "a.tar", "a-1") == RECORD
    assert RECORD.text_length == len("<img>0</img>猫")


def test_sample_without_regions_and_with_a_short_origin_is_accepted() -> None:
    content = orjson.loads(changed(regions=None))
    content["origin"] = {"file": "a.tar", "row": 7}
    record = decode_sample(orjson.dumps(content), "a.tar", "a-1")
    assert (record.regions, record.origin) == ((), Origin("a.tar", 7))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"{", r"^a\.tar: a-1: Invalid JSON"),
        (b"[]", r"^a\.tar: a-1: "),
        (changed(licence="cc"), r"^a\.tar: a-1: unknown key licence$"),
        (changed(turns=None), r"^a\.tar: a-1: the key turns is missing$"),
        (changed("turns", 1, name="x"), r"^a\.tar: a-1: unknown key turns\.1\.name$"),
        (changed("turns", 0, text=3), r"^a\.tar: a-1: turns\.0\.text: "),
        (changed("origin", row=None), r"^a\.tar: a-1: the key origin\.row is missing$"),
        (changed("origin", row="7"), r"^a\.tar: a-1: origin\.row: "),
        (changed("regions", 0, box=[0.1, 0.2, 0.3]), r"^a\.tar: a-1: .*regions\.0\.box\.3"),
        (changed("regions", 1, level="page"), r"^a\.tar: a-1: regions\.1\.level: "),
    ],
)
def test_decoding_when_the_json_is_not_a_sample_names_shard_sample_and_key(data: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        decode_sample(data, "a.tar", "a-1")


def test_blank_json_has_the_size_of_what_it_replaces_and_only_the_id() -> None:
    assert blank_json("a-1", 40) == b'{"id":"a-1"}'.ljust(40)
    with pytest.raises(DataError, match="the key source is missing"):
        decode_sample(blank_json("a-1", 40), "a.tar", "a-1")
