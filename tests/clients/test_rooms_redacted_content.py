"""Reading redacted content (MSC2815), and that nothing is left of it after its time."""

import dataclasses

import pytest

from homeserver.config.model import RoomsSection
from homeserver.runtime.clock import SystemClock
from storage.expiry import Expiry
from tests.doubles.rooms import RoomsServer, message
from tests.storage.retention_world import holding

UNREDACTED = "?fi.mau.msc2815.include_unredacted_content=true"
SECRET = "the plaintext that nobody shall find"
WEEK = 7 * 86_400_000


class LateClock(SystemClock):
    def __init__(self, late_ms):
        self.late_ms = late_ms

    def now_ms(self):
        return super().now_ms() + self.late_ms


@pytest.fixture
async def room(rooms_server, alice, bob, admin):
    """Make a room of all three in which Bob has said something, and Alice has redacted it."""
    await rooms_server.services.rooms.retention.work()
    room_id = await alice.create(preset="public_chat")
    for user in (bob, admin):
        await user.act(room_id, "join")
    return room_id


@pytest.fixture
async def redacted(room, alice, bob):
    event_id = await bob.send(room, SECRET)
    await alice.redact(room, event_id, reason="rude")
    return event_id


def path(room, event_id, query=UNREDACTED):
    return f"/rooms/{room}/event/{event_id}{query}"


async def test_moderators_and_administrators_read_what_was_redacted(room, redacted, alice, admin):
    for user in (alice, admin):
        event = await user.get(path(room, redacted))
        assert event["content"] == message(SECRET)
        assert event["unsigned"]["redacted_because"]["content"]["reason"] == "rude"
        assert event["event_id"] == redacted
        for query in ("", "?fi.mau.msc2815.include_unredacted_content=false"):
            assert (await user.get(path(room, redacted, query)))["content"] == {}


async def test_nobody_else_does(room, redacted, bob, carol):
    assert await bob.try_("GET", path(room, redacted)) == (403, "M_FORBIDDEN")
    assert await carol.try_("GET", path(room, redacted)) == (404, "M_NOT_FOUND")


async def test_an_administrator_sees_no_room_that_they_are_not_in(alice, admin):
    room = await alice.create()
    event_id = await alice.send(room)
    await alice.redact(room, event_id)
    assert await admin.try_("GET", path(room, event_id)) == (404, "M_NOT_FOUND")


async def test_one_who_left_moderates_no_more(room, redacted, alice, admin):
    await alice.act(room, "leave")
    assert await alice.try_("GET", path(room, redacted)) == (403, "M_FORBIDDEN")


@pytest.mark.parametrize("query", ["perhaps", "1", ""])
async def test_only_true_and_false_are_understood(room, redacted, alice, query):
    asked = f"?fi.mau.msc2815.include_unredacted_content={query}"
    assert await alice.try_("GET", path(room, redacted, asked)) == (400, "M_INVALID_PARAM")


async def test_what_was_not_redacted_is_read_as_it_is(room, alice):
    event_id = await alice.send(room, "hello")
    assert (await alice.get(path(room, event_id)))["content"] == message("hello")
    assert await alice.try_("GET", path(room, "$missing")) == (404, "M_NOT_FOUND")


async def test_after_its_time_it_is_gone_from_every_table(rooms_server, room, redacted, alice, database):
    assert await holding(database, SECRET.encode()) == ["redacted_events"]
    for late_ms, left in ((WEEK - 60_000, ["redacted_events"]), (WEEK + 1, [])):
        await Expiry(database, LateClock(late_ms), pytest.fail, WEEK).expire_redacted()
        assert await holding(database, SECRET.encode()) == left
    status, answer = await rooms_server.call(
        "GET", "/_matrix/client/v3" + path(room, redacted), token=alice.token
    )
    assert status == 404
    assert answer["errcode"] == "FI.MAU.MSC2815_UNREDACTED_CONTENT_DELETED"
    assert answer["fi.mau.msc2815.content_keep_ms"] == WEEK


async def test_it_goes_at_once_if_so_configured(database, tmp_path):
    server = RoomsServer(database, tmp_path)
    server.configuration = dataclasses.replace(
        server.configuration, rooms=RoomsSection(redacted_content_kept_ms=0)
    )
    await server.start()
    try:
        await server.services.rooms.retention.work()
        alice = await server.user("alice")
        room = await alice.create()
        event_id = await alice.send(room, SECRET)
        assert len(await holding(database, SECRET.encode())) == 1
        await alice.redact(room, event_id)
        assert await holding(database, SECRET.encode()) == []
    finally:
        await server.close()
