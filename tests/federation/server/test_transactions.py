"""Transactions of other servers, into rooms on a real database."""

import asyncio

import pytest

from federation.server.refusals import PduRefused
from homeserver.core.errors import BadJson, Forbidden, InvalidParam, MatrixError

BOB = "@bob:there.example"
THERE = "there.example"


async def test_events_have_their_place_when_they_are_acknowledged(here, there, room_id):
    said = [await there.say(room_id, BOB, f"{number}") for number in range(5)]
    told = await here.send_to(THERE, *said)

    assert told == {event.event_id: {} for event in said}
    assert (await here.timeline(room_id))[-5:] == [event.event_id for event in said]
    assert await here.staged() == 0


async def test_the_same_transaction_twice_is_answered_twice_and_taken_in_once(here, there, room_id):
    said = await there.say(room_id, BOB)
    body = {"origin": THERE, "pdus": [dict(said.pdu)], "edus": [{"edu_type": "m.typing", "content": {}}]}
    answers = await asyncio.gather(*[here.put(THERE, body) for _ in range(3)])
    answers.append(await here.put(THERE, body))

    assert answers == [{"pdus": {said.event_id: {}}}] * 4
    assert len(here.edus) == 1
    assert (await here.put("other.example", {"pdus": []})) == {"pdus": {}}


async def test_a_transaction_of_another_server_is_refused(here):
    with pytest.raises(Forbidden):
        await here.put(THERE, {"origin": "else.example", "pdus": []})


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"pdus": [{}] * 51}, InvalidParam),
        ({"edus": [{}] * 101}, InvalidParam),
        ({"pdus": {}, "edus": {"a": 1}}, BadJson),
        ({"pdus": "all"}, BadJson),
        ({"origin": 7}, Forbidden),
    ],
)
async def test_what_is_no_transaction_is_refused(here, body, error):
    with pytest.raises(error):
        await here.put(THERE, body)


async def test_a_transaction_id_has_an_end(here):
    with pytest.raises(InvalidParam):
        await here.put(THERE, {}, "t" * 1_025)


async def test_what_is_wrong_with_an_event_is_told_of_it_alone_and_to_the_operator_once(
    here, there, room_id
):
    said = await there.say(room_id, BOB)
    forged = {**said.pdu, "content": {"body": "no"}, "signatures": {}, "depth": 99}
    for number in range(2):
        body = {"pdus": [forged, dict(said.pdu), 7, {"room_id": "!\0"}]}
        told = (await here.put(THERE, body, f"t{number}"))["pdus"]
        assert told.pop(said.event_id) == {}
        assert [list(one) for one in told.values()] == [["error"]]

    refused = [one.reason for one in here.observations if isinstance(one, PduRefused)]
    assert len(refused) == 3
    assert len(set(refused)) == 3


async def test_events_of_rooms_that_are_not_here_are_refused_one_by_one(here):
    pdu = {"room_id": "!else:there.example", "event_id": "$a:there.example", "type": "m.room.message"}
    told = await here.put(THERE, {"pdus": [pdu, {**pdu, "event_id": 7}, {"type": "m.room.create"}]})

    assert list(told["pdus"]) == ["$a:there.example"]
    assert told["pdus"]["$a:there.example"]["error"]


async def test_who_is_kept_out_of_a_room_is_not_heard_in_it(here, there, room_id):
    said = await there.say(room_id, BOB)
    await here.send(
        room_id, "@alice:here.example", "m.room.server_acl", {"allow": ["*"], "deny": [THERE]}, ""
    )
    told = await here.send_to(THERE, said)

    assert "access control list" in told[said.event_id]["error"]
    assert await here.flags(said.event_id) is None


async def test_a_server_that_sends_too_much_is_slowed_down_and_then_refused(here, monkeypatch):
    monkeypatch.setattr("federation.server.origin_limits.COST_BURST", 100)
    monkeypatch.setattr("federation.server.origin_limits.COST_PER_SECOND", 5_000.0)
    here.clock.now_ms = here.clock.monotonic_ms = lambda: 1_760_000_000_000
    body = {"pdus": [{}] * 50}
    for number in range(2):
        await here.put(THERE, body, f"a{number}")
    assert await here.put(THERE, body, "slowly") == {"pdus": {}}
    monkeypatch.setattr("federation.server.origin_limits.WAIT_MS_MAX", 1)
    with pytest.raises(MatrixError) as refused:
        await here.put(THERE, body, "b")
    assert refused.value.errcode == "M_LIMIT_EXCEEDED"
    assert await here.put("other.example", body, "b") == {"pdus": {}}
