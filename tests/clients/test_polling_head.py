"""What the head of a poll is taken apart into."""

import pytest

from clients.polling.head import HEAD_BYTES_MAX, taken_apart


def head(query, fields=b"Authorization: Bearer alice\r\n"):
    return b"GET /_matrix/client/v3/sync?" + query + b" HTTP/1.1\r\n" + fields + b"\r\n"


def test_all_but_the_token_is_the_same_from_poll_to_poll():
    first, token = taken_apart(head(b"filter=1&since=s1abc&timeout=30000"))
    second, later = taken_apart(head(b"filter=1&since=s1abcdef&timeout=30000"))

    assert (token, later) == ("s1abc", "s1abcdef")
    assert first == second


@pytest.mark.parametrize("query", [b"since=s1abc", b"timeout=1&since=s1abc", b"since=s1abc&timeout=1"])
def test_the_token_may_stand_anywhere(query):
    assert taken_apart(head(query))[1] == "s1abc"


@pytest.mark.parametrize(
    "other",
    [
        head(b"since=s1abc&timeout=2"),
        head(b"since=s1abc&timeout=1", b"Authorization: Bearer bob\r\n"),
        head(b"timeout=1&since=s1abc"),
        head(b"since=s1abc&timeout=1", b"Authorization: Bearer alice\r\nX-Forwarded-For: 192.0.2.7\r\n"),
    ],
)
def test_who_asks_for_anything_else_is_somebody_else(other):
    assert taken_apart(head(b"since=s1abc&timeout=1"))[0] != taken_apart(other)[0]


@pytest.mark.parametrize(
    "unusual",
    [
        head(b"timeout=1"),
        head(b"xsince=s1abc"),
        head(b"since=s1abc&since=s1abc"),
        head(b"since=s1%61bc"),
        head("since=s1äbc".encode()),
        head(b"timeout=1", b"X-Note: ?since=s1abc&\r\n"),
        head(b"since=s1abc", b"X-Note: " + b"x" * HEAD_BYTES_MAX + b"\r\n"),
        b"POST" + head(b"since=s1abc")[3:],
        head(b"since=s1abc").replace(b"/v3/sync", b"/v3/events"),
        b"GET /_matrix/client/v3/sync?since=s1abc",
    ],
)
def test_what_is_unusual_is_left_alone(unusual):
    assert taken_apart(unusual) is None


@pytest.mark.parametrize(("bytes_more", "is_taken"), [(0, True), (1, False)])
def test_a_head_is_taken_apart_up_to_a_size(bytes_more, is_taken):
    frame = len(head(b"since=s1abc", b"X-Note: \r\n"))
    sized = head(b"since=s1abc", b"X-Note: " + b"x" * (HEAD_BYTES_MAX - frame + bytes_more) + b"\r\n")

    assert (taken_apart(sized) is not None) is is_taken
