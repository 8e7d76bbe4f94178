"""Users who do not want to be invited are not, by any way of inviting."""

from urllib.parse import quote


async def set_permission(user, **content):
    path = f"/user/{quote(user.user_id)}/account_data/m.invite_permission_config"
    await user.ask("PUT", path, content)


async def test_every_way_of_inviting_is_refused(rooms_server, alice, bob):
    room_id = await alice.create()
    await set_permission(bob, default_action="block")
    for _ in range(2):
        blocked = (403, "M_INVITE_BLOCKED")
        assert await alice.try_act(room_id, "invite", user_id=bob.user_id) == blocked
        member = await alice.try_set_state(room_id, "m.room.member", {"membership": "invite"}, bob.user_id)
        assert member == blocked
        assert await alice.try_("POST", "/createRoom", {"invite": [bob.user_id]}) == blocked
        await rooms_server.restart()
    assert len((await alice.get("/joined_rooms"))["joined_rooms"]) == 1

    await set_permission(bob)
    await alice.act(room_id, "invite", user_id=bob.user_id)

    assert room_id in (await bob.get("/sync"))["rooms"]["invite"]


async def test_an_invite_from_before_is_hidden_and_can_still_be_taken(alice, bob):
    room_id = await alice.create(invite=[bob.user_id])
    assert room_id in (await bob.get("/sync"))["rooms"]["invite"]
    await set_permission(bob, default_action="block")
    assert "rooms" not in await bob.get("/sync")

    await bob.act(room_id, "join")

    assert room_id in (await bob.get("/sync"))["rooms"]["join"]
