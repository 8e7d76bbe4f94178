from html.parser import HTMLParser

import pytest

from homeserver.app.landing import LandingEndpoints, landing_page
from homeserver.http.endpoint import endpoints_of

FACTS = {
    "server_name": "example.org",
    "version": "1.2.3",
    "base_url": "https://matrix.example.org",
    "command": "homeserver register-user NAME",
    "registration": "closed",
}


class Outline(HTMLParser):
    """What a page is made of: tags with attributes, and text."""

    def __init__(self, page):
        super().__init__()
        self.tags = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def test_the_page_says_what_this_is_and_what_to_do():
    text = Outline(landing_page(**FACTS)).text

    for words in ("example.org", "It works", "1.2.3", "homeserver register-user NAME", "Element"):
        assert words in text


def test_the_page_loads_nothing_from_elsewhere():
    tags = Outline(landing_page(**FACTS)).tags

    assert not {"script", "img", "link", "iframe"} & {tag for tag, _ in tags}
    assert not [attrs for _, attrs in tags if "src" in attrs]


def test_the_page_is_accessible():
    tags = Outline(landing_page(**FACTS)).tags

    assert ("html", {"lang": "en"}) in tags
    assert [tag for tag, _ in tags].count("h1") == 1
    named = {attrs["aria-labelledby"] for tag, attrs in tags if tag == "section"}
    assert named == {attrs["id"] for tag, attrs in tags if tag == "h2"}


def test_what_the_operator_configured_is_no_markup():
    page = landing_page(**{**FACTS, "command": "<script>alert(1)</script>"})

    assert "<script" not in page


@pytest.mark.parametrize("mode", ["open", "token", "closed"])
def test_every_mode_of_registration_has_its_sentence(mode):
    assert "egister" in Outline(landing_page(**{**FACTS, "registration": mode})).text


async def test_the_page_is_html():
    (landing,) = endpoints_of(LandingEndpoints(page="<p>"))
    answer = await landing.respond(None)

    assert (landing.method, landing.path) == ("GET", "/")
    assert answer.content_type.startswith("text/html")
