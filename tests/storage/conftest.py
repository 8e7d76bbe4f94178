"""Clocks, events and writes for the tests of storage."""

from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from homeserver.core.changes import Change
from homeserver.core.event.pdu import Event
from homeserver.core.room_versions import ROOM_VERSIONS
from homeserver.runtime.clock import SystemClock
from homeserver.runtime.observation import Observation
from storage.journal import Journal
from storage.pool import Database
from storage.write import Statement, Write
from storage.writers import Writers

RULES = ROOM_VERSIONS["10"]
NOTE = Statement(
    name="notes",
    rank=90,
    sql="INSERT INTO notes (number, text) SELECT * FROM unnest(%b::bigint[], %b::text[])",
)


@pytest.fixture
def clock() -> SystemClock:
    return SystemClock()


@pytest.fixture
async def notes(database: Database) -> Statement:
    """Give a table that refuses numbers below zero and repeated ones, and the statement that fills it."""
    await database.execute("CREATE TABLE notes (number bigint PRIMARY KEY CHECK (number >= 0), text text)")
    return NOTE


@pytest.fixture
def note() -> Callable[..., Write]:
    def make(number: int, text: str | None = "hello", order_key: str | None = None) -> Write:
        write = Write(changes=[Change(number)], order_key=order_key)
        write.add(NOTE, number, text)
        return write

    return make


class Witness:
    """Sees what a journal publishes and observes."""

    def __init__(self) -> None:
        self.positions: list[int] = []
        self.observations: list[Observation] = []

    def publish(self, changes: Sequence[Change]) -> None:
        self.positions.extend([change.position for change in changes])

    def observe(self, observation: Observation) -> None:
        self.observations.append(observation)

    def of(self, kind: type[Observation]) -> list[Observation]:
        return [observation for observation in self.observations if isinstance(observation, kind)]


@pytest.fixture
def witness() -> Witness:
    return Witness()


@pytest.fixture
async def journal(database: Database, clock: SystemClock, witness: Witness) -> AsyncIterator[Journal]:
    lease = await Writers(database, clock).acquire()
    opened = Journal(database, lease, clock, witness.publish, witness.observe)
    yield opened
    await opened.close()


@pytest.fixture
def make_event() -> Callable[..., Event]:
    def make(number: int, type_: str = "m.room.message", state_key: str | None = None, **content) -> Event:
        pdu = {
            "type": type_, "room_id": "!room:example.org", "sender": "@alice:example.org", "content": content,
            "depth": number, "origin_server_ts": 1_700_000_000_000 + number,
            "prev_events": [f"$before{number}"], "auth_events": ["$create", "$member"],
            "hashes": {"sha256": "x"}, "signatures": {},
        }  # fmt: skip
        if state_key is not None:
            pdu["state_key"] = state_key
        return Event.from_pdu(pdu, RULES)

    return make
