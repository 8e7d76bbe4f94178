"""The state after the timeline, under its name and under the one that clients in use know."""

import pytest


@pytest.mark.parametrize("prefix", ["", "org.matrix.msc4222."])
async def test_the_state_after_the_timeline_is_told_under_the_name_it_was_asked_by(alice, prefix):
    room = await alice.create(name="Before")
    since = (await alice.get("/sync"))["next_batch"]
    await alice.set_state(room, "m.room.name", {"name": "After"})

    for query in ("", f"&since={since}"):
        told = (await alice.get(f"/sync?{prefix}use_state_after=true{query}"))["rooms"]["join"][room]
        assert "state" not in told
        state = {event["type"]: event["content"] for event in told[f"{prefix}state_after"]["events"]}
        assert state["m.room.name"] == {"name": "After"}


@pytest.mark.parametrize("action", ["ban", "kick"])
async def test_the_end_of_an_invite_is_in_the_state_after_the_timeline(alice, bob, action):
    room = await alice.create(invite=[bob.user_id])
    since = (await bob.get("/sync"))["next_batch"]
    await alice.act(room, action, user_id=bob.user_id)

    told = (await bob.get(f"/sync?use_state_after=true&since={since}"))["rooms"]["leave"][room]
    (shown,), (after,) = told["timeline"]["events"], told["state_after"]["events"]
    assert shown["event_id"] == after["event_id"]
    assert after["content"]["membership"] == ("ban" if action == "ban" else "leave")
