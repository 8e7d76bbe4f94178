"""Binding addresses at identity servers, and having them forgotten, as the client of a small one."""

from dataclasses import replace
from pathlib import Path

import pytest

from homeserver.accounts import identity_servers
from homeserver.config.accounts import IdentitySection
from homeserver.core.errors import Unavailable
from homeserver.core.signing import SigningKey
from storage.tables import account_states, threepids
from storage.tables.threepids import ThreepidRow
from tests.doubles.identity_server import IdentityServers
from tests.doubles.rooms import PASSWORD

pytestmark = pytest.mark.scenario

ID, OTHER = "id.example.org", "other.example.org"
EMAIL = ("email", "alice@example.org")
PHONE = ("msisdn", "442079460018")
SUCCESS = {"id_server_unbind_result": "success"}
NO_SUPPORT = {"id_server_unbind_result": "no-support"}


@pytest.fixture
async def server(rooms_server):
    rooms_server.configuration = replace(
        rooms_server.configuration, identity=IdentitySection(trusted_servers=(ID, OTHER))
    )
    await rooms_server.restart()
    return rooms_server


@pytest.fixture
def identity(server):
    servers = IdentityServers(ID, OTHER, "evil.example.org")
    servers.validated = {("1", "s"): EMAIL, ("2", "s"): PHONE}
    text = (Path(server.configuration.data_directory) / "signing.key").read_text("ascii")
    key = SigningKey.parse(text)
    servers.keys["localhost"] = {key.key_id: key.public_key}
    server.services.accounts.addresses.identity_servers._outgoing = servers
    return servers


async def bind(user, sid="1", id_server=ID, token="token"):
    body = {"sid": sid, "client_secret": "s", "id_server": id_server, "id_access_token": token}
    return await user.try_("POST", "/account/3pid/bind", body)


async def unbind(user, which=EMAIL, action="unbind", **fields):
    body = {"medium": which[0], "address": which[1], **fields}
    return await user.try_("POST", f"/account/3pid/{action}", body)


async def deactivate(user, **fields):
    identifier = {"type": "m.id.user", "user": user.user_id}
    auth = {"type": "m.login.password", "identifier": identifier, "password": PASSWORD}
    return await user.ask("POST", "/account/deactivate", {"auth": auth, **fields})


async def test_a_bound_address_is_forgotten_where_it_was_bound(alice, identity):
    bound = await bind(alice), await bind(alice, "2", OTHER)
    known = {name: dict(of) for name, of in identity.bound.items()}
    unbound = await unbind(alice, ("email", "Alice@Example.org"))
    again = await unbind(alice)

    assert bound == ((200, {}), (200, {}))
    assert (known[ID], known[OTHER]) == ({EMAIL: alice.user_id}, {PHONE: alice.user_id})
    assert unbound == (200, SUCCESS)
    assert identity.bound[ID] == {}
    assert identity.bound[OTHER] == {PHONE: alice.user_id}
    assert again == (200, NO_SUPPORT)


async def test_the_older_way_to_bind_does_the_same(alice, identity):
    creds = {"sid": "1", "client_secret": "s", "id_server": ID, "id_access_token": "token"}

    assert await alice.try_("POST", "/account/3pid", {"three_pid_creds": creds}) == (200, {})
    assert identity.bound[ID] == {EMAIL: alice.user_id}
    assert await alice.try_("POST", "/account/3pid", {"three_pid_creds": {}}) == (400, "M_BAD_JSON")


async def test_what_is_bound_is_remembered_over_a_restart(server, alice, identity):
    await bind(alice)
    await server.restart()
    server.services.accounts.addresses.identity_servers._outgoing = identity

    assert await unbind(alice) == (200, SUCCESS)
    assert identity.bound[ID] == {}


async def test_an_address_that_is_bound_twice_is_forgotten_twice(alice, identity):
    await bind(alice)
    await bind(alice, id_server=OTHER)

    assert await unbind(alice, action="delete") == (200, SUCCESS)
    assert identity.bound == {ID: {}, OTHER: {}, "evil.example.org": {}}


async def test_another_server_than_the_one_that_is_named_is_not_asked(alice, identity):
    await bind(alice)
    await bind(alice, id_server=OTHER)

    assert await unbind(alice, id_server=OTHER) == (200, SUCCESS)
    assert identity.bound[ID] == {EMAIL: alice.user_id}
    assert identity.bound[OTHER] == {}


