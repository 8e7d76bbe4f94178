import importlib
import pkgutil
from urllib.parse import urlencode

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import clients.oauth
from homeserver.config.model import OAuthSection
from tests.doubles.oauth import METADATA, Browser, OAuthClient


def declared():
    """(method, path) of every endpoint declared in clients.oauth."""
    found = set()
    for module in pkgutil.iter_modules(clients.oauth.__path__, "clients.oauth."):
        for owner in vars(importlib.import_module(module.name)).values():
            if isinstance(owner, type) and owner.__module__ == module.name:
                for member in vars(owner).values():
                    found |= {(method, path) for method, path, _ in getattr(member, "endpoints", ())}
    return sorted(found)


NAMES = ["client_id", "redirect_uri", "response_type", "scope", "state", "code_challenge", "prompt",
         "continue", "action", "device_id", "user_code", "form_key", "user", "password", "grant_type",
         "code", "decision",
         "refresh_token", "device_code", "code_verifier", "token", "token_type_hint"]  # fmt: skip
VALUES = ["", "CLIENT", "https://app.example.com/callback", "code", "authorization_code", "refresh_token",
          "urn:ietf:params:oauth:grant-type:device_code", "org.matrix.device_view", "KEY", "allow", "\0", "é",
          "urn:matrix:client:api:* urn:matrix:client:device:A", "x" * 5_000]  # fmt: skip
values = st.sampled_from(VALUES) | st.text(max_size=9)
fields = st.lists(st.tuples(st.sampled_from(NAMES), values), max_size=6)
cookies = st.sampled_from(["", "isthmus=x", "isthmus=", "a=b; isthmus=OWN", ";;=;", 'isthmus="x', "é=ü"])


async def test_arbitrary_input_never_gives_a_500(rooms_server, alice):
    client = await OAuthClient(rooms_server).register()
    browser = Browser(rooms_server)
    page = await browser.sign_in(await browser.open("/account"), "alice")
    known = {"CLIENT": client.client_id, "KEY": page.forms[0][1]["form_key"]}
    endpoints = declared()
    assert len(endpoints) >= 14
    examples = []

    @settings(max_examples=300, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(endpoints), fields, fields | st.binary(max_size=40), cookies)
    def draw(endpoint, query, body, cookie):
        examples.append((endpoint, query, body, cookie))

    draw()
    for (method, path), query, body, cookie in examples:
        replaced = urlencode([(name, known.get(value, value)) for name, value in query])
        sent = body if isinstance(body, bytes) else urlencode(
            [(name, known.get(value, value)) for name, value in body]
        ).encode()  # fmt: skip
        stranger = Browser(rooms_server)
        stranger.headers["cookie"] = cookie.replace("OWN", browser.cookies["isthmus"])
        answer = await stranger.ask(method, f"{path}?{replaced}", sent)
        assert answer.status < 500, (method, path, query, body)
        if answer.location is not None:
            assert answer.location.startswith(("/account", "/oauth2/", METADATA["redirect_uris"][0]))


async def test_nothing_is_there_where_it_is_switched_off(rooms_server):
    rooms_server.configuration = type(rooms_server.configuration)(
        data_directory=rooms_server.configuration.data_directory, oauth=OAuthSection(enabled=False)
    )
    await rooms_server.restart()

    for method, path in [*declared(), ("GET", "/_matrix/client/v1/auth_metadata")]:
        status, answer = await rooms_server.call(method, path)
        assert (status, answer["errcode"]) == (404, "M_UNRECOGNIZED"), path
    _, versions = await rooms_server.call("GET", "/_matrix/client/versions")
    assert "org.matrix.msc4108" not in versions["unstable_features"]


@pytest.mark.parametrize("body", [b"\xff", b"a=1&a=2", b"token=%00", b"&".join([b"a=b"] * 100)])
async def test_a_body_that_is_no_form_gets_the_error_of_the_rfc(rooms_server, body):
    browser = Browser(rooms_server)
    response = await rooms_server.call("POST", "/oauth2/token", body)

    assert response[0] == 400
    assert response[1]["error"] == "invalid_request"
    assert (await browser.ask("POST", "/account/login", body)).status in {400, 403}
    assert orjson.dumps(response[1])
