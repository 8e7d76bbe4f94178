"""The calls of joins, leaves, knocks and invitations, as older and newer servers answer them."""

import pytest

from federation.client.aliases import RemoteAliases
from federation.client.joins import FederatedJoins
from homeserver.core.errors import RemoteRefused, Unavailable
from homeserver.core.event.builder import build_event
from homeserver.core.room_versions import rules_for
from tests.doubles.federation_client import ScriptedFederationClient
from tests.factory.room_timeline import signing_key_of

THERE, ROOM, USER = "there.example", "!r:there.example", "@hal:here.example"
UNRECOGNIZED = RemoteRefused(404, "M_UNRECOGNIZED", "What?")


@pytest.fixture
def client():
    return ScriptedFederationClient()


@pytest.fixture
def joins(client):
    return FederatedJoins(client)


def invitation(version):
    return build_event(
        rules=rules_for(version), type="m.room.member", sender="@hal:here.example",
        content={"membership": "invite"}, room_id="!r:here.example", prev_events=[], auth_events=[], depth=1,
        origin_server_ts=1, server_name="here.example", signing_key=signing_key_of("here.example"),
        state_key="@tess:there.example",
    )  # fmt: skip


async def test_a_sketch_is_asked_for_with_the_versions_that_are_known(client, joins):
    path = "/_matrix/federation/v1/make_join/%21r%3Athere.example/%40hal%3Ahere.example"
    client.answer(THERE, path, {"a": 1})

    assert await joins.make(THERE, "join", ROOM, USER, ["11", "12"]) == {"a": 1}
    assert client.asked[0].query == {"ver": ["11", "12"]}
    client.answer(THERE, "*", {})
    await joins.make(THERE, "leave", ROOM, USER, ["11"])
    assert client.asked[1].query == {}


async def test_an_event_is_handed_over_the_newer_way(client, joins):
    client.answer(THERE, "/_matrix/federation/v2/send_join/*", {"state": []})

    assert await joins.send(THERE, "join", ROOM, "$e", {"type": "m"}) == {"state": []}
    assert client.asked[0].content == {"type": "m"}
    assert client.asked[0].query == {"omit_members": "false"}


@pytest.mark.parametrize("change", ["join", "leave"])
async def test_an_older_server_is_asked_the_older_way(client, joins, change):
    client.answer(THERE, f"/_matrix/federation/v2/send_{change}/*", UNRECOGNIZED)
    client.answer(THERE, f"/_matrix/federation/v1/send_{change}/*", [200, {"x": 1}])

    assert await joins.send(THERE, change, ROOM, "$e", {}) == {"x": 1}
    client.answer(THERE, f"/_matrix/federation/v1/send_{change}/*", {"x": 1})
    with pytest.raises(Unavailable):
        await joins.send(THERE, change, ROOM, "$e", {})


async def test_there_is_one_way_to_knock(client, joins):
    client.answer(THERE, "/_matrix/federation/v1/send_knock/*", UNRECOGNIZED)

    with pytest.raises(RemoteRefused):
        await joins.send(THERE, "knock", ROOM, "$e", {})
    assert len(client.asked) == 1


async def test_an_invitation_tells_of_the_room(client, joins):
    event = invitation("12")
    client.answer(THERE, "/_matrix/federation/v2/invite/*", {"event": {"signed": True}})

    assert await joins.invite(THERE, "12", event, [{"type": "t"}]) == {"signed": True}
    assert client.asked[0].content == {
        "event": event.pdu, "room_version": "12", "invite_room_state": [{"type": "t"}],
    }  # fmt: skip


async def test_only_of_the_oldest_rooms_an_older_server_hears_by_the_older_way(client, joins):
    client.answer(THERE, "/_matrix/federation/v2/invite/*", UNRECOGNIZED)
    client.answer(THERE, "/_matrix/federation/v1/invite/*", [200, {"event": {"signed": True}}])

    assert await joins.invite(THERE, "1", invitation("1"), [{"type": "t"}]) == {"signed": True}
    assert client.asked[-1].content["unsigned"] == {"invite_room_state": [{"type": "t"}]}
    with pytest.raises(RemoteRefused):
        await joins.invite(THERE, "3", invitation("3"), [])


async def test_a_no_is_no_reason_to_ask_again(client, joins):
    client.answer(THERE, "*", RemoteRefused(403, "M_FORBIDDEN", "no"))

    with pytest.raises(RemoteRefused):
        await joins.invite(THERE, "1", invitation("1"), [])
    with pytest.raises(RemoteRefused):
        await joins.send(THERE, "join", ROOM, "$e", {})
    assert len(client.asked) == 2


@pytest.mark.parametrize("answer", [[], {}, {"event": 1}, "x", None])
async def test_whatever_is_answered_to_an_invitation_is_passed_on(client, joins, answer):
    client.answer(THERE, "*", answer)

    found = await joins.invite(THERE, "12", invitation("12"), [])
    assert found == (answer.get("event") if isinstance(answer, dict) else None)


async def test_an_alias_stands_for_a_room_and_servers(client):
    aliases = RemoteAliases(client)
    client.answer(THERE, "/_matrix/federation/v1/query/directory", {"room_id": ROOM, "servers": [THERE, 1]})

    assert await aliases.find_alias("#a:there.example") == (ROOM, [THERE])
    assert client.asked[0].query == {"room_alias": "#a:there.example"}


@pytest.mark.parametrize("answer", [[], {}, {"room_id": 1}, {"servers": []}])
async def test_an_alias_of_a_server_that_talks_nonsense_stands_for_nothing(client, answer):
    client.answer(THERE, "*", answer)

    with pytest.raises(Unavailable):
        await RemoteAliases(client).find_alias("#a:there.example")
