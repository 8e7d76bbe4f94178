"""State resolution in rooms with a long history and many members looks at little of them."""

import pytest

from tests.core.state.worlds import ask_for_all, resolve_whole
from tests.factory.room_story import RoomStory

two_versions = pytest.mark.parametrize("version", ["2", "12"])


def fork_of_topics(room):
    """Let two members of old set the topic at once."""
    room.fork = room.say("name", "carol", "name", {"name": "N"})
    room.topic("topic_a", "alice")
    room.branch()
    room.topic("topic_b", "bob")
    return ask_for_all(room, room.ends())


@two_versions
def test_power_levels_of_long_ago_are_not_asked_for(version):
    room = RoomStory(version, resolve_whole)
    for number in range(100):
        room.levels(f"levels{number}", "alice", dave=number % 50)

    resolved, world = fork_of_topics(room)

    assert resolved["m.room.topic", ""] == "$topic_b"
    # The two topics, what allows them, and in older versions the levels before those.
    assert len(world.events) <= 8


@two_versions
def test_members_who_have_nothing_to_do_with_it_are_not_asked_for(version):
    room = RoomStory(version, resolve_whole)
    for number in range(300):
        room.say(f"join{number}", f"u{number}", "member", {"membership": "join"}, f"@u{number}:u")

    resolved, world = fork_of_topics(room)

    assert resolved["m.room.topic", ""] == "$topic_b"
    assert len(world.auth_events) <= 40
