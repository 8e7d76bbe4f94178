import asyncio

import pytest

from tests.doubles.oauth import METADATA, Browser, OAuthClient


@pytest.fixture
async def client(rooms_server):
    return await OAuthClient(rooms_server).register()


@pytest.fixture
def browser(rooms_server):
    return Browser(rooms_server)


async def status_of(server, token):
    return (await server.call("GET", "/_matrix/client/v3/account/whoami", token=token))[0]


async def test_refreshing_gives_new_tokens_and_their_use_ends_the_old_ones(
    rooms_server, alice, client, browser
):
    first = await client.sign_in(browser)

    status, second = await client.refresh(first["refresh_token"])

    assert status == 200
    assert {second[name] == first[name] for name in ("access_token", "refresh_token")} == {False}
    assert await status_of(rooms_server, second["access_token"]) == 200
    assert await status_of(rooms_server, first["access_token"]) == 401


async def test_a_client_whose_answer_was_lost_can_refresh_again(rooms_server, alice, client, browser):
    first = await client.sign_in(browser)
    await client.refresh(first["refresh_token"])

    status, again = await client.refresh(first["refresh_token"])

    assert status == 200
    assert await status_of(rooms_server, again["access_token"]) == 200
    assert (await client.refresh(again["refresh_token"]))[0] == 200


async def test_a_replayed_refresh_token_revokes_the_whole_family(rooms_server, alice, client, browser):
    first = await client.sign_in(browser)
    _, second = await client.refresh(first["refresh_token"])
    assert await status_of(rooms_server, second["access_token"]) == 200

    status, answer = await client.refresh(first["refresh_token"])

    assert (status, answer["error"]) == (400, "invalid_grant")
    assert await status_of(rooms_server, second["access_token"]) == 401
    assert (await client.refresh(second["refresh_token"]))[1]["error"] == "invalid_grant"
    assert await status_of(rooms_server, alice.token) == 200, "other sessions go on"


async def test_a_refresh_by_both_who_have_the_token_is_found_out_at_the_next_step(
    rooms_server, alice, client, browser
):
    first = await client.sign_in(browser)
    _, thief = await client.refresh(first["refresh_token"])
    _, owner = await client.refresh(first["refresh_token"])
    assert await status_of(rooms_server, owner["access_token"]) == 200

    status, _ = await client.refresh(thief["refresh_token"])

    assert status == 400
    assert await status_of(rooms_server, owner["access_token"]) == 401


async def test_two_refreshes_at_once_both_get_tokens_of_one_session(rooms_server, alice, client, browser):
    first = await client.sign_in(browser)

    answers = await asyncio.gather(*(client.refresh(first["refresh_token"]) for _ in range(4)))

    assert [status for status, _ in answers] == [200] * 4
    assert len({answer["refresh_token"] for _, answer in answers}) == 4


async def test_another_client_cannot_refresh_and_the_session_goes_on(rooms_server, alice, client, browser):
    other = await OAuthClient(rooms_server).register(METADATA | {"client_name": "Other"})
    first = await client.sign_in(browser)

    status, answer = await other.refresh(first["refresh_token"])

    assert (status, answer["error"]) == (400, "invalid_grant")
    assert (await client.refresh(first["refresh_token"]))[0] == 200


@pytest.mark.parametrize("token", ["guess", "ior_guess", "isr_guess", "ior_" + "x" * 2_000, "é"])
async def test_what_is_no_refresh_token_is_refused(alice, client, token):
    status, answer = await client.refresh(token)

    assert (status, answer["error"]) == (400, "invalid_grant")


async def test_the_legacy_api_does_not_take_these_refresh_tokens_nor_the_other_way(
    rooms_server, alice, client, browser
):
    first = await client.sign_in(browser)
    body = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": "alice"},
            "password": "correct horse battery staple", "refresh_token": True}  # fmt: skip
    _, legacy = await rooms_server.call("POST", "/_matrix/client/v3/login", body)

    status, _ = await rooms_server.call(
        "POST", "/_matrix/client/v3/refresh", {"refresh_token": first["refresh_token"]}
    )

    assert status == 401
    assert (await client.refresh(legacy["refresh_token"]))[1]["error"] == "invalid_grant"
    assert await status_of(rooms_server, legacy["access_token"]) == 200


async def test_a_refresh_token_is_no_access_token_nor_the_other_way(rooms_server, alice, client, browser):
    first = await client.sign_in(browser)

    assert await status_of(rooms_server, first["refresh_token"]) == 401
    assert await status_of(rooms_server, first["refresh_token"].removeprefix("ior_")) == 401
    assert (await client.refresh("ior_" + first["access_token"]))[0] == 400


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
@pytest.mark.parametrize("hint", [None, "access_token", "refresh_token"])
@pytest.mark.parametrize("names_itself", [True, False])
async def test_revoking_either_token_ends_both_and_forgets_the_device(
    rooms_server, alice, client, browser, kind, hint, names_itself
):
    first = await client.sign_in(browser)
    fields = {} if hint is None else {"token_type_hint": hint}
    fields |= {"client_id": client.client_id} if names_itself else {}

    status, _ = await client.post("/oauth2/revoke", token=first[kind], **fields)

    assert status == 200
    assert await status_of(rooms_server, first["access_token"]) == 401
    assert (await client.refresh(first["refresh_token"]))[0] == 400
    assert "PHONE" not in [one["device_id"] for one in (await alice.get("/devices"))["devices"]]
    assert (await client.post("/oauth2/revoke", token=first[kind]))[0] == 200, "again is no matter"


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"token": "guess"}, 200),
        ({}, 400),
        ({"token": ""}, 400),
        ({"token": "x", "token_type_hint": "y"}, 400),
    ],
)
async def test_revoking_what_is_no_token_does_nothing(rooms_server, alice, client, fields, status):
    assert (await client.post("/oauth2/revoke", **fields))[0] == status
    assert await status_of(rooms_server, alice.token) == 200


async def test_the_session_survives_a_restart(rooms_server, alice, client, browser):
    first = await client.sign_in(browser)
    await rooms_server.restart()

    assert await status_of(rooms_server, first["access_token"]) == 200
    assert (await client.refresh(first["refresh_token"]))[0] == 200


async def test_tokens_are_not_in_the_database(rooms_server, alice, client, browser):
    first = await client.sign_in(browser)
    tables = ["oauth_clients", "oauth_sessions", "oauth_codes", "browser_sessions", "refresh_tokens"]

    rows = [await rooms_server.database.fetch(f"SELECT one::text FROM {table} AS one") for table in tables]

    kept = str(rows)
    assert "urn:matrix:client:device:PHONE" in kept
    for secret in (first["access_token"], first["refresh_token"], *browser.cookies.values()):
        assert secret not in kept
        assert secret.encode().hex() not in kept
