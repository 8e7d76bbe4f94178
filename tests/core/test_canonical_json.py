"""Canonical JSON: https://spec.matrix.org/v1.19/appendices/#canonical-json."""

import canonicaljson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeserver.core.canonical_json import (
    CANONICAL_DEPTH_MAX,
    CANONICAL_INTEGER_MAX,
    check_canonical,
    encode_canonical,
    encode_lenient,
    encode_plain,
    parse_json,
)

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-CANONICAL_INTEGER_MAX, CANONICAL_INTEGER_MAX) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)
OBJECTS = st.dictionaries(TEXT, VALUES, max_size=5)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("{}", "{}"),
        ('{"one": 1, "two": "Two"}', '{"one":1,"two":"Two"}'),
        ('{"b": "2", "a": "1"}', '{"a":"1","b":"2"}'),
        ('{"a": "日本語"}', '{"a":"日本語"}'),
        ('{"本": 2, "日": 1}', '{"日":1,"本":2}'),
        ('{"a": "\\u65E5"}', '{"a":"日"}'),
        ('{"a": null}', '{"a":null}'),
        ('{"a": -0}', '{"a":0}'),
        (
            (
                '{"auth": {"success": true, "mxid": "@john.doe:example.com",'
                ' "profile": {"display_name": "John Doe", "three_pids": '
                '[{"medium": "email", "address": "john.doe@example.org"}]}}}'
            ),
            (
                '{"auth":{"mxid":"@john.doe:example.com","profile":{"display_name":"John Doe",'
                '"three_pids":[{"address":"john.doe@example.org","medium":"email"}]},"success":true}}'
            ),
        ),
    ],
)
def test_the_examples_of_the_spec_come_out_as_it_says(text, canonical):
    value = parse_json(text)
    check_canonical(value)

    assert encode_canonical(value) == canonical.encode()
    assert encode_lenient(value) == canonical.encode()


@settings(max_examples=200, deadline=None)
@given(OBJECTS)
def test_it_is_what_the_reference_implementation_writes(value):
    check_canonical(value)
    data = encode_canonical(value)

    assert data == canonicaljson.encode_canonical_json(value)
    assert parse_json(data) == parse_json(data, strict=False) == value
    assert encode_canonical(parse_json(data)) == data


@pytest.mark.parametrize(
    "value",
    [
        {"a": 1.0},
        {"a": float("nan")},
        {"a": [1, [2.5]]},
        {"a": CANONICAL_INTEGER_MAX + 1},
        {"a": {"b": -CANONICAL_INTEGER_MAX - 1}},
        {"a": "\ud800"},
        {"\udfff": 1},
        {1: "a"},
        {"a": b"bytes"},
        {"a": {1, 2}},
    ],
)
def test_what_json_or_events_do_not_have_is_refused(value):
    with pytest.raises(ValueError, match=r"\.$"):
        check_canonical(value)


def test_deep_nesting_is_refused_without_recursion_trouble():
    deep = {"a": 1}
    for _ in range(5_000):
        deep = {"a": [deep]}
    with pytest.raises(ValueError, match="nested"):
        check_canonical(deep)
    with pytest.raises(ValueError, match=r"."):
        encode_canonical(deep)
    with pytest.raises(ValueError, match="nested"):
        encode_lenient(deep)
    for strict in (True, False):
        with pytest.raises(ValueError, match=r"."):
            parse_json(b"[" * 1_000_000, strict=strict)


def test_what_passes_the_check_can_be_written_inside_of_an_event():
    value = "leaf"
    for _ in range(CANONICAL_DEPTH_MAX):
        value = [value]
    check_canonical(value)

    assert encode_canonical({"content": {"a": value}}).count(b"[") == CANONICAL_DEPTH_MAX
    with pytest.raises(ValueError, match="nested"):
        check_canonical([value])


def test_old_room_versions_keep_floats_and_large_integers():
    text = '{"b":1.5,"a":36893488147419103232,"c":9007199254740993}'
    value = parse_json(text, strict=False)

    assert value["a"] == 2**65
    assert encode_lenient(value) == b'{"a":36893488147419103232,"b":1.5,"c":9007199254740993}'
    assert parse_json(encode_plain(value), strict=False) == value


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b'{"a":NaN}', b"[Infinity]", b'{"a":1}x'])
@pytest.mark.parametrize("strict", [True, False])
def test_what_is_no_json_is_a_value_error(text, strict):
    with pytest.raises(ValueError, match=r"."):
        parse_json(text, strict=strict)


def test_half_a_surrogate_pair_cannot_be_written():
    for encode in (encode_canonical, encode_lenient, encode_plain):
        with pytest.raises(ValueError, match=r"."):
            encode({"a": "\ud800"})
