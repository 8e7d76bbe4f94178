import pytest

from homeserver.accounts.oauth.clients import OAuthClients
from homeserver.core.errors import Unavailable
from homeserver.core.oauth.errors import InvalidClient
from homeserver.runtime.clock import SystemClock
from tests.doubles.accounts import MovableClock
from tests.doubles.oauth import METADATA, Browser, OAuthClient


def named(name):
    return METADATA | {"client_name": name}


async def test_who_says_the_same_is_the_same_client(rooms_server):
    first = await OAuthClient(rooms_server).register()
    again = await OAuthClient(rooms_server).register(dict(reversed(METADATA.items())))
    other = await OAuthClient(rooms_server).register(named("Other"))

    assert first.client_id == again.client_id != other.client_id
    assert await rooms_server.database.fetch_one("SELECT count(*) FROM oauth_clients") == (2,)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff", b"{" + b" " * 70_000 + b"}"])
async def test_a_body_that_is_no_metadata_is_refused(rooms_server, body):
    status, answer = await rooms_server.call("POST", "/oauth2/registration", body)

    assert (status, answer["error"]) == (400, "invalid_client_metadata")


async def test_a_client_that_nobody_used_is_forgotten(database):
    clock = MovableClock()
    clients = OAuthClients(database=database, clock=clock, unused_ms_max=1_000)
    old, _ = await clients.register(named("old"))
    used, _ = await clients.register(named("used"))
    clock.advance(600)
    await clients.register(named("used"))
    clock.advance(600)

    await clients.register(named("new"))

    assert (await clients.find(used)).shown_as("client_name") == "used"
    with pytest.raises(InvalidClient):
        await clients.find(old)


async def test_the_number_of_clients_is_bounded_and_the_longest_unused_goes_first(database):
    clock = MovableClock()
    clients = OAuthClients(database=database, clock=clock, clients_max=2)
    ids = []
    for name in ("a", "b", "c"):
        clock.advance(1)
        ids.append((await clients.register(named(name)))[0])

    with pytest.raises(InvalidClient):
        await clients.find(ids[0])
    for kept in ids[1:]:
        await clients.find(kept)


async def test_a_client_with_a_session_is_never_forgotten(rooms_server):
    await rooms_server.user("alice")
    client = await OAuthClient(rooms_server).register()
    answer = await client.sign_in(Browser(rooms_server))
    await rooms_server.database.execute("UPDATE oauth_clients SET last_used_ms = 0")
    await rooms_server.database.execute("DELETE FROM oauth_codes")
    full = OAuthClients(database=rooms_server.database, clock=SystemClock(), clients_max=1)

    with pytest.raises(Unavailable):
        await full.register(named("Other"))

    assert (await client.refresh(answer["refresh_token"]))[0] == 200
