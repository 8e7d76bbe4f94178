"""The problem cases of state resolution, by name: see `tests/golden/state_res`."""

from importlib import import_module

import pytest

from tests.core.state import reference
from tests.core.state.worlds import resolve_lazily, resolve_whole
from tests.factory.room_story import CASES, RoomStory

for chapter in ("bans", "joins", "power_levels", "resets", "topics"):
    import_module(f"tests.golden.state_res.{chapter}")


@pytest.mark.parametrize(("version", "tell"), CASES, ids=[f"{tell.__name__}-{v}" for v, tell in CASES])
def test_story(version, tell):
    room = RoomStory(version, resolve_whole)

    expected = tell(room)

    for resolve in (resolve_whole, resolve_lazily, reference.resolve):
        assert room.since_fork(resolve(room, room.ends())) == expected
