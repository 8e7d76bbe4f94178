"""What servers are told of events of rooms that they are in."""

import pytest

from homeserver.core.errors import BadJson, Forbidden, InvalidParam, MissingParam, NotFound
from homeserver.core.event.pdu import Event
from storage.tables.retention import POSITIONS_PER_MS
from tests.doubles.receiving import ask

ALICE = "@alice:here.example"
BOB = "@bob:there.example"
THERE = "there.example"


def ids_of(pdus, event):
    return [Event.from_pdu(pdu, event.rules).event_id for pdu in pdus]


async def test_one_event_is_told_to_servers_in_its_room(here, room_id):
    said = await here.say(room_id, ALICE)
    told = await ask(here.history.get_event, THERE, event_id=said.event_id)

    assert told["origin"] == "here.example"
    assert told["pdus"] == [said.pdu]
    with pytest.raises(NotFound):
        await ask(here.history.get_event, "else.example", event_id=said.event_id)
    for bad in ("$\0", "nothing", "$" + "a" * 300):
        with pytest.raises(InvalidParam):
            await ask(here.history.get_event, THERE, event_id=bad)
    with pytest.raises(NotFound):
        await ask(here.history.get_event, THERE, event_id="$nothing")


async def test_a_room_is_told_of_to_nobody_else(here, there, room_id):
    said = await here.say(room_id, ALICE)
    asking = {
        here.history.get_backfill: {"query": {"v": said.event_id}},
        here.history.get_missing_events: {
            "body": {"earliest_events": [], "latest_events": [said.event_id]}
        },
        here.history.get_event_by_time: {"query": {"ts": 1, "dir": "f"}},
        here.states.get_state: {"query": {"event_id": said.event_id}},
        here.states.get_state_ids: {"query": {"event_id": said.event_id}},
        here.states.get_event_auth: {"event_id": said.event_id},
    }
    for respond, how in asking.items():
        assert await ask(respond, THERE, room_id=room_id, **how)
        with pytest.raises(Forbidden):
            await ask(respond, "else.example", room_id=room_id, **how)
        with pytest.raises(NotFound):
            await ask(respond, THERE, room_id="!else:here.example", **how)
        with pytest.raises(InvalidParam):
            await ask(respond, THERE, room_id="!\0", **how)
    await here.accept(THERE, room_id, await there.send(
        room_id, BOB, "m.room.member", {"membership": "leave"}, BOB
    ))  # fmt: skip
    for respond, how in asking.items():
        with pytest.raises(Forbidden):
            await ask(respond, THERE, room_id=room_id, **how)


async def test_who_is_kept_out_is_told_nothing(here, room_id):
    said = await here.say(room_id, ALICE)
    await here.send(room_id, ALICE, "m.room.server_acl", {"allow": ["*"], "deny": [THERE]}, "")
    with pytest.raises(Forbidden):
        await ask(here.history.get_backfill, THERE, room_id=room_id, query={"v": said.event_id})


async def test_backfill_goes_back_from_the_events_asked_for(here, room_id):
    said = [await here.say(room_id, ALICE, f"{number}") for number in range(30)]
    told = await ask(
        here.history.get_backfill, THERE, room_id=room_id, query={"v": said[20].event_id, "limit": 5}
    )
    assert ids_of(told["pdus"], said[0]) == [event.event_id for event in said[20:15:-1]]
    everything = await ask(
        here.history.get_backfill, THERE, room_id=room_id, query={"v": said[29].event_id, "limit": 10**9}
    )
    assert everything["pdus"][-1]["type"] == "m.room.create"
    assert len(everything["pdus"]) == len(await here.timeline(room_id))
    assert (await ask(
        here.history.get_backfill, THERE, room_id=room_id, query={"v": "$nothing", "limit": 5}
    ))["pdus"] == []  # fmt: skip


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ({}, MissingParam),
        ({"v": "nothing"}, InvalidParam),
        ({"v": ["$a"] * 51}, InvalidParam),
        ({"v": "$a", "limit": -1}, InvalidParam),
        ({"v": "$a", "limit": "x"}, InvalidParam),
    ],
)
async def test_what_cannot_be_backfilled_is_refused(here, room_id, query, error):
    with pytest.raises(error):
        await ask(here.history.get_backfill, THERE, room_id=room_id, query=query)


async def test_missing_events_are_between_those_that_are_known(here, there, room_id):
    first = await here.say(room_id, ALICE, "first")
    theirs = await there.say(room_id, BOB, "on another branch")
    said = [await here.say(room_id, ALICE, f"{number}") for number in range(3)]
    await here.accept(THERE, room_id, theirs)
    last = await here.say(room_id, ALICE, "joins the branches")
    body = {"earliest_events": [first.event_id], "latest_events": [last.event_id], "limit": 20}
    told = await ask(here.history.get_missing_events, THERE, body, room_id=room_id)
    found = ids_of(told["events"], last)

    # Oldest first, and with them what only the other branch leads back to.
    assert found[-3:] == [event.event_id for event in said]
    assert theirs.event_id in found
    assert {first.event_id, last.event_id}.isdisjoint(found)
    shallow = {**body, "min_depth": said[1].depth}
    told = await ask(here.history.get_missing_events, THERE, shallow, room_id=room_id)
    assert ids_of(told["events"], last) == [event.event_id for event in said[1:]]
    told = await ask(here.history.get_missing_events, THERE, {**body, "limit": 2}, room_id=room_id)
    assert len(told["events"]) == 2


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"earliest_events": [], "latest_events": [7]},
        {"earliest_events": [], "latest_events": ["$a"], "limit": -1},
        {"earliest_events": [], "latest_events": ["$a"], "limit": True},
        {"earliest_events": {}, "latest_events": ["$a"]},
    ],
)
async def test_what_is_no_question_for_missing_events_is_refused(here, room_id, body):
    with pytest.raises(BadJson):
        await ask(here.history.get_missing_events, THERE, body, room_id=room_id)


