"""Heroes by whom a room is named, to clients that load members lazily."""

from tests.sync.sync_asking import ALICE, ROOM, sync

LAZY = {"room": {"timeline": {"limit": 1}, "state": {"lazy_load_members": True}}}


async def test_who_becomes_a_hero_is_told_to_a_client_that_does_not_know_them(world):
    world.create(ROOM, ALICE)
    others = [f"@user{number}:example.org" for number in range(7)]
    for user_id in others:
        world.member(ROOM, user_id, "join")
    first = await sync(world, ALICE, wanted=LAZY)
    assert first["rooms"]["join"][ROOM]["summary"]["m.heroes"] == others[:5]
    world.member(ROOM, others[0], "leave")

    for after, section in ((False, "state"), (True, "state_after")):
        told = (await sync(world, ALICE, first["next_batch"], wanted=LAZY, use_state_after=after))["rooms"]
        room = told["join"][ROOM]
        assert room["summary"]["m.heroes"] == others[1:6]
        known = {event["state_key"] for event in room[section]["events"]}
        assert others[5] in known, "the new one"
        assert not known & set(others[1:5]), "those of before are known"
