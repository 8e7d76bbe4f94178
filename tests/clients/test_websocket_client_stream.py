"""The sync stream of the WebSocket client: each delta once, acknowledged when it has been dealt with."""

import asyncio

import pytest

from clients.websocket_client.errors import ClientClosed, ProtocolViolated, Refused, StreamReplaced
from tests.doubles.websocket_peer import Peer, settle, soon

TOKEN = {"access_token": "secret"}


@pytest.fixture
def peer():
    return Peer()


@pytest.fixture
async def client(peer):
    async with peer.client(access_token="secret", user_id="@alice:example.org") as client:
        yield client


async def test_a_stream_starts_with_its_options(peer, client):
    stream = client.sync(since="s1", filter={"room": {}}, use_state_after=True, set_presence="unavailable")
    waiting = await soon(anext(stream))

    options = {"filter": {"room": {}}, "use_state_after": True, "set_presence": "unavailable", "since": "s1"}
    assert peer.wire.said == [TOKEN, {"sync": options}]
    waiting.cancel()


async def test_deltas_that_were_dealt_with_are_acknowledged_many_at_once(peer, client):
    stream = client.sync()
    first = await soon(anext(stream))
    peer.wire.deliver(*(f"s{number}" for number in range(1, 40)))

    assert (await first).token == "s1"
    for number in range(2, 33):
        assert (await anext(stream)).token == f"s{number}"
    assert peer.wire.said == [TOKEN, {"sync": {}}]

    assert (await anext(stream)).token == "s33"  # so s32 has been dealt with
    assert peer.wire.said[2:] == [{"ack": "s32"}]


@pytest.mark.parametrize("more", [{"to_device": {"events": []}}, {"rooms": {"x": "long" * 300_000}}])
async def test_what_the_server_keeps_until_then_is_acknowledged_once_it_was_dealt_with(peer, client, more):
    stream = client.sync()
    first = await soon(anext(stream))
    peer.wire.push({"sync": {"next_batch": "s1", **more}})

    assert (await first).token == "s1"
    await settle()
    assert peer.wire.said == [TOKEN, {"sync": {}}]
    waiting = await soon(anext(stream))
    assert peer.wire.said[2:] == [{"ack": "s1"}]
    waiting.cancel()


async def test_after_a_lost_connection_the_stream_goes_on_behind_what_was_handed_out(peer, client):
    stream = client.sync()
    first = await soon(anext(stream))
    peer.wire.deliver("s1", "s2", "s3")
    assert (await first).token == "s1"
    await settle()

    peer.wire.drop()
    await settle()
    assert peer.wire.said == [TOKEN, {"sync": {"since": "s1"}}]

    second = await soon(anext(stream))
    peer.wire.deliver("s3")
    assert (await second).token == "s3"  # s2 and s3 of before came again as one
    assert peer.wire.said == [TOKEN, {"sync": {"since": "s1"}}]  # s1 is acknowledged by the start


async def test_a_stream_that_was_not_answered_yet_starts_anew(peer, client):
    first = await soon(anext(client.sync()))

    peer.wire.drop()
    await settle()
    peer.wire.deliver("s1")

    assert (await first).token == "s1"
    assert peer.wire.said == [TOKEN, {"sync": {}}]


async def test_the_end_of_a_stream_says_why_and_a_new_one_can_follow(peer, client):
    stream = client.sync()
    first = await soon(anext(stream))
    peer.wire.deliver("s1")
    await first
    peer.wire.deliver("s2")
    peer.wire.push({"error": {"errcode": "M_UNKNOWN_TOKEN", "error": "Logged out."}, "stream": True})
    await settle()

    assert (await anext(stream)).token == "s2"
    with pytest.raises(Refused) as refused:
        await anext(stream)
    assert (refused.value.errcode, refused.value.status) == ("M_UNKNOWN_TOKEN", None)

    await client.authenticate("fresh")
    again = await soon(anext(client.sync(since=stream.token)))
    peer.wire.answer()  # to the request that parts the streams
    await settle()
    peer.wire.deliver("s3")
    assert (await again).token == "s3"


async def test_of_two_streams_the_later_goes_on_and_hears_nothing_of_the_former(peer, client):
    former, later = client.sync(), client.sync(since="s9")
    waiting = await soon(anext(former))

    started = await soon(anext(later))
    with pytest.raises(StreamReplaced):
        await waiting
    assert peer.wire.said[2] == {"stop": True}
    assert peer.wire.said[3]["method"] == "GET"
    assert len(peer.wire.said) == 4

    peer.wire.deliver("under way")
    peer.wire.answer()
    await settle()
    assert peer.wire.said[4] == {"sync": {"since": "s9"}}
    peer.wire.deliver("s10")
    assert (await started).token == "s10"


async def test_a_later_stream_begins_even_if_the_connection_is_lost_meanwhile(peer, client):
    waiting = await soon(anext(client.sync()))
    started = await soon(anext(client.sync(since="s9")))

    peer.wire.drop()
    await settle()

    assert peer.wire.said == [TOKEN, {"sync": {"since": "s9"}}]
    peer.wire.deliver("s10")
    assert (await started).token == "s10"
    with pytest.raises(StreamReplaced):
        await waiting


async def test_leaving_the_block_stops_the_stream(peer, client):
    async with client.sync() as stream:
        first = await soon(anext(stream))
        peer.wire.deliver("s1", "s2")
        await first

    assert peer.wire.said[-1] == {"stop": True}
    with pytest.raises(StreamReplaced):
        await anext(stream)


async def test_more_deltas_than_may_be_on_their_way_are_a_breach(peer, client):
    stream = client.sync()
    first = await soon(anext(stream))
    peer.wire.deliver(*(f"s{number}" for number in range(130)))
    await first
    await settle()

    with pytest.raises(ProtocolViolated, match="128"):
        await _to_the_end(stream)


async def _to_the_end(stream):
    async for delta in stream:
        assert delta.token != "s129"


async def test_closing_the_client_ends_the_stream(peer, client):
    waiting = await soon(anext(client.sync()))

    await client.close()

    with pytest.raises(ClientClosed):
        await waiting


async def test_a_bot_hears_the_messages_of_others_from_now_on_and_comes_where_it_is_invited(peer, client):
    heard = []

    async def listen():
        async for message in client.messages():
            heard.append((message.room_id, message.sender, message.body))  # noqa: PERF401 - as it comes

    def delta(token, *events, **rooms):
        return {
            "sync": {
                "next_batch": token,
                "rooms": {"join": {"!r": {"timeline": {"events": events}}}, **rooms},
            }
        }

    def says(sender, body):
        return {"type": "m.room.message", "sender": sender, "content": {"body": body}}

    bot = await soon(listen())
    peer.wire.push(delta("s1", says("@bob:example.org", "old")))
    peer.wire.push(
        delta("s2", says("@bob:example.org", "new"), says("@alice:example.org", "own"), {"type": "x"})
    )
    peer.wire.push(delta("s3", invite={"!other": {}}))
    await settle()

    assert heard == [("!r", "@bob:example.org", "new")]
    assert peer.wire.requests[-1]["path"] == "/_matrix/client/v3/join/%21other"
    peer.wire.answer(status=403, errcode="M_FORBIDDEN", error="Taken back.")
    peer.wire.push(delta("s4", says("@bob:example.org", "more")))
    await settle()
    assert len(heard) == 2
    bot.cancel()
    await asyncio.wait([bot])
