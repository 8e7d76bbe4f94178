"""Where events of a room go, as members come and go."""

import pytest

from federation.server.intake import Intake
from homeserver.core.changes import EventChange
from tests.factory.room_timeline import RoomTimelineFactory


class Way:
    """Takes note of what goes there."""

    def __init__(self):
        self.rooms = []

    async def receive(self, _, room_id, __):
        self.rooms.append(room_id)
        return {}


class Residency:
    """Says what a test says, and lets something happen meanwhile."""

    def __init__(self):
        self.here = {"!a"}
        self.asked = 0
        self.meanwhile = lambda: None

    async def is_resident(self, room_id):
        self.asked += 1
        is_here = room_id in self.here
        self.meanwhile()
        return is_here


@pytest.fixture
def ways():
    return Way(), Way(), Residency()


@pytest.fixture
def intake(ways):
    ingest, outsiders, residency = ways
    return Intake(ingest=ingest, outsiders=outsiders, residency=residency)


@pytest.fixture
def moves():
    """Give the change that somebody came or went by."""
    return [EventChange(1, "!a", RoomTimelineFactory().events[-1])]


async def test_that_a_room_is_here_is_remembered_until_somebody_comes_or_goes(intake, ways, moves):
    ingest, outsiders, residency = ways
    for room_id in ("!a", "!a", "!b", "!b"):
        await intake.receive("there.example", room_id, [])
    assert residency.asked == 3, "what is not here may come at any time"
    residency.here.clear()
    intake.follow(moves)
    await intake.receive("there.example", "!a", [])

    assert ingest.rooms == ["!a", "!a"]
    assert outsiders.rooms == ["!b", "!b", "!a"]


async def test_what_was_asked_before_somebody_went_is_not_remembered(intake, ways, moves):
    ingest, outsiders, residency = ways

    def leave():
        residency.here.clear()
        intake.follow(moves)

    residency.meanwhile = leave
    for _ in range(2):
        await intake.receive("there.example", "!a", [])
    assert (ingest.rooms, outsiders.rooms) == (["!a"], ["!a"])
