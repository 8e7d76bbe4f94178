from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeserver.core.oauth.client_redirects import is_trusted, place_of, redirect_of, with_login_token


@pytest.mark.parametrize(
    "url",
    [
        "https://app.example.com/?a=b#/home", "http://localhost:8080/", "http://[::1]:8080/", "element://vector/",
        "io.element.app:/callback", "com.example.app:callback", "https://a.b/%C3%BC?x=%2F",
    ],
)  # fmt: skip
def test_urls_of_clients_stay_as_they_are(url):
    assert redirect_of(url) == url


def test_letters_of_other_scripts_are_escaped():
    assert redirect_of("https://a.b/ü?q=漢") == "https://a.b/%C3%BC?q=%E6%BC%A2"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://a.b/", "https://a.b/?loginToken=T"),
        ("https://a.b/?", "https://a.b/?loginToken=T"),
        ("https://a.b/?x=1&y=%26", "https://a.b/?x=1&y=%26&loginToken=T"),
        ("https://a.b/?loginToken=o&x=1&login%54oken=p", "https://a.b/?x=1&loginToken=T"),
        ("https://a.b/?x#/y?loginToken=z", "https://a.b/?x&loginToken=T#/y?loginToken=z"),
        ("app:/cb", "app:/cb?loginToken=T"),
    ],
)
def test_the_token_is_added_before_the_fragment_and_there_is_one(url, expected):
    assert with_login_token(url, "T") == expected


@given(st.text(max_size=60) | st.text(st.sampled_from("https:/@[]?#&=a.b%;'\"\\ \r\nü"), max_size=40))
def test_whatever_is_accepted_can_be_sent_in_a_header_and_stays_where_it_is(text):
    url = redirect_of(text)
    if url is None:
        return

    sent = with_login_token(url, "T")

    assert sent.isascii()
    assert not any(one <= " " for one in sent)
    before, after = urlsplit(url), urlsplit(sent)
    assert (before.scheme, before.netloc, before.path) == (after.scheme, after.netloc, after.path)
    assert after.scheme not in {"javascript", "data"}
    assert [value for name, value in parse_qsl(after.query) if name == "loginToken"] == ["T"]


def test_people_read_the_host_of_a_site_and_the_scheme_of_an_app():
    assert place_of("https://app.example.com:444/x") == ("app.example.com:444", True)
    assert place_of("element://vector/") == ("element:", False)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://a.b/web", True), ("https://A.B/web/x", True), ("https://a.b/", False),
        ("https://a.b/webx", False), ("https://a.b/web/..%2Fx", False), ("https://a.b/web/%5C..%5Cx", False),
        ("https://a.b:443/web", False), ("app:/web", False),
    ],
)  # fmt: skip
def test_trust_ends_at_the_path(url, expected):
    assert is_trusted(url, ("https://a.b/web/",)) is expected
