from urllib.parse import quote

import pytest

from tests.doubles.oauth import CALLBACK, METADATA, NATIVE, Browser, OAuthClient, answer_in, scope_of


@pytest.fixture
async def client(rooms_server):
    return await OAuthClient(rooms_server).register()


@pytest.fixture
def browser(rooms_server):
    return Browser(rooms_server)


async def whoami(server, token):
    return await server.call("GET", "/_matrix/client/v3/account/whoami", token=token)


async def test_the_metadata_says_where_everything_is(rooms_server):
    status, metadata = await rooms_server.call("GET", "/_matrix/client/v1/auth_metadata")

    assert status == 200
    assert metadata["issuer"] == "http://127.0.0.1:8008/"
    assert metadata["authorization_endpoint"] == "http://127.0.0.1:8008/oauth2/authorize"
    assert {"query", "fragment"} <= set(metadata["response_modes_supported"])
    assert {"authorization_code", "refresh_token"} <= set(metadata["grant_types_supported"])
    assert metadata["code_challenge_methods_supported"] == ["S256"]
    assert metadata["prompt_values_supported"] == ["create"]


async def test_a_user_signs_a_client_in_and_it_is_a_device_like_others(rooms_server, alice, client, browser):
    answer = await client.sign_in(browser)

    assert answer["token_type"] == "Bearer"
    assert answer["expires_in"] == 300
    assert answer["scope"] == scope_of("PHONE")
    status, who = await whoami(rooms_server, answer["access_token"])
    assert (status, who["user_id"], who["device_id"]) == (200, alice.user_id, "PHONE")
    devices = (await alice.get("/devices"))["devices"]
    assert ("PHONE", "Talk") in [(one["device_id"], one["display_name"]) for one in devices]


@pytest.mark.parametrize("mode", ["query", "fragment"])
async def test_the_answer_goes_where_the_client_wants_it_with_its_state(alice, client, browser, mode):
    page = await browser.sign_in(await browser.open(client.authorize_path(response_mode=mode)), "alice")

    page = await browser.submit(page, decision="allow")

    assert page.status == 303
    assert page.location.startswith(CALLBACK + {"query": "?", "fragment": "#"}[mode])
    assert answer_in(page.location)["state"] == "s t&te"
    assert answer_in(page.location)["code"]


async def test_a_user_who_does_not_allow_it_sends_the_client_an_error(alice, client, browser):
    page = await browser.sign_in(await browser.open(client.authorize_path()), "alice")

    page = await browser.submit(page, decision="deny")

    assert answer_in(page.location)["error"] == "access_denied"
    assert answer_in(page.location)["state"] == "s t&te"


async def test_the_unstable_scopes_are_understood_and_others_left_out(rooms_server, alice, client, browser):
    unstable = "urn:matrix:org.matrix.msc2967.client"
    asked = f"openid {unstable}:api:* {unstable}:device:TABLET"

    answer = await client.sign_in(browser, scope=asked)

    assert answer["scope"] == f"{unstable}:api:* {unstable}:device:TABLET"
    assert (await whoami(rooms_server, answer["access_token"]))[1]["device_id"] == "TABLET"


@pytest.mark.parametrize(
    "redirect_uri",
    ["com.example.app:/callback", "http://127.0.0.1:49152/callback", "http://127.0.0.1/callback"],
)
async def test_native_clients_come_back_by_scheme_or_by_any_port(rooms_server, alice, browser, redirect_uri):
    client = await OAuthClient(rooms_server).register(NATIVE)
    path = client.authorize_path(redirect_uri=redirect_uri)
    page = await browser.sign_in(await browser.open(path), "alice")
    source = redirect_uri.removesuffix("/callback").removesuffix("/")
    assert f"form-action 'self' {source};" in page.headers["Content-Security-Policy"]

    page = await browser.submit(page, decision="allow")

    assert page.location.startswith(redirect_uri + "?")
    status, _ = await client.exchange(answer_in(page.location)["code"], redirect_uri=redirect_uri)
    assert status == 200


BAD_ADDRESSES = [
    {"redirect_uri": "https://evil.example.org/callback"},
    {"redirect_uri": CALLBACK + "/more"},
    {"redirect_uri": CALLBACK + "?a=b"},
    {"redirect_uri": CALLBACK + "#x"},
    {"redirect_uri": "https://app.example.com:444/callback"},
    {"redirect_uri": "javascript:alert(1)"},
    {"redirect_uri": None},
    {"client_id": "nobody"},
    {"client_id": "é"},
    {"client_id": None},
]


