"""Member events set as state: by the rules of the endpoints for the same changes."""

import pytest

FORBIDDEN = (403, "M_FORBIDDEN")
MEMBER = "m.room.member"
INVITE, JOIN, LEAVE, BAN = [{"membership": name} for name in ("invite", "join", "leave", "ban")]


@pytest.fixture
async def room(alice):
    return await alice.create(preset="public_chat")


async def event_of(user, room, other):
    return (await user.all_state(room))[MEMBER, other.user_id]


async def test_users_join_name_themselves_and_leave(alice, bob, room):
    first = await bob.set_state(room, MEMBER, {**JOIN, "displayname": "B"}, bob.user_id)
    again = await bob.set_state(room, MEMBER, {**JOIN, "displayname": "B"}, bob.user_id)
    named = await bob.set_state(room, MEMBER, {**JOIN, "displayname": "Bob"}, bob.user_id)
    assert first == again != named
    assert (await alice.state(room, MEMBER, bob.user_id))["displayname"] == "Bob"

    left = await bob.set_state(room, MEMBER, LEAVE, bob.user_id)
    assert await bob.set_state(room, MEMBER, {**LEAVE, "reason": "again"}, bob.user_id) == left


async def test_moderators_invite_kick_ban_and_unban(alice, bob, carol, room):
    invited = await alice.set_state(room, MEMBER, {**INVITE, "reason": "Come"}, bob.user_id)
    assert await alice.set_state(room, MEMBER, INVITE, bob.user_id) == invited
    assert (await alice.state(room, MEMBER, bob.user_id)) == {**INVITE, "reason": "Come"}
    await bob.act(room, "join")
    for change in (LEAVE, BAN, LEAVE):
        await alice.set_state(room, MEMBER, change, bob.user_id)
        assert await alice.state(room, MEMBER, bob.user_id) == change

    assert await alice.try_set_state(room, MEMBER, LEAVE, bob.user_id) == FORBIDDEN
    assert await alice.try_set_state(room, MEMBER, LEAVE, carol.user_id) == FORBIDDEN


async def test_others_do_not(alice, bob, carol, room):
    await bob.act(room, "join")
    for change in (JOIN, LEAVE, BAN, {"membership": "knock"}):
        assert await bob.try_set_state(room, MEMBER, change, carol.user_id) == FORBIDDEN
        assert await carol.try_set_state(room, MEMBER, change, bob.user_id) == FORBIDDEN

    assert await alice.try_set_state(room, MEMBER, JOIN, carol.user_id) == FORBIDDEN
    assert await carol.try_set_state(room, MEMBER, INVITE, carol.user_id) == FORBIDDEN
    assert await carol.try_set_state("!nowhere:localhost", MEMBER, JOIN, carol.user_id) == FORBIDDEN
    assert await carol.try_set_state("!nowhere:localhost", MEMBER, INVITE, bob.user_id) == FORBIDDEN


@pytest.mark.parametrize(
    ("content", "user_id", "status", "errcode"),
    [
        ({}, "@bob:localhost", 400, "M_BAD_JSON"),
        ({"membership": "guest"}, "@bob:localhost", 400, "M_BAD_JSON"),
        ({"membership": {}}, "@bob:localhost", 400, "M_BAD_JSON"),
        ({"membership": ["join"]}, "@alice:localhost", 400, "M_BAD_JSON"),
        (INVITE, "bob", 400, "M_INVALID_PARAM"),
        (INVITE, "@bob:elsewhere", 403, "M_FORBIDDEN"),
        (LEAVE, "@bob:elsewhere", 403, "M_FORBIDDEN"),
    ],
)
async def test_what_is_no_membership_is_refused(alice, room, content, user_id, status, errcode):
    assert await alice.try_set_state(room, MEMBER, content, user_id) == (status, errcode)


async def test_users_of_other_servers_may_be_banned_beforehand(alice, room):
    await alice.set_state(room, MEMBER, BAN, "@spam:elsewhere")

    assert await alice.membership(room, "@spam:elsewhere") == "ban"


async def test_to_invite_or_ban_again_changes_nothing(alice, bob, carol, room):
    await alice.act(room, "invite", user_id=bob.user_id)
    await alice.act(room, "ban", user_id=carol.user_id, reason="Spam")
    before = [await event_of(alice, room, user) for user in (bob, carol)]
    await alice.act(room, "invite", user_id=bob.user_id, reason="Please")
    await alice.act(room, "ban", user_id=carol.user_id, reason="Spam")
    after = [await event_of(alice, room, user) for user in (bob, carol)]

    assert [one["event_id"] for one in after] == [one["event_id"] for one in before]
    await alice.act(room, "ban", user_id=carol.user_id, reason="More spam")
    assert (await alice.state(room, MEMBER, carol.user_id))["reason"] == "More spam"


async def test_who_is_invited_is_not_told_to_those_who_may_not_invite(alice, bob, carol):
    room = await alice.create(power_level_content_override={"invite": 50})
    for user in (bob, carol):
        await alice.act(room, "invite", user_id=user.user_id)
    await bob.act(room, "join")

    assert await bob.try_act(room, "invite", user_id=carol.user_id) == FORBIDDEN
    assert await carol.try_act(room, "invite", user_id=bob.user_id) == FORBIDDEN
