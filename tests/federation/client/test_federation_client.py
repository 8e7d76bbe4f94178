import re

import pytest

from federation.client.client import FederationClient
from federation.client.paths import path
from federation.client.ports import Answer
from homeserver.core.errors import RemoteRefused, Unavailable
from homeserver.core.signing import SigningKey, verify_json
from homeserver.http.errors import status_of

KEY = SigningKey(b"1" * 32, "a_key")
HEADER = re.compile(r'X-Matrix origin="([^"]+)",destination="([^"]+)",key="([^"]+)",sig="([^"]+)"')


class Wires:
    """Answers with what it is told to, and keeps what it is sent."""

    def __init__(self):
        self.sent = []
        self.answer = Answer(200, b"{}")

    async def exchange(self, destination, request):
        self.sent.append((destination, request))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Noted:
    """Keeps what it is told of servers."""

    def __init__(self):
        self.told = []
        self.refused = set()

    def check(self, destination):
        if destination in self.refused:
            raise Unavailable("Left alone.")

    def succeeded(self, destination):
        self.told.append(("succeeded", destination))

    def failed(self, destination):
        self.told.append(("failed", destination))


@pytest.fixture
def wires():
    return Wires()


@pytest.fixture
def noted():
    return Noted()


@pytest.fixture
def client(wires, noted):
    return FederationClient(
        server_name="here.example", key=KEY, exchanges=wires, availability=noted,
        may_ask=lambda name: name != "evil.example",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("method", "content"),
    [
        ("GET", None),
        ("PUT", {}),
        ("POST", {"b": [1, 2.5, 'é\u2028"'], "a": {"z": None, "y": -0.0}, "unsigned": {"x": 1}, "é": 2**70}),
    ],
)
async def test_a_request_is_signed_as_the_specification_says(client, wires, method, content):
    query = {"v": ["a b", "/"], "limit": "1"}
    await client.request(
        "there.example:8448", method, path("/_matrix/{}/x", "!a/b:c"), query=query, content=content
    )

    [(destination, request)] = wires.sent
    assert destination == "there.example:8448"
    assert request.target == "/_matrix/%21a%2Fb%3Ac/x?v=a%20b&v=%2F&limit=1"
    origin, named, key_id, signature = HEADER.fullmatch(request.authorization).groups()
    assert (origin, named) == ("here.example", "there.example:8448")
    signed = {
        "method": method, "uri": request.target, "origin": origin, "destination": named,
        "signatures": {origin: {key_id: signature}},
    }  # fmt: skip
    if content is not None:
        signed["content"] = content
    # `unsigned` and `signatures` inside of the content are signed like all else there.
    assert verify_json(signed, origin, key_id, KEY.public_key)
    assert (request.body == b"") == (content is None)


async def test_a_request_may_be_unsigned(client, wires):
    await client.request("there.example", "GET", "/_matrix/key/v2/server", is_authenticated=False)

    assert wires.sent[0][1].authorization == ""


@pytest.mark.parametrize(
    "destination", ["here.example", "evil.example", "no name", "", "x" * 300, 'a",b="', "a\r\nb: c"]
)
async def test_some_servers_are_never_asked(client, wires, noted, destination):
    with pytest.raises(Unavailable):
        await client.request(destination, "GET", "/")

    assert (wires.sent, noted.told) == ([], [])


async def test_a_server_that_is_left_alone_is_not_asked(client, wires, noted):
    noted.refused.add("there.example")
    with pytest.raises(Unavailable):
        await client.request("there.example", "GET", "/")

    assert (wires.sent, noted.told) == ([], [])


async def test_an_answer_is_decoded(client, wires, noted):
    wires.answer = Answer(200, b'{"depth": 123456789012345678901234567890, "a": [1.5, "\xc3\xa9"]}')

    got = await client.request("there.example", "GET", "/")

    assert got == {"depth": 123456789012345678901234567890, "a": [1.5, "é"]}
    assert noted.told == [("succeeded", "there.example")]


@pytest.mark.parametrize(
    "answer",
    [
        Answer(500, b"{}"), Answer(502, b"<html>"), Answer(429, b'{"errcode": "M_LIMIT_EXCEEDED"}'),
        Answer(301, b"{}"), Answer(101, b"{}"), Answer(200, b"<html>"), Answer(200, b""),
        Answer(200, b"\xff"),
        Answer(200, b"[" * 5_000 + b"]" * 5_000), Answer(200, b'{"a":' * 240 + b"1" + b"}" * 240),
        Answer(200, b"NaN"), Answer(404, b"<html>"), Unavailable("It hung up."),
        Answer(200, b"[" * 100_000 + b"1" * 20),
    ],
)  # fmt: skip
async def test_what_is_no_answer_is_unavailable(client, wires, noted, answer):
    wires.answer = answer
    with pytest.raises(Unavailable):
        await client.request("there.example", "GET", "/")

    assert noted.told == [("failed", "there.example")]


@pytest.mark.parametrize(
    ("answer", "status", "errcode", "error", "fields"),
    [
        (Answer(403, b'{"errcode": "M_FORBIDDEN", "error": "No.", "x": 1}'), 403, "M_FORBIDDEN", "No.",
         {"x": 1}),
        (Answer(404, b'{"errcode": 1, "error": []}'), 404, "M_UNKNOWN", "status 404", {}),
        (Answer(400, b"[1]"), 400, "M_UNKNOWN", "status 400", {}),
        (Answer(413, b"<html>"), 413, "M_UNKNOWN", "status 413", {}),
        (Answer(401, b'{"errcode": "M_UNKNOWN_TOKEN", "error": "x"}'), 401, "M_UNKNOWN_TOKEN", "x", {}),
        (Answer(400, b'{"errcode": "a b", "error": "%b"}' % (b"x" * 600)), 400, "M_UNKNOWN", "x" * 500, {}),
    ],
)  # fmt: skip
async def test_a_no_is_told_with_all_that_it_says(client, wires, noted, answer, status, errcode, error, fields
):
    wires.answer = answer
    with pytest.raises(RemoteRefused) as raised:
        await client.request("there.example", "GET", "/")

    refused = raised.value
    assert (refused.status, refused.errcode, refused.error) == (status, errcode, error)
    assert fields.items() <= refused.answer.items()
    # It answered, and that is what counts.
    assert noted.told == [("succeeded", "there.example")]


@pytest.mark.parametrize(
    ("status", "errcode", "told"),
    [
        (403, "M_FORBIDDEN", (403, "M_FORBIDDEN")),
        (404, "M_NOT_FOUND", (404, "M_NOT_FOUND")),
        (401, "M_UNAUTHORIZED", (502, "M_UNKNOWN")),
        (403, "M_UNKNOWN_TOKEN", (502, "M_UNKNOWN")),
        (401, "M_USER_LOCKED", (502, "M_UNKNOWN")),
        (418, "M_TEAPOT", (502, "M_UNKNOWN")),
    ],
)
def test_a_client_never_takes_the_no_of_another_server_for_the_end_of_its_session(status, errcode, told):
    refused = RemoteRefused(status, errcode, "Because.")

    assert (status_of(refused), refused.body()["errcode"]) == told
    assert refused.body()["error"] == "The other server says: Because."


@pytest.mark.parametrize(
    ("value", "expected"),
    [("$a/b+c", "%24a%2Fb%2Bc"), ("é", "%C3%A9"), ("\ud800", "%3F"), ("..", ".."), ("{}", "%7B%7D")],
)
def test_an_identifier_is_one_part_of_a_path(value, expected):
    assert path("/x/{}/y", value) == f"/x/{expected}/y"
