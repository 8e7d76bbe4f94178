"""Servers that answer otherwise than they should when a user of ours joins, knocks, is invited or leaves."""

from urllib.parse import quote

import pytest

from homeserver.core.errors import RemoteRefused, Unavailable
from tests.doubles.federated_servers import WireClient


@pytest.fixture
def bend(monkeypatch):
    """Let a function change what is answered to requests whose path has a part."""
    request = WireClient.request

    def bent(part, change):
        async def ask(self, destination, method, path, **options):
            answer = await request(self, destination, method, path, **options)
            return change(answer) if part in path else answer

        monkeypatch.setattr(WireClient, "request", ask)

    return bent


@pytest.fixture
async def room(tess):
    return await tess.create(preset="public_chat", room_version="11")


async def join(user, room_id):
    status, _ = await user.try_("POST", f"/join/{quote(room_id)}?via=there.example", {})
    return status


def without(answer, key):
    return {name: value for name, value in answer.items() if name != key}


def unsigned(pdus):
    return [{**one, "signatures": {}} for one in pdus]


def of_event(answer, **changes):
    return {**answer, "event": {**answer["event"], **changes}}


@pytest.mark.parametrize(
    "change",
    [
        lambda answer: [],
        lambda answer: without(answer, "event"),
        lambda answer: of_event(answer, sender="@tess:there.example"),
        lambda answer: of_event(answer, state_key="@tess:there.example"),
        lambda answer: of_event(answer, room_id="!other:there.example"),
        lambda answer: of_event(answer, type="m.room.name"),
        lambda answer: of_event(answer, content={"membership": "leave"}),
        lambda answer: of_event(answer, content=None),
        lambda answer: of_event(answer, prev_events=[1]),
        lambda answer: of_event(answer, auth_events={}),
        lambda answer: of_event(answer, depth=2**70),
        lambda answer: of_event(answer, depth="x"),
    ],
)
async def test_a_sketch_of_something_else_is_not_signed(hal, bend, wire, room, change):
    bend("make_join", change)

    assert await join(hal, room) == 503
    assert wire.paths("send_join") == []


@pytest.mark.parametrize("version", ["99", 11, None])
async def test_a_version_that_nobody_knows_is_not_joined(hal, bend, room, version):
    bend("make_join", lambda answer: {**answer, "room_version": version})

    assert await join(hal, room) == 400


async def test_a_version_that_the_room_does_not_have_is_not_joined(hal, bend, room):
    bend("make_join", lambda answer: {**answer, "room_version": "10"})

    assert await join(hal, room) in {400, 403, 503}
    assert (await hal.get("/joined_rooms"))["joined_rooms"] == []


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (lambda answer: [], 503),
        (lambda answer: without(answer, "state"), 503),
        (lambda answer: {**answer, "state": {}}, 503),
        (lambda answer: {**answer, "auth_chain": "x"}, 503),
        (lambda answer: {**answer, "members_omitted": True}, 503),
        (lambda answer: {**answer, "state": []}, 403),
        (lambda answer: {**answer, "state": ["x", 1, None, {}]}, 403),
        (lambda answer: {**answer, "state": [
            one for one in answer["state"] if one["type"] != "m.room.create"
        ]}, 403),
        (lambda answer: {**answer, "state": [
            one for one in answer["state"] if one["type"] != "m.room.join_rules"
        ]}, 403),
        (lambda answer: {**answer, "state": unsigned(answer["state"]), "auth_chain": []}, 403),
        (lambda answer: {**answer, "auth_chain": [], "state": [
            one for one in answer["state"] if one["type"] != "m.room.power_levels"
        ]}, 403),
    ],
)  # fmt: skip
async def test_a_state_that_is_none_lets_nobody_in(hal, bend, room, change, status):
    bend("send_join", change)

    assert await join(hal, room) == status
    assert (await hal.get("/joined_rooms"))["joined_rooms"] == []


async def test_after_a_lie_the_truth_is_taken(hal, tess, bend, room):
    lies = [[], ["x"]]
    bend("send_join", lambda answer: {**answer, "state": lies.pop()} if lies else answer)

    assert [await join(hal, room) for _ in range(3)] == [403, 403, 200]
    joined = await hal.get(f"/rooms/{quote(room)}/joined_members")
    assert sorted(joined["joined"]) == [hal.user_id, tess.user_id]


@pytest.mark.parametrize(
    "told", [None, [], "x", {"signatures": {}}, {"signatures": {"here.example": {"ed25519:a": "b"}}}]
)
async def test_an_invitation_that_is_not_signed_is_not_sent(hal, tess, bend, told):
    bend("/invite/", lambda answer: {"event": told})
    room = await tess.create()

    assert (await tess.try_act(room, "invite", user_id=hal.user_id))[0] == 503
    status, _ = await tess.try_("GET", f"/rooms/{quote(room)}/state/m.room.member/{quote(hal.user_id)}")
    assert status == 404


@pytest.mark.parametrize("told", [None, [], {"knock_room_state": "x"}, {"knock_room_state": [1, {}]}])
async def test_a_knock_is_made_whatever_is_told_of_the_room(hal, tess, bend, told):
    rule = {"type": "m.room.join_rules", "content": {"join_rule": "knock"}}
    room = await tess.create(initial_state=[rule])
    bend("send_knock", lambda answer: told)

    assert (await hal.try_("POST", f"/knock/{quote(room)}?via=there.example", {}))[0] == 200
    knocked = (await hal.get("/sync"))["rooms"]["knock"][room]["knock_state"]["events"]
    assert [one["state_key"] for one in knocked] == [hal.user_id]


@pytest.mark.parametrize("error", [Unavailable("gone"), RemoteRefused(403, "M_FORBIDDEN", "no")])
async def test_nobody_is_kept_invited(hal, tess, bend, error):
    room = await tess.create()
    await tess.act(room, "invite", user_id=hal.user_id)

    def refuse(answer):
        raise error

    bend("_leave", refuse)
    assert await hal.try_act(room, "leave") == (200, {})
    assert "invite" not in (await hal.get("/sync")).get("rooms", {})
