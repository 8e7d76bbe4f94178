"""The rooms that two users are both in."""

from urllib.parse import quote

import pytest

INVALID = (400, "M_INVALID_PARAM")
STABLE = "/_matrix/client/v1/mutual_rooms"
UNSTABLE = "/_matrix/client/unstable/uk.half-shot.msc2666/user/mutual_rooms"


async def mutual(user, other_id, more="", path=STABLE):
    path = f"{path}?user_id={quote(other_id)}{more}"
    status, answer = await user.server.call("GET", path, token=user.token)
    return status, answer.get("errcode", answer)


@pytest.mark.parametrize("path", [STABLE, UNSTABLE])
async def test_the_rooms_are_those_that_both_are_in(alice, bob, carol, path):
    both = await alice.create(preset="public_chat")
    left = await alice.create(preset="public_chat")
    await alice.create(invite=[bob.user_id])
    for room in (both, left):
        await bob.act(room, "join")
    await bob.act(left, "leave")

    assert await mutual(alice, bob.user_id, path=path) == (200, {"joined": [both], "count": 1})
    assert await mutual(bob, alice.user_id, path=path) == (200, {"joined": [both], "count": 1})
    assert await mutual(alice, carol.user_id, path=path) == (200, {"joined": [], "count": 0})


async def test_nobody_shares_a_room_with_somebody_who_is_not_there(alice):
    await alice.create()

    assert await mutual(alice, "@nobody:localhost") == (200, {"joined": [], "count": 0})
    assert await mutual(alice, "@No Body:elsewhere.org") == (200, {"joined": [], "count": 0})


@pytest.mark.parametrize(
    ("path", "token_name", "next_name"),
    [(STABLE, "from", "next_batch"), (UNSTABLE, "batch_token", "next_batch_token")],
)
async def test_many_rooms_come_in_pages(alice, bob, monkeypatch, path, token_name, next_name):
    monkeypatch.setattr("homeserver.rooms.mutual_rooms.PAGE_ROOMS_MAX", 2)
    rooms = [await alice.create(preset="public_chat") for _ in range(5)]
    for room in rooms:
        await bob.act(room, "join")
    found, more = [], ""
    for _ in range(3):
        _, answer = await mutual(bob, alice.user_id, more, path)
        assert answer["count"] == 5
        found.append(answer["joined"])
        more = f"&{token_name}={answer.get(next_name)}"

    assert found == [rooms[:2], rooms[2:4], rooms[4:]]
    assert next_name not in answer


async def test_one_shares_no_rooms_with_oneself(alice):
    assert await mutual(alice, alice.user_id) == INVALID


@pytest.mark.parametrize("user_id", ["", "bob", "@bob", "#room:localhost", "@" + "x" * 300 + ":localhost"])
async def test_what_is_no_user_is_refused(alice, user_id):
    assert await mutual(alice, user_id) == INVALID


@pytest.mark.parametrize("token", ["1", "r", "rx", "r-1", "r1.0", "r%C2%B2", "r" + "9" * 19])
async def test_odd_tokens_are_refused(alice, token):
    assert await mutual(alice, "@bob:localhost", f"&from={token}") == INVALID


async def test_the_user_must_be_said(alice):
    status, answer = await alice.server.call("GET", STABLE, token=alice.token)

    assert (status, answer["errcode"]) == (400, "M_MISSING_PARAM")


async def test_clients_are_told_that_they_may_ask(rooms_server):
    _, answer = await rooms_server.call("GET", "/_matrix/client/versions")

    assert answer["unstable_features"]["uk.half-shot.msc2666.query_mutual_rooms.stable"] is True
