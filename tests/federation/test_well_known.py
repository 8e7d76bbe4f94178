import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.well_known import (
    BODY_BYTES_MAX,
    DEFAULT_LIFETIME_MS,
    LIFETIME_MS_MAX,
    LIFETIME_MS_MIN,
    NeedPage,
    Page,
    Reading,
    read_well_known,
)

GOOD = b'{"m.server": "b.example:443"}'


def read(answer):
    """What is read where each page is what `answer` says, and which pages that were."""
    steps, asked = read_well_known("a.example"), []
    try:
        need = next(steps)
        while True:
            asked.append(need)
            need = steps.send(answer(need))
    except StopIteration as done:
        return done.value, asked


def page(body=GOOD, status=200, **headers):
    return Page(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


def test_the_page_is_asked_for_over_tls_at_the_host_itself():
    reading, asked = read(lambda _: page())

    assert reading == Reading("b.example:443", DEFAULT_LIFETIME_MS)
    assert asked == [NeedPage("a.example", 443, "a.example", "/.well-known/matrix/server")]


@pytest.mark.parametrize(
    ("headers", "lifetime_ms"),
    [
        ({"cache_control": "max-age=7200"}, 7_200_000),
        ({"cache_control": "public, Max-Age = 7200, must-revalidate"}, 7_200_000),
        ({"cache_control": 'max-age="7200"', "age": "3600"}, 3_600_000),
        ({"cache_control": "max-age=7200", "age": "nonsense"}, 7_200_000),
        ({"cache_control": "max-age=7200", "expires": "0"}, 7_200_000),
        ({"cache_control": "max-age=0"}, LIFETIME_MS_MIN),
        ({"cache_control": "no-store, max-age=7200"}, LIFETIME_MS_MIN),
        ({"cache_control": "no-cache"}, LIFETIME_MS_MIN),
        ({"cache_control": "max-age=9999999999"}, LIFETIME_MS_MAX),
        ({"cache_control": "max-age=-5"}, DEFAULT_LIFETIME_MS),
        ({"cache_control": "x-max-age=5"}, DEFAULT_LIFETIME_MS),
        ({"expires": "Wed, 21 Oct 2026 09:28:00 GMT", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 7_200_000),
        ({"expires": "Wed, 21 Oct 2026 07:28:00 GMT", "date": "Wed, 21 Oct 2026 09:28:00 GMT"},
         LIFETIME_MS_MIN),
        ({"expires": "0", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}, LIFETIME_MS_MIN),
        ({"expires": "Wed, 21 Oct 2026 09:28:00 GMT"}, LIFETIME_MS_MIN),
        ({"expires": "Wed, 21 Oct 2026 09:28:00 -0000", "date": "Wed, 21 Oct 2026 07:28:00 GMT"},
         LIFETIME_MS_MIN),
    ],
)  # fmt: skip
def test_a_host_says_how_long_its_word_holds(headers, lifetime_ms):
    assert read(lambda _: page(**headers))[0] == Reading("b.example:443", lifetime_ms)


@pytest.mark.parametrize(
    "answer",
    [
        None, page(status=404), page(status=500), page(b""), page(b"<html>"), page(b"[]"), page(b"\xff"),
        page(b"{}"), page(b'{"m.server": 1}'), page(b'{"m.server": "no name"}'), page(b"[" * 40_000),
        page(b'{"m.server": "b.example", "x": "' + b"x" * BODY_BYTES_MAX + b'"}'), page(status=204),
    ],
)  # fmt: skip
def test_what_is_no_word_is_nothing(answer):
    assert read(lambda _: answer)[0] == Reading(None)


@pytest.mark.parametrize(
    ("location", "need"),
    [
        ("https://c.example/x?y=z", NeedPage("c.example", 443, "c.example", "/x?y=z")),
        ("https://c.example:8443", NeedPage("c.example", 8443, "c.example:8443", "/")),
        ("https://[2001:db8::1]/x", NeedPage("2001:db8::1", 443, "[2001:db8::1]", "/x")),
        ("//c.example/x", NeedPage("c.example", 443, "c.example", "/x")),
        ("/other", NeedPage("a.example", 443, "a.example", "/other")),
        ("other", NeedPage("a.example", 443, "a.example", "/.well-known/matrix/other")),
    ],
)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(location, need, status):
    reading, asked = read(lambda one: page() if one == need else page(status=status, location=location))

    assert (reading.delegated, asked[1:]) == ("b.example:443", [need])


@pytest.mark.parametrize(
    "location",
    [
        "", "http://c.example/x", "ftp://c.example/x", "file:///etc/passwd", "https://user@c.example/",
        "https://c.example:0/", "https://c.example:x/", "https://c.example:99999/", "https://[::/",
        "https://c.example/é", "https://c ample/", "https://c.example/a b",
    ],
)  # fmt: skip
def test_some_redirects_lead_nowhere(location):
    reading, asked = read(lambda one: page(status=302, location=location))

    assert (reading, len(asked)) == (Reading(None), 1)


def test_redirects_come_to_an_end():
    reading, asked = read(lambda one: page(status=302, location=one.target))

    assert (reading, len(asked)) == (Reading(None), 6)


@given(st.text(), st.sampled_from([200, 302]), st.binary())
def test_no_answer_makes_a_request_of_more_than_one_line(location, status, body):
    reading, asked = read(lambda one: page(body, status, location=location, cache_control=location))

    for need in asked:
        assert need.target.isascii()
        assert not set(need.target + need.host_header) & set("\r\n \t")
    assert reading.lifetime_ms <= LIFETIME_MS_MAX
