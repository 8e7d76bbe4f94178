"""The state that somebody looked at: what is there, what is not, and what nobody knows yet."""

import pytest

from homeserver.rooms import loading, room_state
from homeserver.rooms.room_state import ESSENTIAL_KEYS, NotLoadedError, RoomState

NAME, TOPIC = ("m.room.name", ""), ("m.room.topic", "")


class Stub:
    """As much of an event as the state looks at."""

    def __init__(self, event_type, state_key=""):
        self.type, self.state_key, self.event_id = event_type, state_key, f"${event_type}|{state_key}"


@pytest.fixture
def event():
    return Stub("m.room.name")


def test_what_nobody_looked_at_is_asked_for_all_at_once(event):
    state = RoomState()
    state.put(NAME, event, 7)

    assert state.get(NAME) is event
    assert state.nid(NAME) == 7
    with pytest.raises(NotLoadedError) as error:
        state.select([NAME, TOPIC, ("m.room.member", "@a:x")])
    assert set(error.value.keys) == {TOPIC, ("m.room.member", "@a:x")}


def test_what_is_not_there_is_known_not_to_be_there():
    state = RoomState()
    state.learn(TOPIC, None, 0)

    assert state.get(TOPIC) is None
    assert state.select([TOPIC]) == {}
    assert state.missing([TOPIC, NAME]) == [NAME]


def test_what_storage_had_does_not_replace_what_was_set_meanwhile(event):
    state = RoomState()
    state.put(NAME, event, 7)
    state.learn(NAME, Stub("m.room.name"), 3)

    assert state.get(NAME) is event


def test_a_whole_state_has_nothing_else_until_something_must_go(monkeypatch):
    monkeypatch.setattr(room_state, "ENTRIES_MAX", 20)
    state = RoomState(is_whole=True)
    for number in range(20):
        state.put(("m.room.member", f"@{number}:x"), Stub("m.room.member", f"@{number}:x"), number)
    state.trim()
    assert state.get(TOPIC) is None

    state.put(("m.room.member", "@more:x"), Stub("m.room.member", "@more:x"), 99)
    state.trim()
    with pytest.raises(NotLoadedError):
        state.get(("m.room.member", "@0:x"))
    assert state.get(("m.room.member", "@more:x")) is not None
    assert [state.get(key) for key in ESSENTIAL_KEYS] == [None] * len(ESSENTIAL_KEYS)


def test_what_was_looked_at_last_stays(monkeypatch):
    monkeypatch.setattr(room_state, "ENTRIES_MAX", 10)
    state = RoomState()
    keys = [("m.room.member", f"@{number}:x") for number in range(11)]
    for number, key in enumerate(keys):
        state.put(key, Stub(*key), number)
    state.get(keys[0])
    state.trim()

    assert state.missing(keys) == [keys[1]]


async def test_a_small_room_is_read_whole_and_a_large_one_is_not(make_registry, alice, room, monkeypatch):
    small = await make_registry().actor(room)
    assert small.membership("@nobody:localhost") == "leave"
    assert small.membership(alice.user_id) == "join"

    monkeypatch.setattr(loading, "WHOLE_ENTRIES_MAX", 2)
    large = await make_registry().actor(room, ("m.room.member", alice.user_id))
    assert large.membership(alice.user_id) == "join"
    with pytest.raises(NotLoadedError):
        large.membership("@nobody:localhost")
