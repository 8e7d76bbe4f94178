"""What the tests of the rules share."""

import pytest

from tests.factory.room_timeline import RoomTimelineFactory


@pytest.fixture(scope="session")
def new_room():
    """Return the class that makes rooms: `new_room("6")` is a room of version 6 with its creator in it."""
    return RoomTimelineFactory