@pytest.mark.parametrize("changes", BAD_ADDRESSES)
async def test_a_bad_redirect_uri_or_client_never_redirects(alice, client, browser, changes):
    page = await browser.open(client.authorize_path(**changes))

    assert page.status in {400, 401}
    assert page.location is None
    assert not [href for _, one in page.elements if (href := one.get("href"))]


async def test_a_redirect_uri_that_is_given_twice_never_redirects(alice, client, browser):
    page = await browser.open(client.authorize_path() + "&redirect_uri=" + quote(CALLBACK))

    assert (page.status, page.location) == (400, None)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": None}, "unsupported_response_type"),
        ({"response_mode": "form_post"}, "invalid_request"),
        ({"scope": None}, "invalid_scope"),
        ({"scope": "openid"}, "invalid_scope"),
        ({"scope": "urn:matrix:client:api:*"}, "invalid_scope"),
        ({"scope": scope_of("A") + " urn:matrix:client:device:B"}, "invalid_scope"),
        ({"scope": scope_of("D" * 300)}, "invalid_scope"),
        ({"prompt": "none"}, "interaction_required"),
        ({"request": "x"}, "request_not_supported"),
    ],
)
async def test_other_mistakes_are_told_to_the_client(alice, client, browser, changes, error):
    page = await browser.open(client.authorize_path(**changes))

    assert page.location.startswith(CALLBACK)
    assert answer_in(page.location)["error"] == error
    assert answer_in(page.location)["state"] == "s t&te"


async def test_a_parameter_that_is_given_twice_is_an_error(alice, client, browser):
    page = await browser.open(client.authorize_path() + "&scope=openid")

    assert answer_in(page.location)["error"] == "invalid_request"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_verifier": "w" * 43}, "invalid_grant"),
        ({"code_verifier": "short"}, "invalid_grant"),
        ({"code_verifier": None}, "invalid_request"),
        ({"redirect_uri": "https://app.example.com/other"}, "invalid_grant"),
        ({"redirect_uri": None}, "invalid_request"),
        ({"code": "guess"}, "invalid_grant"),
        ({"client_id": "nobody"}, "invalid_client"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": None}, "invalid_request"),
    ],
)
async def test_a_code_is_good_only_for_who_asked_for_it(alice, client, browser, changes, error):
    code = await client.code(browser)

    status, answer = await client.exchange(code, **changes)

    assert status == (401 if error == "invalid_client" else 400)
    assert answer["error"] == error
    assert (await client.exchange(code))[0] == 200, "a failed guess does not cost the client its code"


async def test_a_mixed_up_client_gets_nothing_for_the_code_of_another(rooms_server, alice, client, browser):
    other = await OAuthClient(rooms_server).register(METADATA | {"client_name": "Other"})
    assert other.client_id != client.client_id

    status, answer = await other.exchange(await client.code(browser))

    assert (status, answer["error"]) == (400, "invalid_grant")


async def test_a_code_that_is_used_again_ends_the_session_it_was_exchanged_for(
    rooms_server, alice, client, browser
):
    code = await client.code(browser)
    _, first = await client.exchange(code)

    status, answer = await client.exchange(code)

    assert (status, answer["error"]) == (400, "invalid_grant")
    assert (await whoami(rooms_server, first["access_token"]))[0] == 401
    assert (await client.refresh(first["refresh_token"]))[1]["error"] == "invalid_grant"
    assert "PHONE" not in [one["device_id"] for one in (await alice.get("/devices"))["devices"]]


async def test_a_code_runs_out_after_a_minute(rooms_server, alice, client, browser):
    code = await client.code(browser)
    await rooms_server.database.execute("UPDATE oauth_codes SET created_ms = created_ms - 60000")

    status, answer = await client.exchange(code)

    assert (status, answer["error"]) == (400, "invalid_grant")


async def test_users_are_told_whether_the_clients_host_is_its_own_word(rooms_server, alice, browser):
    web = await OAuthClient(rooms_server).register()
    native = await OAuthClient(rooms_server).register(NATIVE)

    page = await browser.sign_in(await browser.open(web.authorize_path()), "alice")
    assert "Talk, a client from example.com" in page.text
    page = await browser.open(native.authorize_path(redirect_uri="com.example.app:/callback"))
    assert "Talk, a client that says it is from example.com" in page.text


async def test_a_known_device_is_taken_over_and_the_user_is_told(rooms_server, alice, client, browser):
    first = await client.sign_in(browser)

    page = await browser.open(client.authorize_path())

    assert "in the place of your device Talk" in page.text
    page = await browser.submit(page, decision="allow")
    assert (await client.exchange(answer_in(page.location)["code"]))[0] == 200
    assert (await whoami(rooms_server, first["access_token"]))[0] == 401
