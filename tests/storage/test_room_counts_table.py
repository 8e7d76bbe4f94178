"""The numbers of joined users, as writes change them."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.migrate import SCHEMA_DIRECTORY
from storage.tables.room_counts import add_joined, add_membership_change
from storage.write import Write

MEMBERSHIPS = st.sampled_from(("join", "leave", "ban", "invite", "knock"))
CHANGES = st.tuples(st.integers(1, 3), st.integers(1, 4), MEMBERSHIPS, st.booleans())


# Examples share the database: each begins anew in it.
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(writes=st.lists(st.lists(CHANGES, max_size=8), max_size=5))
async def test_changes_of_membership_add_up(database, journal, writes):
    await database.execute("DELETE FROM room_counts")
    memberships, appended = {}, []
    for changes in writes:
        write = Write()
        for room_nid, user, membership, is_reset in changes:
            before = memberships.get((room_nid, user))
            now = None if is_reset else membership
            # Users with even numbers are ours.
            add_membership_change(write, room_nid, before=before, now=now, is_local=user % 2 == 0)
            memberships[room_nid, user] = now
        appended.append(journal.append(write))
    for committed in appended:
        await committed
    joined = {key for key, membership in memberships.items() if membership == "join"}
    rows = await database.fetch(
        "SELECT room_nid, joined, joined_local FROM room_counts WHERE joined > 0 ORDER BY room_nid"
    )

    assert rows == [
        (room_nid, len(users), len([user for user in users if user % 2 == 0]))
        for room_nid in (1, 2, 3)
        if (users := [user for room, user in joined if room == room_nid])
    ]


async def test_what_changes_nobody_s_joining_writes_nothing():
    write = Write()
    add_membership_change(write, 1, before="join", now="join", is_local=True)
    add_membership_change(write, 1, before="invite", now="leave", is_local=True)
    add_membership_change(write, 1, before=None, now=None, is_local=False)
    add_joined(write, 1, joined=0, joined_local=0)

    assert write.rows == []


@pytest.mark.parametrize("at_once", [True, False])
async def test_several_counts_change_in_one_write_or_in_several(database, journal, at_once):
    writes = [Write()] if at_once else [Write(), Write()]
    add_joined(writes[0], 1, joined=3, joined_local=1)
    add_joined(writes[-1], 2, joined=2, joined_local=2)
    add_joined(writes[-1], 1, joined=-1, joined_local=0)
    for write in writes:
        await journal.append(write)

    rows = await database.fetch("SELECT room_nid, joined, joined_local FROM room_counts ORDER BY room_nid")
    assert rows == [(1, 2, 1), (2, 2, 2)]


async def test_rooms_from_before_the_counts_are_counted(database):
    """The statement of the schema, on memberships that were there before."""
    await database.execute("DELETE FROM room_counts")
    await database.execute(
        "INSERT INTO memberships (room_nid, user_nid, position, is_local, membership, event_id) VALUES"
        " (1, 1, 1, true, 'join', '$1'), (1, 2, 2, false, 'join', '$2'), (1, 3, 3, true, 'leave', '$3'),"
        " (2, 1, 4, true, 'ban', '$4')"
    )
    text = (SCHEMA_DIRECTORY / "0005_reports.sql").read_text("utf-8")
    start = text.index("INSERT INTO room_counts")
    await database.execute(text[start : text.index(";", start)])

    rows = await database.fetch("SELECT room_nid, joined, joined_local FROM room_counts")
    assert rows == [(1, 2, 1)]
