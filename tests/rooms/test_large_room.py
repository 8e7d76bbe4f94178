"""A room of many members, as built by `tests/factory/large_room.py`: what holds whatever its size."""

from collections import Counter
from math import log2

import pytest

from homeserver.runtime.clock import SystemClock
from storage.interning import Interning
from storage.state_delta import packed_key
from storage.tables.events import Events
from storage.tables.memberships import Memberships
from storage.tables.state import _AT_OF_KEYS, _CURRENT_OF_KEYS, State
from storage.tables.state_groups import StateGroups
from tests.factory.large_room import OURS, Story, build_large_room

MEMBER = "m.room.member"


@pytest.fixture
async def large(database):
    return await build_large_room(database, Story(600, 40, 60, 50), SystemClock())


async def replay(database, large):
    """What the state is before each event, by doing it all over again with dicts."""
    interning = Interning(database)
    types = await interning.existing("type", {event_type for event_type, _ in large.states.values()})
    keys = await interning.existing("state_key", {key for _, key in large.states.values()})
    state, before = {}, {}
    for position in sorted(large.groups):
        before[position] = dict(state)
        if position in large.states:
            event_type, key = large.states[position]
            state[packed_key(types[event_type], keys[key])] = position
    return before, state


@pytest.mark.parametrize("cache_bytes_max", [0, 20_000, 64_000_000])
async def test_the_state_before_any_event_is_what_a_replay_makes(
    database, large, cache_bytes_max, monkeypatch
):
    monkeypatch.setattr("storage.tables.state_groups._LINKS_MIN", 20)
    before, now = await replay(database, large)
    groups = StateGroups(database, cache_bytes_max=cache_bytes_max)

    for position in sorted(before, key=hash)[::3]:
        chain = await groups.chain(large.room_nid, large.groups[position])
        assert chain.items() == before[position]
        assert len(chain.links) <= log2(max(1, chain.depth)) + 1
    current = await groups.chain(large.room_nid, large.last_group)
    assert current.items() == now == await State(database, Events(database)).current_nids(large.room_nid)
    assert len(groups._links) <= max(20, cache_bytes_max // 200)


async def test_every_second_state_event_has_a_row_and_its_entries_are_few(database, large):
    rows, entries_bytes = await database.fetch_one(
        "SELECT count(*), sum(length(delta)) FROM state_groups WHERE room_nid = %b::bigint", large.room_nid
    )

    count = len(large.states)
    assert rows <= count / 2 + 1
    assert entries_bytes <= count * (log2(count) / 2 + 1) * 10 + 11 * rows


async def test_the_tables_agree_on_who_is_in_the_room(database, large):
    memberships = Memberships(database)
    rows = await memberships.of_room(large.room_nid)
    joined = {row.user_id for row in rows if row.membership == "join"}
    counted = await database.fetch_one(
        "SELECT joined, joined_local FROM room_counts WHERE room_nid = %b::bigint", large.room_nid
    )

    assert len(large.members) == 601
    assert joined == set(large.members)
    assert Counter(row.membership for row in rows) == {"join": 601, "leave": 50}
    assert counted == (601, sum(user_id.endswith(f":{OURS}") for user_id in joined))
    assert await memberships.counts(large.room_nid) == (601, 0)
    assert set(await memberships.some_of_room(large.room_nid, limit=6)) < joined


@pytest.mark.parametrize("type_", [None, MEMBER, "m.room.topic", "org.example.nothing"])
@pytest.mark.parametrize("keys_max", [1, 100, 10_000])
async def test_pages_tell_the_state_once_and_whole(database, large, type_, keys_max):
    if keys_max == 1 and type_ in {None, MEMBER}:
        keys_max = 7
    state = State(database, Events(database))
    positions = sorted(large.groups)
    wanted = None if type_ is None else [type_]
    for position in (None, positions[-1], positions[len(positions) // 2], positions[0]):
        pages = [
            page async for page in state.pages(large.room_nid, position, type_, keys_max=keys_max)
        ]
        whole = (
            await state.current(large.room_nid, wanted)
            if position is None
            else await state.at(large.room_nid, position, wanted)
        )
        told = [one.position for page in pages for one in page]
        assert sorted(told) == [one.position for one in whole]
        assert all(len(page) <= keys_max for page in pages)


async def test_state_without_some_types_is_the_rest(database, large):
    state = State(database, Events(database))
    position = sorted(large.groups)[-10]

    rest = await state.at(large.room_nid, position, not_types=(MEMBER, "m.room.topic"))

    whole = await state.at(large.room_nid, position)
    kept = [one.position for one in whole if one.event.type not in {MEMBER, "m.room.topic"}]
    assert [one.position for one in rest] == kept
    assert kept


async def test_a_room_of_before_there_were_groups_is_read_the_same(database, large):
    """Make what migrating made of old rooms: no rows, each group the step from the one before."""
    before, now = await replay(database, large)
    await database.execute("DELETE FROM state_groups WHERE room_nid = %b::bigint", large.room_nid)
    groups = StateGroups(database)

    chain = await groups.chain(large.room_nid, large.last_group)

    assert len(chain.links) == len(large.states)
    assert chain.items() == now
    position = sorted(before)[300]
    assert (await groups.chain(large.room_nid, large.groups[position])).items() == before[position]
    while chain.depth & (chain.depth - 1):  # what comes after heals it: at a power of two it is short
        chain = chain.after(chain.group + 1, chain.plan({packed_key(1, 1): chain.group + 1}))
    assert chain.items() == {**now, packed_key(1, 1): chain.group}
    assert len(chain.links) == 1


def rows_read(plan):
    """How many rows a plan took from tables and indexes, those included that it threw away."""
    removed = plan.get("Rows Removed by Filter", 0) + plan.get("Rows Removed by Join Filter", 0)
    return (plan["Actual Rows"] + removed) * plan["Actual Loops"] + sum(
        rows_read(one) for one in plan.get("Plans", ())
    )


@pytest.mark.parametrize("query", [_CURRENT_OF_KEYS, _AT_OF_KEYS])
async def test_a_member_is_looked_up_not_looked_for(database, large, query):
    """Where nobody told the planner how large the room is, as here, it must not read all of it for one."""
    asked = [[MEMBER], [large.members[-1]], large.room_nid]
    if query is _AT_OF_KEYS:
        asked.append(max(large.groups))

    (plans,) = await database.fetch_one(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}", *asked)

    assert rows_read(plans[0]["Plan"]) < 50
