"""Queues of rooms: what takes long is written down, and no room waits for another."""

import asyncio

import pytest

from federation.server import room_queues
from federation.server.refusals import PduPostponed, PduRefused
from federation.server.staging import ATTEMPTS_MAX, LOOKS_IN_VAIN_MAX, RETRY_MS_MAX
from homeserver.core.errors import LimitExceeded, Unavailable
from homeserver.core.pdu_verdicts import Dropped
from homeserver.rooms.ingest import Postponed
from homeserver.runtime.observation import Failure
from storage.tables import received_pdus

THERE = "there.example"
BOB = "@bob:there.example"


class Rooms:
    """Takes events in as a test says.

    Attributes:
        taken_in: (origin, room, event IDs) of each batch, when it was done.
        open: the rooms in which anything gets done; None: all.
        failing: what is raised in a room.
        outcome: what comes of every event.
    """

    def __init__(self):
        self.taken_in = []
        self.open = None
        self.failing = {}
        self.outcome = None
        self.changed = asyncio.Event()
        self.at_once = self.at_once_max = 0

    async def receive(self, origin, room_id, pdus):
        self.at_once += 1
        self.at_once_max = max(self.at_once, self.at_once_max)
        try:
            while self.open is not None and room_id not in self.open:
                self.changed.clear()
                await self.changed.wait()
            if room_id in self.failing:
                raise self.failing[room_id]
        finally:
            self.at_once -= 1
        self.taken_in.append((origin, room_id, [pdu["id"] for pdu in pdus]))
        return {pdu["id"]: self.outcome for pdu in pdus}

    def let_in(self, *room_ids):
        self.open = None if not room_ids else {*(self.open or ()), *room_ids}
        self.changed.set()

    async def until(self, batches):
        async with asyncio.timeout(10):
            while len(self.taken_in) < batches:  # noqa: ASYNC110 - whoever is watched says nothing
                await asyncio.sleep(0.005)


@pytest.fixture
async def rooms(here):
    rooms = Rooms()
    await here.start_queues(rooms.receive)
    return rooms


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(room_queues, "PATIENCE_S", 0.01)
    monkeypatch.setattr(room_queues, "SLOW_S", 0.02)


async def staged_are(here, count):
    async with asyncio.timeout(10):
        while await here.staged() != count:  # noqa: ASYNC110 - the database says nothing
            await asyncio.sleep(0.005)


def events(*names):
    return {f"${name}": {"id": f"${name}", "unsigned": {"age": 1}} for name in names}


async def test_nothing_is_written_down_of_what_is_done_at_once(here, rooms):
    rooms.outcome = Dropped("No.")
    assert await here.queues.take_in(THERE, "!a", events("1", "2")) == {
        "$1": Dropped("No."), "$2": Dropped("No."),
    }  # fmt: skip
    assert await here.database.fetch_one("SELECT last_value, is_called FROM received_pdus_number_seq") == (
        1, False,
    )  # fmt: skip


@pytest.mark.usefixtures("impatient")
async def test_a_room_that_cannot_be_followed_keeps_no_other_waiting(here, rooms):
    rooms.open = {"!quick"}
    assert await here.queues.take_in(THERE, "!stuck", events("1")) == {}
    assert await here.staged() == 1
    for number in range(5):
        assert await here.queues.take_in(THERE, "!quick", events(f"q{number}")) == {f"$q{number}": None}
    rooms.let_in("!stuck")
    await rooms.until(6)
    await staged_are(here, 0)


@pytest.mark.usefixtures("impatient")
async def test_what_was_acknowledged_is_taken_in_in_its_order_after_a_crash(here, rooms):
    rooms.open = set()
    for number in range(3):
        assert await here.queues.take_in(THERE, "!a", events(f"{number}a", f"{number}b")) == {}
    assert rooms.taken_in == []
    rooms.let_in()
    again = Rooms()
    await here.start_queues(again.receive)
    await again.until(1)
    await staged_are(here, 0)

    assert [name for _, _, names in again.taken_in for name in names] == [
        "$0a", "$0b", "$1a", "$1b", "$2a", "$2b",
    ]  # fmt: skip


async def test_what_nobody_counted_is_taken_in_in_the_end(here, rooms):
    """As when a process was killed, and what it had handed over is committed after the next one has begun."""
    await received_pdus.add(here.database, THERE, "!a", [("$late", b'{"id":"$late"}')], received_ms=1)

    for _ in range(LOOKS_IN_VAIN_MAX):
        await here.queues.look()
    await rooms.until(1)

    assert rooms.taken_in == [(THERE, "!a", ["$late"])]
    await staged_are(here, 0)


@pytest.mark.usefixtures("impatient")
async def test_what_does_not_fit_in_memory_is_read_again_and_keeps_its_order(here, rooms, monkeypatch):
    monkeypatch.setattr(room_queues, "BATCHES_WAITING_MAX", 2)
    rooms.open = set()
    sent = [f"{number}" for number in range(8)]
    for number in sent:
        origin = THERE if int(number) % 3 else "else.example"
        assert await here.queues.take_in(origin, "!a", events(number)) == {}
    rooms.let_in()
    await staged_are(here, 0)
    assert [name for _, _, names in rooms.taken_in for name in names] == [f"${number}" for number in sent]
    assert {origin for origin, _, names in rooms.taken_in if "$3" in names} == {"else.example"}


