"""The identifier grammar: https://spec.matrix.org/v1.19/appendices/#identifier-grammar."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeserver.core.identifiers import (
    EventId,
    RoomAlias,
    RoomId,
    UserId,
    is_namespaced_identifier,
    is_opaque_identifier,
    is_valid_localpart,
    is_valid_server_name,
    parse_event_id,
    parse_room_alias,
    parse_room_id,
    parse_user_id,
    server_name_of,
)

SERVER_NAMES = [
    "matrix.org",
    "matrix.org:8888",
    "1.2.3.4",
    "1.2.3.4:1234",
    "[1234:5678::abcd]",
    "[1234:5678::abcd]:5678",
    "localhost",
    "EXAMPLE.org",
    "[::1]",
    "[::ffff:1.2.3.4]",
]
PARSERS = [parse_user_id, parse_room_alias, parse_room_id, parse_event_id]


@pytest.mark.parametrize("text", SERVER_NAMES)
def test_server_names_of_the_spec_are_valid(text):
    assert is_valid_server_name(text)
    assert parse_user_id(f"@a:{text}") == UserId("a", text)
    assert server_name_of(f"@a:{text}") == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":80",
        "a b",
        "a_b",
        "matrix.org:",
        "matrix.org:123456",
        "matrix.org:x",
        "[::1",
        "[:::1]",
        "[1.2.3.4]",
        "::1",
        "münchen.de",
        "a/b",
        "a\n",
        "matrix.org\n",
        "a" * 256,
        "matrix.org:\u0661",
    ],
)
def test_other_server_names_are_not(text):
    assert not is_valid_server_name(text)
    with pytest.raises(ValueError, match=r"."):
        parse_user_id(f"@a:{text}")


@pytest.mark.parametrize("text", ["@alice:example.org", "@a.b_c=d-e/f+g:example.org", "@09:example.org"])
def test_new_user_ids_are_accepted(text):
    assert str(parse_user_id(text, historical=False)) == text
    assert is_valid_localpart(parse_user_id(text).localpart)


@pytest.mark.parametrize("localpart", ["", "Alice", "ä", "a b", "a*", "\x01", "日本", "a\n"])
def test_historical_user_ids_are_accepted_only_of_others(localpart):
    assert parse_user_id(f"@{localpart}:example.org") == UserId(localpart, "example.org")
    assert not is_valid_localpart(localpart)
    with pytest.raises(ValueError, match="a-z"):
        parse_user_id(f"@{localpart}:example.org", historical=False)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@",
        "alice",
        "alice:example.org",
        "#a:example.org",
        "@alice",
        "@a\0:example.org",
        "@\ud800:example.org",
    ],
)
def test_what_is_no_user_id_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        parse_user_id(text)


@pytest.mark.parametrize(("parse", "sigil"), list(zip(PARSERS, "@#!$", strict=True)))
def test_an_identifier_has_at_most_255_bytes(parse, sigil):
    longest = f"{sigil}{'a' * 242}:example.org"

    assert len(longest) == 255
    assert str(parse(longest)) == longest
    for too_long in (f"{sigil}{'a' * 243}:example.org", f"{sigil}{'ä' * 122}:example.org"):
        with pytest.raises(ValueError, match="255"):
            parse(too_long)


def test_rooms_and_events_are_named_with_or_without_a_server():
    opaque = "Nhcu5BS-UMnFX7hBVfVSoXiD7OgH6iRT-xyIuqDnpYQ"

    assert parse_room_id(f"!{opaque}") == RoomId(opaque, None)
    assert parse_room_id("!abc:example.org") == RoomId("abc", "example.org")
    assert parse_event_id(f"${opaque}") == EventId(opaque, None)
    assert parse_event_id("$acR1l0raoZnm60CBwAVgqbZqoO/mYU81xysh1u7XcJk").server_name is None
    assert parse_event_id("$abc:example.org") == EventId("abc", "example.org")
    assert parse_room_alias("#日本 語:example.org") == RoomAlias("日本 語", "example.org")
    assert server_name_of(f"!{opaque}") is None
    for parse, text in [(parse_room_id, "!"), (parse_event_id, "$"), (parse_room_alias, "#a")]:
        with pytest.raises(ValueError, match=r"."):
            parse(text)


@given(
    st.sampled_from(list(zip(PARSERS, "@#!$", strict=True))),
    st.text(st.characters(exclude_categories=("Cs",), exclude_characters=":\0"), min_size=1, max_size=40),
    st.sampled_from(SERVER_NAMES),
)
def test_an_identifier_reads_back(parser, localpart, server_name):
    parse, sigil = parser
    text = f"{sigil}{localpart}:{server_name}"

    assert str(parse(text)) == text
    assert server_name_of(text) == server_name


@given(st.sampled_from(PARSERS), st.text(max_size=300) | st.text("@#!$:a.[]0", max_size=20))
def test_garbage_is_a_value_error_or_reads_back(parse, text):
    try:
        parsed = parse(text)
    except ValueError:
        return
    assert str(parsed) == text


def test_opaque_and_namespaced_identifiers_keep_their_grammar():
    assert is_opaque_identifier("AZaz09.-_~")
    assert not any(map(is_opaque_identifier, ["", "a b", "a/b", "ä", "a" * 256, "a\n"]))
    assert is_namespaced_identifier("org.example.pronouns-1_x")
    assert not any(map(is_namespaced_identifier, ["", "A", "1a", ".a", "a b", "a" * 256, "a\n"]))