async def test_what_a_server_may_not_see_it_is_given_redacted(here, there, room_id):
    other = await here.create(ALICE, preset="public_chat")
    visibility = {"history_visibility": "joined"}
    await here.send(other, ALICE, "m.room.history_visibility", visibility, "")
    before = await here.say(other, ALICE, "among us")
    await there.join(BOB, other, here)
    after = await here.say(other, ALICE, "for all")
    told = await ask(
        here.history.get_backfill, THERE, room_id=other, query={"v": after.event_id, "limit": 100}
    )
    by_id = dict(zip(ids_of(told["pdus"], after), told["pdus"], strict=True))

    assert by_id[after.event_id]["content"]["body"] == "for all"
    assert by_id[before.event_id]["content"] == {}
    assert by_id[before.event_id]["signatures"] == before.pdu["signatures"]
    one = await ask(here.history.get_event, THERE, event_id=before.event_id)
    assert one["pdus"][0]["content"] == {}


async def test_what_erased_users_said_is_for_servers_that_were_there(here, there, room_id):
    other = await here.create(ALICE, preset="public_chat")
    before = await here.say(other, ALICE, "long ago")
    await there.join(BOB, other, here)
    after = await here.say(other, ALICE, "yesterday")
    await here.erased_users.add(ALICE, 1)

    told = [await ask(here.history.get_event, THERE, event_id=one.event_id) for one in (before, after)]
    assert [one["pdus"][0]["content"].get("body") for one in told] == [None, "yesterday"]


async def test_the_event_closest_to_a_time_is_found(here, room_id):
    said = [await here.say(room_id, ALICE, f"{number}") for number in range(10)]
    for event, ts, direction in (
        (said[4], said[4].origin_server_ts, "f"),
        (said[4], said[4].origin_server_ts, "b"),
        (said[5], said[4].origin_server_ts + 1, "f"),
        (said[9], 2**53 - 1, "b"),
    ):
        told = await ask(
            here.history.get_event_by_time, THERE, room_id=room_id, query={"ts": ts, "dir": direction}
        )
        assert told == {"event_id": event.event_id, "origin_server_ts": event.origin_server_ts}
    with pytest.raises(NotFound):
        await ask(
            here.history.get_event_by_time, THERE, room_id=room_id, query={"ts": 2**53 - 1, "dir": "f"}
        )
    for query in ({"ts": 1, "dir": "up"}, {"ts": "x", "dir": "f"}):
        with pytest.raises(InvalidParam):
            await ask(here.history.get_event_by_time, THERE, room_id=room_id, query=query)


async def test_the_state_before_an_event_is_told_with_all_that_allows_it(here, there, room_id):
    named = await here.send(room_id, ALICE, "m.room.name", {"name": "A name"}, "")
    renamed = await here.send(room_id, ALICE, "m.room.name", {"name": "Another"}, "")
    ids = await ask(here.states.get_state_ids, THERE, query={"event_id": renamed.event_id}, room_id=room_id)
    state = {event.event_id for event in await here.state_before(renamed.event_id)}

    assert named.event_id in state
    assert set(ids["pdu_ids"]) == state
    chain = {Event.from_pdu(pdu, named.rules).event_id for pdu in await here.auth_chain(list(state))}
    assert chain - set(ids["auth_chain_ids"]) <= {"$" + room_id[1:]}
    whole = await ask(here.states.get_state, THERE, query={"event_id": renamed.event_id}, room_id=room_id)
    assert set(ids_of(whole["pdus"], named)) == state
    assert set(ids_of(whole["auth_chain"], named)) == set(ids["auth_chain_ids"])


async def test_what_allows_an_event_is_told(here, room_id):
    said = await here.say(room_id, ALICE)
    told = await ask(here.states.get_event_auth, THERE, room_id=room_id, event_id=said.event_id)

    expected = {Event.from_pdu(pdu, said.rules).event_id for pdu in await here.auth_chain([said.event_id])}
    assert set(ids_of(told["auth_chain"], said)) == expected
    for respond in (here.states.get_state, here.states.get_state_ids):
        with pytest.raises(NotFound):
            await ask(respond, THERE, query={"event_id": "$nothing"}, room_id=room_id)
        with pytest.raises(MissingParam):
            await ask(respond, THERE, room_id=room_id)


async def test_what_is_over_its_lifetime_is_told_no_more(here, room_id):
    old = await here.say(room_id, ALICE, "old")
    new = await here.say(room_id, ALICE, "new")
    position = (await here.events.by_id(old.event_id)).position
    await here.database.execute(
        "UPDATE rooms SET retention_lifetime_ms = 1 WHERE room_id = %b", room_id
    )
    await here.database.execute(
        "UPDATE retention_present SET now_position = %b::bigint", position + POSITIONS_PER_MS
    )
    told = await ask(here.history.get_backfill, THERE, room_id=room_id, query={"v": new.event_id})
    assert ids_of(told["pdus"], old) == [new.event_id]
    with pytest.raises(NotFound):
        await ask(here.history.get_event, THERE, event_id=old.event_id)