@pytest.mark.parametrize("action", ["delete", "unbind"])
async def test_a_server_that_nobody_trusts_is_never_asked(alice, identity, action):
    assert await bind(alice, id_server="evil.example.org") == (400, "M_SERVER_NOT_TRUSTED")
    assert await unbind(alice, action=action, id_server="evil.example.org") == (200, NO_SUPPORT)
    assert await unbind(alice, action=action, id_server="a/../b?c") == (200, NO_SUPPORT)
    assert identity.asked == []


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((404, b'{"errcode": "M_NO_VALID_SESSION", "error": "No."}'), (404, "M_NO_VALID_SESSION")),
        ((403, b'{"errcode": "M_TERMS_NOT_SIGNED", "error": "Sign."}'), (403, "M_TERMS_NOT_SIGNED")),
        # Our own client would take this for the end of its session here.
        ((401, b'{"errcode": "M_UNKNOWN_TOKEN"}'), (403, "M_FORBIDDEN")),
        ((400, b'{"errcode": "M_UNKNOWN_TOKEN"}'), (403, "M_FORBIDDEN")),
        ((400, b'{"errcode": "\\r\\n"}'), (403, "M_FORBIDDEN")),
        ((400, b"nonsense"), (403, "M_FORBIDDEN")),
        ((200, b"nonsense"), (503, "M_UNKNOWN")),
        ((200, b'{"medium": "email", "address": "\\u0000"}'), (503, "M_UNKNOWN")),
        ((200, b'{"medium": ["email"], "address": {}}'), (503, "M_UNKNOWN")),
        ((502, b'{"errcode": "M_UNKNOWN"}'), (503, "M_UNKNOWN")),
        (Unavailable("No answer."), (503, "M_UNKNOWN")),
    ],
)
async def test_what_the_identity_server_says_to_binding_is_handed_on(alice, identity, answer, told):
    identity.answers = [answer]

    assert await bind(alice) == told
    assert await unbind(alice) == (200, NO_SUPPORT)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((400, b""), (200, NO_SUPPORT)),
        ((404, b"<html>"), (200, NO_SUPPORT)),
        ((501, b"{}"), (200, NO_SUPPORT)),
        ((404, b'{"errcode": "M_UNRECOGNIZED", "error": "?"}'), (200, NO_SUPPORT)),
        ((403, b'{"errcode": "M_FORBIDDEN", "error": "No."}'), (403, "M_FORBIDDEN")),
        ((501, b'{"errcode": "M_NO_UNBIND", "error": "No."}'), (400, "M_NO_UNBIND")),
        ((500, b""), (503, "M_UNKNOWN")),
        (Unavailable("No answer."), (503, "M_UNKNOWN")),
    ],
)
async def test_what_the_identity_server_says_to_unbinding_is_handed_on(alice, identity, answer, told):
    await bind(alice)
    identity.answers = [answer]

    assert await unbind(alice) == told
    assert await unbind(alice) == (200, SUCCESS)  # it is still known where


async def test_an_address_is_taken_from_the_account_whatever_identity_servers_say(server, alice, identity):
    await threepids.add(server.database, alice.user_id, ThreepidRow(*EMAIL, 1, 1))
    await bind(alice)
    identity.answers = [(403, b'{"errcode": "M_FORBIDDEN", "error": "No."}')]

    assert await unbind(alice, action="delete") == (200, NO_SUPPORT)
    assert (await alice.get("/account/3pid"))["threepids"] == []


async def test_an_account_that_ends_is_forgotten_everywhere(alice, bob, identity):
    await bind(alice)
    await bind(alice, "2", OTHER)
    assert await deactivate(alice) == SUCCESS
    assert identity.bound == {ID: {}, OTHER: {}, "evil.example.org": {}}
    assert await deactivate(bob) == SUCCESS  # who had nothing to forget


async def test_an_account_that_ends_is_forgotten_at_the_server_that_is_named(server, alice, identity):
    await threepids.add(server.database, alice.user_id, ThreepidRow(*EMAIL, 1, 1))
    identity.bound[OTHER][EMAIL] = alice.user_id  # by whatever way
    assert await deactivate(alice, id_server=OTHER) == SUCCESS
    assert identity.bound[OTHER] == {}


async def test_an_account_ends_also_if_no_identity_server_forgets_it(alice, bob, identity):
    await bind(alice)
    identity.answers = [Unavailable("No answer.")]
    assert await deactivate(alice) == NO_SUPPORT
    assert (await alice.try_("GET", "/account/whoami"))[1] == "M_UNKNOWN_TOKEN"
    assert await deactivate(bob, id_server="evil.example.org") == NO_SUPPORT


async def test_a_crash_while_an_account_ends_leaves_nothing_bound(server, alice, identity):
    await bind(alice)
    async with server.database.transaction() as transaction:
        await account_states.strip(transaction, alice.user_id, 1, clears_profile=False)
    await server.services.account_care.deactivation.resume()

    assert identity.bound[ID] == {}


async def test_an_account_binds_a_bounded_number_of_addresses(alice, identity, monkeypatch):
    monkeypatch.setattr(identity_servers, "BINDINGS_PER_USER_MAX", 1)

    assert [await bind(alice), await bind(alice, "2")] == [(200, {}), (403, "M_FORBIDDEN")]
    assert await bind(alice, token="tökén") == (403, "M_FORBIDDEN")
    await unbind(alice)
    assert await bind(alice, token="tökén") == (400, "M_INVALID_PARAM")
