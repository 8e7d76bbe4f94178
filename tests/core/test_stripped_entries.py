"""What another server tells of a room is taken only from users that can exist."""

import pytest

from homeserver.core.event.stripped import stripped_entries

ENTRY = {"type": "m.room.name", "state_key": "", "sender": "@a:b.example", "content": {"name": "Room"}}


def test_an_entry_is_stripped():
    assert stripped_entries([{**ENTRY, "origin_server_ts": 1}]) == [ENTRY]


@pytest.mark.parametrize("sender", ["", "a", "@a", "@a\x00:b.example", "@\ud800:b.example", 1, None])
def test_an_entry_of_nobody_is_left_out(sender):
    """A NUL would be refused by storage, after everything else."""
    assert stripped_entries([{**ENTRY, "sender": sender}, ENTRY]) == [ENTRY]
