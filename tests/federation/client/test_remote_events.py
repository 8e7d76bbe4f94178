import pytest

from federation.client.events import RemoteEvents
from homeserver.core.errors import RemoteRefused, Unavailable
from tests.doubles.federation_client import ScriptedFederationClient

PDU = {"type": "m.room.message", "anything": [None]}
ROOM = "!room/with#odd:characters"
PREFIX = "/_matrix/federation/v1"
THERE = "there.example"


@pytest.fixture
def client():
    return ScriptedFederationClient()


@pytest.fixture
def remote(client):
    return RemoteEvents(client)


CALLS = {
    "event": (
        lambda remote: remote.event(THERE, "$a/b"), "/event/%24a%2Fb",
        {"origin": "x", "origin_server_ts": 1, "pdus": [PDU]}, PDU,
    ),
    "state_ids": (
        lambda remote: remote.state_ids(THERE, ROOM, "$e"), "/state_ids/%21room%2Fwith%23odd%3Acharacters",
        {"pdu_ids": ["$a"], "auth_chain_ids": ["$b", "$c:x"]}, (["$a"], ["$b", "$c:x"]),
    ),
    "state": (
        lambda remote: remote.state(THERE, ROOM, "$e"), "/state/%21room%2Fwith%23odd%3Acharacters",
        {"pdus": [PDU], "auth_chain": [PDU, {}]}, ([PDU], [PDU, {}]),
    ),
    "event_auth": (
        lambda remote: remote.event_auth(THERE, ROOM, "$e"),
        "/event_auth/%21room%2Fwith%23odd%3Acharacters/%24e", {"auth_chain": [PDU]}, [PDU],
    ),
    "missing_events": (
        lambda remote: remote.missing_events(THERE, ROOM, earliest=["$a"], latest=["$b"], limit=2),
        "/get_missing_events/%21room%2Fwith%23odd%3Acharacters", {"events": [PDU, {}, PDU]}, [PDU, {}],
    ),
    "backfill": (
        lambda remote: remote.backfill(THERE, ROOM, latest=["$a", "$b"], limit=2),
        "/backfill/%21room%2Fwith%23odd%3Acharacters", {"origin": "x", "pdus": [PDU, {}, PDU]}, [PDU, {}],
    ),
    "timestamp_to_event": (
        lambda remote: remote.timestamp_to_event(THERE, ROOM, timestamp_ms=5, direction="b"),
        "/timestamp_to_event/%21room%2Fwith%23odd%3Acharacters", {"event_id": "$a", "origin_server_ts": 4},
        ("$a", 4),
    ),
}  # fmt: skip


@pytest.mark.parametrize("call", CALLS)
async def test_each_call_asks_at_its_path_and_takes_what_it_is_for(remote, client, call):
    ask, path, answer, expected = CALLS[call]
    client.answer(THERE, PREFIX + path, answer)

    assert await ask(remote) == expected


async def test_what_is_asked_is_said_where_the_specification_has_it(remote, client):
    client.answer("*", "*", {"pdus": [], "events": [], "auth_chain": [], "pdu_ids": [], "auth_chain_ids": []})
    await CALLS["missing_events"][0](remote)
    await CALLS["backfill"][0](remote)
    await CALLS["state_ids"][0](remote)
    missing, backfill, state_ids = client.asked

    assert (missing.method, missing.content) == (
        "POST", {"earliest_events": ["$a"], "latest_events": ["$b"], "limit": 2}
    )  # fmt: skip
    assert (backfill.method, backfill.query) == ("GET", {"v": ["$a", "$b"], "limit": "2"})
    assert (state_ids.method, state_ids.query) == ("GET", {"event_id": "$e"})


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "answer",
    [
        [], None, 1, "text", {}, {"pdus": None, "events": {}, "auth_chain": "x", "pdu_ids": 1, "event_id": 1},
        {"pdus": [1], "events": [[]], "auth_chain": [None], "pdu_ids": [{}], "auth_chain_ids": []},
        {"pdus": [PDU] * 200_001, "events": [PDU] * 1_001, "auth_chain": [PDU] * 200_001,
         "pdu_ids": ["$a"] * 400_001, "auth_chain_ids": []},
        {"pdus": [[]], "pdu_ids": ["$" + "a" * 255], "auth_chain_ids": [], "event_id": "a",
         "origin_server_ts": 1},
        {"pdus": [None], "pdu_ids": [], "auth_chain_ids": ["no"], "event_id": "$a", "origin_server_ts": True},
        {"event_id": "$a", "origin_server_ts": 2**60}, {"event_id": "$a", "origin_server_ts": -1},
        RemoteRefused(403, "M_FORBIDDEN", "No."), RemoteRefused(400, "M_UNKNOWN", "No."),
        Unavailable("Gone."),
    ],
)  # fmt: skip
async def test_what_cannot_be_so_is_unavailable(remote, client, call, answer):
    client.answer("*", "*", answer)
    with pytest.raises(Unavailable):
        await CALLS[call][0](remote)


async def test_that_there_is_no_event_at_a_time_is_an_answer(remote, client):
    client.answer("*", "*", RemoteRefused(404, "M_NOT_FOUND", "None."))

    assert await CALLS["timestamp_to_event"][0](remote) is None


async def test_an_event_that_is_not_sent_is_unavailable(remote, client):
    client.answer("*", "*", {"pdus": []})
    with pytest.raises(Unavailable):
        await CALLS["event"][0](remote)
