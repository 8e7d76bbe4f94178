import asyncio


async def test_two_who_want_the_same_alias_at_once_make_one_room(alice, bob, server):
    answers = await asyncio.gather(
        *(
            server.call("POST", "/_matrix/client/v3/createRoom", {"room_alias_name": "lobby"}, token=user.token)
            for user in (alice, bob, alice, bob)
        )
    )

    made = [body["room_id"] for status, body in answers if status == 200]
    refused = [(status, body["errcode"]) for status, body in answers if status != 200]
    assert len(made) == 1
    assert refused == [(400, "M_ROOM_IN_USE")] * 3
    path = "/_matrix/client/v3/directory/room/%23lobby%3Alocalhost"
    assert (await server.call("GET", path))[1]["room_id"] == made[0]
    # What was refused left nothing behind: whoever lost is in no room.
    joined = [
        (await server.call("GET", "/_matrix/client/v3/joined_rooms", token=user.token))[1]["joined_rooms"]
        for user in (alice, bob)
    ]
    assert sorted(joined) == [[], made]
