"""Groups, scores and draws of rows."""

import numpy as np
import pyarrow as pa
import pytest

from qvl.pipeline.balance.values import domains, draws, group_keys, scores, uniform
from qvl.pipeline.base.errors import RecipeError


def test_domains_of_addresses_are_lower_case_hosts_without_www_port_and_user() -> None:
    urls = [
        "https://www.Example.com/a?b=c://d",
        "http://user:pw@images.example.com:8080",
        "s3://bucket/key",
        None,
        "plain",
    ]
    assert domains(pa.array(urls)).to_pylist() == ["example.com", "images.example.com", "bucket", None, None]


def test_group_keys_do_not_depend_on_how_values_are_encoded_or_divided_into_units() -> None:
    values = pa.array(["b", "a", None, "b"])
    plain = group_keys(pa.table({"x": values}), ("x",))
    coded = group_keys(pa.table({"x": values.dictionary_encode()}), ("x",))
    alone = group_keys(pa.table({"x": values[3:]}), ("x",))
    assert (plain[0] == coded[0]).all()
    assert alone[0][0] == plain[0][0] == plain[0][3] != plain[0][1]
    assert plain[1].tolist() == coded[1].tolist() == [False, False, True, False]


def test_group_keys_of_empty_texts_are_those_of_nulls_but_zero_and_false_are_values() -> None:
    keys, missing = group_keys(pa.table({"x": ["", None]}), ("x",))
    assert keys[0] == keys[1]
    assert missing.all()
    for values in ([0, 1], [False, True]):
        assert not group_keys(pa.table({"x": values}), ("x",))[1].any()


def test_group_keys_of_two_columns_tell_their_order_apart() -> None:
    table = pa.table({"x": ["a", "b", "a"], "y": ["b", "a", "b"]})
    keys, missing = group_keys(table, ("x", "y"))
    assert keys[0] == keys[2] != keys[1]
    assert not missing.any()


def test_group_keys_of_lists_are_refused() -> None:
    with pytest.raises(RecipeError, match="only single values"):
        group_keys(pa.table({"x": pa.array([["a"]])}), ("x",))


@pytest.mark.parametrize(
    "kind",
    [
        *(pa.timestamp("s"), pa.timestamp("ns"), pa.timestamp("us", "Nowhere/Bad"), pa.time64("ns"), pa.duration("ns")),
        *(pa.date64(), pa.uint64(), pa.int64()),
    ],
    ids=str,
)
def test_group_keys_of_numbers_and_times_tell_each_value_apart_even_one_that_python_cannot_hold(
    kind: pa.DataType,
) -> None:
    numbers = pa.array([2**62, 1, 2, 2**62, None], pa.uint64() if kind == pa.uint64() else pa.int64())
    values = numbers.view(kind)
    for column in (values, values.dictionary_encode()):
        keys, missing = group_keys(pa.table({"x": column}), ("x",))
        assert keys[0] == keys[3]
        assert len(set(keys.tolist())) == 4
        assert missing.tolist() == [False, False, False, False, True]


def test_group_keys_of_days_and_of_an_extension_type_are_those_of_what_is_stored() -> None:
    days = pa.array([2**30, 2, 2**30], pa.int32()).view(pa.date32())
    uuids = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"a" * 16, b"b" * 16, b"a" * 16], pa.binary(16)))
    for column in (days, uuids):
        keys, missing = group_keys(pa.table({"x": column}), ("x",))
        assert keys[0] == keys[2] != keys[1]
        assert not missing.any()


def test_scores_of_integers_that_no_double_holds_keep_their_order() -> None:
    for kind, largest in ((pa.int64(), 2**63 - 1), (pa.uint64(), 2**64 - 1)):
        found = scores(pa.table({"x": pa.array([largest, 2**53 + 1, 5, None], kind)}), "x")
        assert found.tolist() == [float(largest), 2.0**53, 5.0, -np.inf]


def test_scores_when_missing_are_minus_infinity() -> None:
    assert scores(pa.table({"x": [0.5, None, float("nan")]}), "x").tolist() == [0.5, -np.inf, -np.inf]
    with pytest.raises(RecipeError, match="needs numbers"):
        scores(pa.table({"x": ["a"]}), "x")


def test_draws_are_uniform_and_depend_on_seed_step_unit_and_row_alone() -> None:
    rows = np.arange(20_000)
    drawn = draws(0, "step", "unit", rows)
    assert (draws(0, "step", "unit", rows[5_000:]) == drawn[5_000:]).all()
    others = [draws(1, "step", "unit", rows), draws(0, "other", "unit", rows), draws(0, "step", "other", rows)]
    for other in others:
        assert abs(np.corrcoef(uniform(drawn), uniform(other))[0, 1]) < 0.03
    counts = np.histogram(uniform(drawn), 20, (0, 1))[0]
    assert abs(counts - 1_000).max() < 150
