"""How many are in each room is told right, whatever they do."""

import asyncio
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

COUNTED = (
    "SELECT coalesce(sum(room_counts.joined), 0)::integer, coalesce(sum(joined_local), 0)::integer"
    " FROM room_counts JOIN rooms USING (room_nid) WHERE room_id = %b"
)
THERE = (
    "SELECT count(*)::integer, (count(*) FILTER (WHERE is_local))::integer"
    " FROM memberships JOIN rooms USING (room_nid) WHERE room_id = %b AND membership = 'join'"
)
PEOPLE = st.sampled_from(("alice", "bob", "carol"))
ACTIONS = st.sampled_from(("join", "join", "leave", "invite", "kick", "ban", "unban", "rename"))
STEPS = st.tuples(PEOPLE, ACTIONS, PEOPLE)
BATCHES = st.lists(st.lists(STEPS, min_size=2, max_size=4), min_size=2, max_size=6)


async def counted(database, room):
    return await database.fetch(COUNTED, room), await database.fetch(THERE, room)


async def act(people, room, who, what, whom):
    """Do something that the room may refuse."""
    user = people[who]
    if what in {"join", "leave"}:
        return await user.try_act(room, what)
    if what == "rename":
        path = f"/profile/{quote(user.user_id)}/displayname"
        return await user.try_("PUT", path, {"displayname": f"{who} as {whom}"})
    return await user.try_act(room, what, user_id=people[whom].user_id)


# Examples share the database: each begins anew in it.
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=BATCHES)
async def test_the_count_is_what_counting_gives(rooms_server, people, batches):
    room = await people["alice"].create(
        preset="public_chat", power_level_content_override={"kick": 0, "ban": 0, "invite": 0}
    )
    for who in ("bob", "carol"):
        await people[who].act(room, "join")
    for batch in batches:
        await asyncio.gather(*[act(people, room, *step) for step in batch])
        counts, there = await counted(rooms_server.database, room)
        assert counts == there


@pytest.fixture
async def people(alice, bob, carol):
    return {"alice": alice, "bob": bob, "carol": carol}


async def test_everybody_who_comes_at_once_is_counted(rooms_server, alice):
    room = await alice.create(preset="public_chat", visibility="public")
    users = [await rooms_server.user(f"user{number}") for number in range(12)]
    await asyncio.gather(*[user.act(room, "join") for user in users])
    (entry,) = (await alice.get("/publicRooms"))["chunk"]
    assert entry["num_joined_members"] == 13

    await asyncio.gather(*[user.act(room, "leave") for user in users[:5]])
    (entry,) = (await alice.get("/publicRooms"))["chunk"]
    assert entry["num_joined_members"] == 8
