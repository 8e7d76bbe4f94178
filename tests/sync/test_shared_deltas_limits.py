"""How much is remembered of what many are told alike, and what becomes of who finds nothing there."""

import asyncio
import contextlib

import orjson
import pytest

from homeserver.core.filters import parse_filter
from homeserver.core.positions import SyncToken, make
from homeserver.sync import follow
from homeserver.sync.assemble import Delta
from homeserver.sync.request import SyncRequest
from homeserver.sync.shared_deltas import DELTAS_MAX, VARIANTS_MAX, VIEWS_MAX, SharedDeltas
from tests.sync.sync_world import World, requester

ROOM = "!a:example.org"
ALICE = "@alice:example.org"
NOW = SyncToken().advance(make(1_760_000_000_000, 0, 0))
VIEW = 1


def delta():
    return Delta(NOW, b"{}", is_empty=False, is_shared=True)


def news(number):
    return number, ROOM


def test_so_many_deltas_are_remembered_and_no_more():
    shared = SharedDeltas()
    put = [delta() for _ in range(DELTAS_MAX + 1)]
    for number, one in enumerate(put):
        shared.put(NOW, VIEW, news(number), one)

    assert list(shared.find(NOW, VIEW, news(DELTAS_MAX - 1))) == [put[DELTAS_MAX - 1]]
    assert list(shared.find(NOW, VIEW, news(0))) == [put[0]]
    assert list(shared.find(NOW, VIEW, news(DELTAS_MAX))) == []


def test_a_variant_of_what_is_there_takes_no_place_of_another():
    shared = SharedDeltas()
    for number in range(DELTAS_MAX):
        shared.put(NOW, VIEW, news(number), delta())
    variants = [delta() for _ in range(VARIANTS_MAX)]
    for one in variants:
        shared.put(NOW, VIEW, news(0), one)

    assert list(shared.find(NOW, VIEW, news(0)))[1:] == variants[: VARIANTS_MAX - 1]


def test_what_leads_elsewhere_makes_room_for_what_leads_here():
    shared = SharedDeltas()
    for number in range(DELTAS_MAX):
        shared.put(NOW, VIEW, news(number), delta())
    later = NOW.advance(make(1_760_000_000_001, 0, 0))
    last = delta()
    shared.put(later, VIEW, news(DELTAS_MAX), last)

    assert list(shared.find(later, VIEW, news(DELTAS_MAX))) == [last]
    assert list(shared.find(later, VIEW, news(0))) == []
    assert list(shared.find(NOW, VIEW, news(0))) == []


def test_who_asks_for_the_same_shares_a_view_until_there_are_too_many():
    shared = SharedDeltas()

    def view(number):
        return shared.view_of(SyncRequest(requester(ALICE), timeline_limit_default=number))

    views = [view(number) for number in range(VIEWS_MAX)]
    assert len(set(views)) == VIEWS_MAX
    assert view(0) == views[0]
    assert view(VIEWS_MAX) not in views  # which lets the others go
    anew = view(0)
    assert anew not in views
    assert view(0) == anew


LAZY = {"room": {"timeline": {"limit": 100}, "state": {"lazy_load_members": True}}}
SPEAKERS_KNOWN = 3


class Reader:
    """A session that is told what is at hand, and looks for itself where nothing is."""

    def __init__(self, session_id):
        self.request = SyncRequest(requester(ALICE, session_id), filter=parse_filter(LAZY))
        self.members = []
        self.texts = []
        self.found = 0

    async def hear(self):
        told = self.follower.glance()
        is_found = isinstance(told, Delta)
        self.found += is_found
        body = orjson.loads((told if is_found else (await self.follower.look())[0]).body)
        for part in body.get("rooms", {}).get("join", {}).values():
            self.members += [event["state_key"] for event in part["state"]["events"]]
            self.texts += [event["content"].get("body") for event in part["timeline"]["events"]]


def room_of(others):
    world = World()
    world.create(ROOM, ALICE)
    quiet = [f"@quiet{number}:example.org" for number in range(6)]  # by whom the room is named
    for user_id in (*quiet, *others):
        world.member(ROOM, user_id, "join")
    for number in range(100):
        world.send(ROOM, ALICE, body=f"old {number}")
    return world


@pytest.mark.parametrize("speakers", [SPEAKERS_KNOWN, SPEAKERS_KNOWN + 1, 2 * SPEAKERS_KNOWN + 3])
async def test_members_who_are_known_are_told_once_however_many_there_are(monkeypatch, speakers):
    monkeypatch.setattr(follow, "KNOWN_MAX", SPEAKERS_KNOWN)
    others = [f"@user{number}:example.org" for number in range(speakers)]
    world = room_of(others)
    await world.start()
    readers = [Reader(number) for number in (1, 2, 3)]
    expected = []
    async with contextlib.AsyncExitStack() as stack:
        for reader in readers:
            reader.follower = await stack.enter_async_context(world.sync.following(reader.request))
            await reader.hear()
        for number in range(2):  # by then it is known that nothing waits for the devices
            world.send(ROOM, ALICE, body=f"first {number}")
            for reader in readers:
                await reader.hear()
        for reader in readers:
            reader.members, reader.texts, reader.found = [], [], 0
        for _ in range(3):
            for user_id in others:
                expected.append(f"{len(expected)} of {user_id}")
                world.send(ROOM, user_id, body=expected[-1])
                await asyncio.sleep(0)
                for reader in readers:
                    await reader.hear()
                    assert len(reader.follower._known) <= SPEAKERS_KNOWN + 1
    for reader in readers:
        assert reader.texts == expected
        assert sorted(reader.members) == others
    assert [reader.found for reader in readers] == [0, 3 * speakers, 3 * speakers]
    world.notifier.stop()
