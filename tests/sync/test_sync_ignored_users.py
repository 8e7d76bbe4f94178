"""What syncs leave out for users who ignore others."""

import asyncio

import orjson
import pytest

from homeserver.core.changes import AccountDataChange
from tests.sync.sync_asking import ALICE, BOB, CAROL, ROOM, ids, sync


async def test_messages_of_ignored_users_are_left_out_and_state_is_not(world):
    world.create(ROOM, ALICE)
    for user_id in (BOB, CAROL):
        world.member(ROOM, user_id, "join")
    world.ignore(ALICE, BOB)
    since = (await sync(world, ALICE))["next_batch"]
    world.send(ROOM, BOB, body="not for alice")
    named = world.send(ROOM, BOB, "m.room.name", "", name="for all")
    said = world.send(ROOM, CAROL, body="for all")

    live = (await sync(world, ALICE, since))["rooms"]["join"][ROOM]
    whole = (await sync(world, ALICE, wanted={"room": {"timeline": {"limit": 2}}}))["rooms"]["join"][ROOM]
    carols = (await sync(world, CAROL, since))["rooms"]["join"][ROOM]

    assert ids(live["timeline"]) == ids(whole["timeline"]) == [named, said]
    assert live["timeline"]["limited"] is False
    assert len(ids(carols["timeline"])) == 3


async def test_the_list_holds_after_a_restart_and_for_every_session(world):
    world.create(ROOM, ALICE)
    world.member(ROOM, BOB, "join")
    since = (await sync(world, ALICE))["next_batch"]
    world.ignore(ALICE, BOB)
    world.send(ROOM, BOB, body="not for alice")
    assert "rooms" not in await sync(world, ALICE, since)

    await world.start()

    for session_id in (1, 2):
        answer = await sync(world, ALICE, since, session_id=session_id)
        assert "timeline" not in answer.get("rooms", {}).get("join", {}).get(ROOM, {})


async def test_a_change_takes_effect_with_the_next_sync(world):
    world.create(ROOM, ALICE)
    world.member(ROOM, BOB, "join")
    since = (await sync(world, ALICE))["next_batch"]
    texts = []
    for number, ignored in enumerate([[], [BOB], [BOB], [], [BOB, CAROL], [CAROL]]):
        world.ignore(ALICE, *ignored)
        world.send(ROOM, BOB, body=str(number))
        answer = await sync(world, ALICE, since)
        since = answer["next_batch"]
        if "rooms" in answer:
            events = answer["rooms"]["join"][ROOM]["timeline"]["events"]
            texts += [event["content"]["body"] for event in events]
    world.keep(ALICE, "m.ignored_user_list", {"ignored_users": "nonsense"})

    # What was missed meanwhile is not sent later, but a fresh sync has it.
    assert texts == ["0", "3", "5"]
    fresh = await sync(world, ALICE)
    bodies = [e["content"].get("body") for e in fresh["rooms"]["join"][ROOM]["timeline"]["events"]]
    assert [body for body in bodies if body] == ["0", "1", "2", "3", "4", "5"]


async def test_a_message_of_an_ignored_user_does_not_end_a_long_poll(world):
    world.create(ROOM, ALICE)
    world.member(ROOM, BOB, "join")
    world.ignore(ALICE, BOB)
    since = (await sync(world, ALICE))["next_batch"]
    poll = asyncio.create_task(sync(world, ALICE, since, timeout_ms=30_000))
    await asyncio.sleep(0)
    world.send(ROOM, BOB, body="not for alice")
    for _ in range(5):
        await asyncio.sleep(0)
    assert not poll.done()

    said = world.send(ROOM, ALICE, body="for all")

    answer = await asyncio.wait_for(poll, 5)
    assert ids(answer["rooms"]["join"][ROOM]["timeline"]) == [said]


async def test_invites_of_ignored_users_are_not_told(world):
    world.create(ROOM, BOB)
    world.create("!carols:example.org", CAROL)
    world.ignore(ALICE, BOB)
    since = (await sync(world, ALICE))["next_batch"]
    world.member(ROOM, ALICE, "invite", BOB)
    world.member("!carols:example.org", ALICE, "invite", CAROL)

    for answer in (await sync(world, ALICE, since), await sync(world, ALICE)):
        assert answer["rooms"].keys() == {"invite"}
        assert answer["rooms"]["invite"].keys() == {"!carols:example.org"}

    world.ignore(ALICE)
    assert (await sync(world, ALICE))["rooms"]["invite"].keys() == {ROOM, "!carols:example.org"}


async def test_a_room_can_be_joined_despite_its_hidden_invite(world):
    world.create(ROOM, BOB)
    world.ignore(ALICE, BOB)
    since = (await sync(world, ALICE))["next_batch"]
    world.member(ROOM, ALICE, "invite", BOB)
    since = (await sync(world, ALICE, since))["next_batch"]
    joined = world.member(ROOM, ALICE, "join")
    world.send(ROOM, BOB, body="not for alice")

    room = (await sync(world, ALICE, since))["rooms"]["join"][ROOM]

    assert ids(room["timeline"])[-1] == joined


async def test_a_list_that_changes_while_the_user_is_read_counts(world):
    world.create(ROOM, ALICE)
    world.member(ROOM, BOB, "join")
    go_on = asyncio.Event()
    rows = await world.memberships_of(ALICE)

    async def slowly(_):
        await go_on.wait()
        return rows

    async def before(*_):
        content = orjson.dumps({"ignored_users": {CAROL: {}}})
        return [AccountDataChange(0, ALICE, None, "m.ignored_user_list", content)]

    world.account_data_of_types = before
    world.memberships_of = slowly
    found = asyncio.create_task(world.notifier.users.find(ALICE))
    await asyncio.sleep(0)
    world.ignore(ALICE, BOB)
    go_on.set()

    assert (await found).ignored == {BOB}


async def test_who_wants_no_invites_is_told_of_none(world):
    world.create(ROOM, BOB)
    since = (await sync(world, ALICE))["next_batch"]
    world.keep(ALICE, "m.invite_permission_config", {"default_action": "block"})
    world.member(ROOM, ALICE, "invite", BOB)
    world.create("!knocked:example.org", BOB)
    world.member("!knocked:example.org", ALICE, "knock")

    for _ in range(2):
        for answer in (await sync(world, ALICE, since), await sync(world, ALICE)):
            assert answer["rooms"].keys() == {"knock"}
        await world.start()
    world.keep(ALICE, "m.invite_permission_config", {"default_action": "something else"})

    assert ROOM in (await sync(world, ALICE))["rooms"]["invite"]


@pytest.mark.parametrize("is_ignored", [True, False])
async def test_who_is_asked_back_by_somebody_whom_they_ignore_has_left_all_the_same(world, is_ignored):
    world.create(ROOM, ALICE)
    world.member(ROOM, BOB, "join")
    if is_ignored:
        world.ignore(BOB, ALICE)
    else:
        world.keep(BOB, "m.invite_permission_config", {"default_action": "block"})
    since = (await sync(world, BOB))["next_batch"]
    left = world.member(ROOM, BOB, "leave")
    world.send(ROOM, ALICE, "m.room.name", "", name="not for Bob")
    world.member(ROOM, BOB, "invite", sender=ALICE)

    answer = await sync(world, BOB, since)

    assert answer["rooms"].keys() == {"leave"}
    assert ids(answer["rooms"]["leave"][ROOM]["timeline"]) == [left]
    world.member(ROOM, BOB, "invite", sender=ALICE)
    assert "rooms" not in await sync(world, BOB, answer["next_batch"])
