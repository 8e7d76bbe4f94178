import pytest

from homeserver.rooms.room_names import RoomNames


@pytest.fixture
def names():
    return RoomNames(directory=None, remote=None, server_name="a.example", regions=("b.example", "c.example"))


async def test_regions_are_asked_for_a_room_of_which_no_server_is_named(names):
    assert await names.find("!room") == ("!room", ["b.example", "c.example"])


async def test_they_are_not_where_some_server_is_named(names):
    assert await names.find("!room", ["d.example"]) == ("!room", ["d.example"])
