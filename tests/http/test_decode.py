import contextlib
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeserver.core.errors import BadJson, InvalidParam, NotJson
from homeserver.http.decode import decoded_body, decoded_query, decoded_server_body


class Body(msgspec.Struct):
    name: str
    ages: list[int] = []
    rest: Any = None


def test_a_struct_is_decoded():
    assert decoded_body(Body, b'{"name":"a","ages":[1,2],"unknown":{}}', 10) == Body("a", [1, 2])


def test_any_object_is_decoded():
    assert decoded_body(dict, b'{"a":[1,{"b":null}]}', 10) == {"a": [1, {"b": None}]}


def test_an_empty_body_is_an_empty_object():
    assert decoded_body(dict, b"", 10) == {}


@pytest.mark.parametrize("kind", [dict, Body])
@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"nonsense",
        b'{"name":"a",}',
        b'{"name":"\xff"}',
        b'{"name":"a","unknown":"\xff"}',
        b'{"name":"a","\xc3\x28":1}',
        b'{"name":"\\ud800"}',
        b'{"name":"\\udc00 and more"}',
        b'{"name":"a","rest":NaN}',
        b'{"name":"a"} {}',
        b"\x00",
        '{"name":"a"}'.encode("utf-16"),
    ],
)
def test_what_is_no_json_is_told_so(kind, body):
    with pytest.raises(NotJson, match=r"must be JSON in UTF-8\.$"):
        decoded_body(kind, body, 10)


@pytest.mark.parametrize("body", [b"[]", b'"text"', b"1", b"null"])
@pytest.mark.parametrize("kind", [dict, Body])
def test_json_that_is_no_object_is_refused(kind, body):
    with pytest.raises(BadJson):
        decoded_body(kind, body, 10)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"{}", "The body is not as expected: missing required field name."),
        (b'{"name":1}', "The body is not as expected: expected str, got int at name."),
        (b'{"name":"a","ages":[1,"b"]}', "The body is not as expected: expected int, got str at ages[1]."),
        (b"[]", "The body is not as expected: expected object, got array."),
    ],
)
def test_a_wrong_type_is_told_in_a_sentence(body, sentence):
    with pytest.raises(BadJson) as raised:
        decoded_body(Body, body, 10)

    assert raised.value.error == sentence


@pytest.mark.parametrize("kind", [dict, Body])
def test_depth_is_limited_and_breadth_is_not(kind):
    def body(depth):
        return b'{"name":"a","rest":' + b"[" * depth + b"]" * depth + b"}"

    decoded_body(kind, body(9), 10)
    decoded_body(kind, orjson.dumps({"name": "a", "rest": [[] for _ in range(500)]}), 10)
    for depth in (10, 200, 2_000, 100_000):
        with pytest.raises(BadJson, match="nested"):
            decoded_body(kind, body(depth), 10)


@pytest.mark.parametrize("kind", [dict, Body])
def test_brackets_in_text_are_no_depth(kind):
    decoded_body(kind, orjson.dumps({"name": "[{" * 100}), 10)


NEARLY_JSON = st.text('{}[]":,na0.\\ud8', max_size=40).map(str.encode)


@given(st.sampled_from([dict, Body]), st.binary(max_size=50) | NEARLY_JSON)
def test_any_bytes_are_decoded_or_refused(kind, body):
    with contextlib.suppress(BadJson, NotJson):
        decoded_body(kind, body, 5)


def test_a_query_keeps_every_value_in_order():
    assert decoded_query("a=1&b=%C3%A4+%2B&a=2&c=") == {"a": ["1", "2"], "b": ["ä +"], "c": [""]}
    assert decoded_query("") == {}


@pytest.mark.parametrize("query", ["a=%FF", "%C3=1", "a=%00", "a=\0", "&".join(["a=b"] * 201)])
def test_a_query_that_is_no_text_or_too_long_is_refused(query):
    with pytest.raises(InvalidParam):
        decoded_query(query)


def test_what_servers_send_keeps_integers_of_any_size():
    number = 123456789012345678901234567890

    assert decoded_server_body(f'{{"a":{number}}}'.encode()) == {"a": number}
    assert decoded_server_body(b"") == {}


def test_what_servers_send_may_be_as_deep_as_an_event():
    deep = b'{"a":' + b"[" * 220 + b"]" * 220 + b"}"

    assert decoded_server_body(deep)["a"]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"{", NotJson), (b"[]", BadJson), (b"\xff", NotJson),
        (b'{"a":' + b"[" * 250 + b"]" * 250 + b"}", BadJson),
        (b'{"a":1234567890123456789012,"b":"\\ud800"}', NotJson), (b'{"a":12345678901234567890 1}', NotJson),
        (b'{"a":1234567890123456789012,"b":NaN}', NotJson), (b'{"b":"\\ud800"}', NotJson),
        (b'{"a":1234567890123456789012,"b":"\xff"}', NotJson), (b"1234567890123456789012", BadJson),
        (b'{"a":1234567890123456789012,"b":' + b"[" * 100_000, NotJson),
    ],
)  # fmt: skip
def test_what_servers_send_is_checked(body, error):
    with pytest.raises(error):
        decoded_server_body(body)
