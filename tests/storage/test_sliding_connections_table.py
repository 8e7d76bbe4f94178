"""Connections of sliding sync, as rows: found by their places, gone with their sessions and with age."""

import asyncio

import pytest

from storage.expiry import SLIDING_CONNECTIONS_KEPT_MS, Expiry
from storage.tables import devices, sliding_connections, tokens
from storage.tables.sliding_connections import ConnectionRow

ALICE = "@alice:example.org"
NOW_MS = 1_760_000_000_000


@pytest.fixture
async def sessions(database):
    await database.execute("INSERT INTO accounts (user_id, created_ms) VALUES (%b, 0)", ALICE)
    opened = []
    for device_id in ("A", "B"):
        await devices.ensure(database, ALICE, device_id, None, 0)
        session_id, _ = await tokens.open_session(database, ALICE, device_id, 0)
        opened.append(session_id)
    return opened


def row(session_id, conn_id=None, newest="p.2", earlier="p.1", snapshot=b"snapshot"):
    return ConnectionRow(session_id, conn_id, (newest, earlier), snapshot)


async def kept(database):
    rows = await database.fetch("SELECT session_id, snapshot FROM sliding_connections ORDER BY 1, 2")
    return [(session_id, snapshot.decode()) for session_id, snapshot in rows]


async def test_a_connection_is_found_by_either_of_its_places(database, sessions):
    one, other = sessions
    names = [None, "", "x", "\0ä"]
    rows = [row(one, name, snapshot=repr(name).encode()) for name in names]
    assert await sliding_connections.save(database, rows, NOW_MS) == 4
    for name in names:
        for position in ("p.1", "p.2"):
            found = await sliding_connections.read(database, (one, name), position)
            assert found == repr(name).encode()
    for key, position in (((one, None), "p.3"), ((other, None), "p.1"), ((one, "y"), "p.1"), ((one, ""), "")):
        assert await sliding_connections.read(database, key, position) is None


async def test_the_last_save_counts(database, sessions):
    key = sessions[0], "x"
    await sliding_connections.save(database, [row(*key)], NOW_MS)
    await sliding_connections.save(database, [row(*key, "p.4", "p.3", b"later")], NOW_MS)
    assert await sliding_connections.read(database, key, "p.2") is None
    assert await sliding_connections.read(database, key, "p.3") == b"later"
    assert await sliding_connections.delete(database, [key, (1_000, None)]) == 1
    assert await kept(database) == []
    assert await sliding_connections.save(database, [], NOW_MS) == 0
    assert await sliding_connections.delete(database, []) == 0
    assert await sliding_connections.trim(database, [], 1) == 0


async def test_connections_end_with_their_session_and_nobody_waits(database, sessions):
    one, other = sessions
    await sliding_connections.save(database, [row(one), row(other)], NOW_MS)
    async with database.transaction() as ending, asyncio.timeout(10):
        await ending.execute("DELETE FROM device_sessions WHERE session_id = %b::bigint", one)
        again = [row(one, snapshot=b"late"), row(other, snapshot=b"new"), row(1_000)]
        assert await sliding_connections.save(database, again, NOW_MS + 1) == 1
        assert await sliding_connections.delete(database, [(one, None)]) == 0
        assert await sliding_connections.trim(database, [one], 0) == 0
        assert await sliding_connections.delete_older(database, NOW_MS + 1) == 0
    assert await kept(database) == [(other, "new")]
    await devices.ensure(database, ALICE, "B", None, 0)
    await tokens.open_session(database, ALICE, "B", 0)
    assert await kept(database) == []


async def test_of_a_session_those_saved_last_stay(database, sessions):
    one, other = sessions
    for number in range(4):
        rows = [row(one, str(number), snapshot=b"%d" % number)]
        await sliding_connections.save(database, rows, NOW_MS + number)
    await sliding_connections.save(database, [row(other)], NOW_MS)
    assert await sliding_connections.trim(database, sessions, 2) == 2
    assert await kept(database) == [(one, "2"), (one, "3"), (other, "snapshot")]


class StoppedClock:
    def now_ms(self):
        return NOW_MS

    def monotonic_ms(self):
        return 0


async def test_what_nobody_used_for_long_goes(database, sessions, witness):
    one, other = sessions
    await sliding_connections.save(database, [row(one)], NOW_MS - SLIDING_CONNECTIONS_KEPT_MS - 1)
    await sliding_connections.save(database, [row(other)], NOW_MS - SLIDING_CONNECTIONS_KEPT_MS)
    assert await Expiry(database, StoppedClock(), witness.observe).expire_sliding() == 1
    assert await kept(database) == [(other, "snapshot")]