@pytest.mark.usefixtures("impatient")
async def test_a_server_cannot_take_all_turns_with_rooms_that_take_long(here, rooms, monkeypatch):
    monkeypatch.setattr(room_queues, "ROOMS_AT_ONCE_MAX", 3)
    monkeypatch.setattr(room_queues, "ROOMS_SLOW_PER_ORIGIN_MAX", 2)
    rooms.open = {"!quick"}
    for number in range(12):
        await here.queues.take_in(THERE, f"!stuck{number}", events(f"{number}"))
    assert await here.queues.take_in("else.example", "!quick", events("q")) == {"$q": None}
    assert rooms.at_once_max <= 5
    rooms.let_in()
    await rooms.until(13)
    await staged_are(here, 0)


async def test_what_is_put_off_is_tried_again_later_and_later_and_given_up_in_the_end(here, rooms):
    rooms.outcome = Postponed("Nobody tells.")
    assert await here.queues.take_in(THERE, "!a", events("1")) == {"$1": Postponed("Nobody tells.")}
    assert await here.staged() == 1
    await here.queues.look()
    assert len(rooms.taken_in) == 1, "not at once"
    for attempt in range(2, ATTEMPTS_MAX + 1):
        here.clock.ms += RETRY_MS_MAX + 1
        await here.queues.look()
        await rooms.until(attempt)
        await asyncio.sleep(0.02)
    await staged_are(here, 0)
    here.clock.ms += RETRY_MS_MAX + 1
    await here.queues.look()

    assert len(rooms.taken_in) == ATTEMPTS_MAX
    assert [type(one) for one in here.observations if isinstance(one, PduPostponed | PduRefused)] == [
        PduPostponed, PduRefused,
    ]  # fmt: skip


async def test_a_mistake_of_ours_with_one_event_is_not_one_with_the_others(here, rooms):
    receive = rooms.receive

    async def fail(origin, room_id, pdus):
        if any(pdu["id"] == "$bad" for pdu in pdus):
            raise ZeroDivisionError
        return await receive(origin, room_id, pdus)

    await here.start_queues(fail)
    told = await here.queues.take_in(THERE, "!a", events("1", "bad", "2"))
    assert isinstance(told.pop("$bad"), Postponed)
    assert told == {"$1": None, "$2": None}
    assert await here.staged() == 1
    assert any(isinstance(one, Failure) for one in here.observations)


@pytest.mark.usefixtures("impatient")
async def test_a_server_that_stops_leaves_what_waits_to_the_next(here, rooms):
    rooms.open = set()
    kept = asyncio.ensure_future(here.queues.take_in(THERE, "!a", events("1")))
    await staged_are(here, 1)
    assert await kept == {}
    waiting = [asyncio.ensure_future(here.queues.take_in(THERE, "!a", events(f"{n}"))) for n in range(2, 5)]
    await asyncio.sleep(0)
    await here.queues.close()
    told = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(one == {} or isinstance(one, Unavailable) for one in told)
    with pytest.raises(Unavailable):
        await here.queues.take_in(THERE, "!a", events("9"))
    assert [one for one in here.observations if isinstance(one, Failure)] == []


async def test_what_cannot_be_stored_is_not_acknowledged(here, rooms):
    rooms.failing["!a"] = Unavailable("Not just now.")
    with pytest.raises(Unavailable):
        await here.queues.take_in(THERE, "!a", events("1"))
    assert await here.staged() == 0
    del rooms.failing["!a"]
    assert await here.queues.take_in(THERE, "!a", events("1")) == {"$1": None}


@pytest.mark.usefixtures("impatient")
async def test_a_server_can_leave_only_so_much_behind(here, rooms, monkeypatch):
    monkeypatch.setattr("federation.server.staging.PDUS_PER_ORIGIN_MAX", 2)
    rooms.open = set()
    for number in range(2):
        await here.queues.take_in(THERE, "!a", events(f"{number}"))
    with pytest.raises(LimitExceeded):
        await here.queues.take_in(THERE, "!b", events("3"))
    await here.queues.take_in("else.example", "!b", events("4"))
    rooms.let_in()
    await staged_are(here, 0)
    assert await here.queues.take_in(THERE, "!a", events("5")) == {"$5": None}


async def test_an_event_whose_past_nobody_tells_has_its_place_once_somebody_does(
    here, there, network, room_id
):
    network.cut.add(("here.example", THERE))
    lost = await there.say(room_id, BOB, "lost")
    said = await there.say(room_id, BOB)
    assert await here.send_to(THERE, said) == {said.event_id: {}}
    assert await here.flags(said.event_id) is None
    assert await here.staged() == 1

    network.cut.clear()
    here.clock.ms += RETRY_MS_MAX
    await here.queues.look()
    await staged_are(here, 0)
    assert await here.flags(said.event_id) == await here.flags(lost.event_id) == 0
