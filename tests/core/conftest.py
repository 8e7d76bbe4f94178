"""What the tests of the rules share."""

import pytest

from homeserver.core.auth.check import authorize
from tests.factory.room_timeline import RoomTimelineFactory


@pytest.fixture(scope="session")
def new_room():
    """Return the class that makes rooms: `new_room("6")` is a room of version 6 with its creator in it."""
    return RoomTimelineFactory


@pytest.fixture(scope="session")
def allows():
    """Return a function that gives the verdict on a change of membership."""

    def verdict(room, sender, target, membership, **content):
        return room.verdict(sender, "m.room.member", {"membership": membership, **content}, target)

    return verdict


@pytest.fixture(scope="session")
def room_with_levels():
    """Return a function that makes a room with Alice (100, or more), Bob (50), Carol (50), Dave (0) in it."""
    alice, bob, carol, dave = (f"@{name}:example.org" for name in ("alice", "bob", "carol", "dave"))

    def make(version, **levels):
        room = RoomTimelineFactory(version)
        users = {bob: 50, carol: 50}
        if not room.rules.authorization.explicitly_privilege_room_creators:
            users[alice] = 100
        room.send(alice, "m.room.power_levels", {"users": users, **levels}, "")
        room.join(bob, carol, dave)
        return room

    return make


@pytest.fixture(scope="session")
def authorize_in():
    """Return a function that gives a room's verdict on an event."""
    return lambda room, event: authorize(event, room.state)
