"""Sliding sync: whatever a request says, it is answered or refused, and the connection goes on."""

import asyncio

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from homeserver.core.errors import MatrixError
from homeserver.http.decode import decoded_body
from homeserver.sync.sliding.request import SlidingBody
from tests.sync.sliding_world import SlidingWorld, room_list
from tests.sync.sync_asking import ALICE, ROOM
from tests.sync.sync_world import requester

names = st.sampled_from(
    ["", "*", "$ME", "$LAZY", "m.room.member", "m.room.name", ALICE, ROOM, "all", "\0", "é"]
)
anything = st.none() | st.booleans() | st.integers(-(2**66), 2**66) | st.floats() | names | st.lists(names)
numbers = st.integers(-1, 1_001) | anything
pairs = st.lists(st.lists(names, min_size=2, max_size=2), max_size=4) | anything
filters = st.dictionaries(
    st.sampled_from(
        ["is_dm", "is_encrypted", "is_invite", "room_types", "not_room_types", "tags", "not_tags", "spaces",
         "room_name_like", "unknown"]
    ),
    st.none() | st.booleans() | st.lists(names | st.none(), max_size=3) | names,
    max_size=3,
)  # fmt: skip
room = st.fixed_dictionaries({"timeline_limit": numbers}, optional={"required_state": pairs})
listed = st.fixed_dictionaries(
    {"timeline_limit": st.integers(0, 20)},
    optional={
        "required_state": pairs,
        "ranges": st.lists(st.lists(st.integers(-1, 2**40), min_size=2, max_size=2), max_size=3) | anything,
        "filters": filters | anything,
        "slow_get_all_rooms": anything,
    },
)
extension = st.fixed_dictionaries(
    {"enabled": st.sampled_from([True])},
    optional={"lists": st.lists(names) | anything, "rooms": st.lists(names) | anything, "since": anything},
)
bodies = st.fixed_dictionaries(
    {},
    optional={
        "lists": st.dictionaries(names, listed, max_size=2) | anything,
        "room_subscriptions": st.dictionaries(names, room, max_size=2) | anything,
        "extensions": st.dictionaries(
            st.sampled_from(["account_data", "receipts", "typing", "to_device", "e2ee", "unknown"]), extension
        )
        | anything,
        "conn_id": st.none() | names,
        "txn_id": st.none() | names,
    },
)


@settings(max_examples=300, deadline=None)
@given(body=bodies)
def test_every_request_is_answered_or_refused(body):
    asyncio.run(_answered_or_refused(body))


async def _answered_or_refused(body):
    world = SlidingWorld()
    await world.start()
    world.create(ROOM, ALICE)
    pos = (await world.ask(ALICE, room_list()))["pos"]
    try:
        # NaN and the like are null; what is no UTF-8 cannot be sent.
        decoded = decoded_body(SlidingBody, orjson.dumps(body), 64)
    except MatrixError:
        return
    except TypeError:  # an integer that JSON has no room for
        return
    for place in (None, pos):
        decoded.conn_id = None if place is not None else "other"
        try:
            answer = await world.sliding.respond(requester(ALICE), decoded, pos=place, timeout_ms=0)
        except MatrixError:
            continue
        assert orjson.loads(answer).keys() >= {"pos", "lists", "rooms", "extensions"}
    world.send(ROOM, ALICE, body="it goes on")
    assert ROOM in (await world.ask(ALICE, room_list()))["rooms"]
    world.stop()
