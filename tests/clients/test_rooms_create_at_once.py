import asyncio

PATH = "/directory/room/%23lobby%3Alocalhost"


async def test_of_those_who_want_the_same_alias_at_once_one_gets_a_room(alice, bob):
    wishes = {"room_alias_name": "lobby"}
    answers = await asyncio.gather(
        *(user.try_("POST", "/createRoom", wishes) for user in (alice, bob, alice, bob))
    )

    made = [body["room_id"] for status, body in answers if status == 200]
    assert len(made) == 1
    assert sorted(errcode for status, errcode in answers if status == 400) == ["M_ROOM_IN_USE"] * 3
    assert (await alice.get(PATH))["room_id"] == made[0]
    # What was refused left nothing behind: whoever lost is in no room.
    joined = [(await user.get("/joined_rooms"))["joined_rooms"] for user in (alice, bob)]
    assert sorted(joined) == [[], made]
