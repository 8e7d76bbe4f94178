"""Sliding sync over restarts: connections go on where they were, and never where they were not."""

import asyncio

import pytest

from homeserver.core.errors import Unavailable, UnknownPos
from homeserver.core.positions import SyncToken
from homeserver.runtime.observation import Failure
from homeserver.runtime.randomness import SystemRandomness
from homeserver.sync.sliding import keeper
from homeserver.sync.sliding.connections import CONNECTIONS_PER_SESSION_MAX, Connections, Place, RoomSent
from homeserver.sync.sliding.kept_connections import StoredConnections
from homeserver.sync.sliding.unsaved import Unsaved
from storage.tables import devices, tokens
from storage.tables.sliding_connections import ConnectionRow
from tests.sync.sliding_world import event_ids, room_list
from tests.sync.sync_asking import ALICE, BOB, ROOM
from tests.sync.sync_world import requester

OTHER = "!other:example.org"
EXTENSIONS = {"extensions": {name: {"enabled": True} for name in ("account_data", "receipts", "e2ee")}}


async def test_a_connection_goes_on_with_what_it_lacks(sliding):
    sliding.create(ROOM, ALICE)
    sliding.create(OTHER, ALICE)
    sliding.keep(ALICE, "org.example.kept", {"a": 1})
    asked = room_list() | EXTENSIONS | {"conn_id": "ä\0"}
    first = await sliding.ask(ALICE, asked)
    assert set(first["rooms"]) == {ROOM, OTHER}
    await sliding.restart()
    said = sliding.send(ROOM, ALICE, body="hello")

    second = await sliding.ask(ALICE, asked, first["pos"])

    assert set(second["rooms"]) == {ROOM}
    assert "initial" not in second["rooms"][ROOM]
    assert event_ids(second["rooms"][ROOM]["timeline"]) == [said]
    assert second["extensions"]["account_data"] == {"global": [], "rooms": {}}
    assert second["extensions"]["e2ee"]["device_lists"] == {"changed": [], "left": []}
    assert (await sliding.ask(ALICE, asked, second["pos"]))["rooms"] == {}


async def test_an_answer_that_got_lost_with_the_restart_is_given_again(sliding):
    sliding.create(ROOM, ALICE)
    first = await sliding.ask(ALICE, room_list())
    said = sliding.send(ROOM, ALICE, body="hello")
    lost = await sliding.ask(ALICE, room_list(), first["pos"])
    await sliding.restart()
    again = await sliding.ask(ALICE, room_list(), first["pos"])
    for answer in (lost, again):
        assert event_ids(answer["rooms"][ROOM]["timeline"]) == [said]
    await sliding.ask(ALICE, room_list(), again["pos"])
    for over in (first, lost):
        with pytest.raises(UnknownPos):
            await sliding.ask(ALICE, room_list(), over["pos"])


async def test_a_position_is_of_one_connection_of_one_session_after_a_restart_too(sliding):
    sliding.create(ROOM, ALICE)
    sliding.member(ROOM, BOB, "join")
    one = room_list() | {"conn_id": "one"}
    pos = (await sliding.ask(ALICE, one))["pos"]
    await sliding.restart()
    for user_id, asked, session_id in ((ALICE, room_list(), 1), (ALICE, one, 2), (BOB, one, 3)):
        with pytest.raises(UnknownPos):
            await sliding.ask(user_id, asked, pos, session_id=session_id)
    reads = sliding.kept_connections.reads
    for strange in ("", "\0", "ä", "x" * 65):
        with pytest.raises(UnknownPos):
            await sliding.ask(ALICE, one, strange)
    assert sliding.kept_connections.reads == reads, "no such name is looked for"
    assert (await sliding.ask(ALICE, one, pos))["rooms"] == {}


async def test_beginning_again_ends_what_was_kept(sliding):
    sliding.create(ROOM, ALICE)
    first = await sliding.ask(ALICE, room_list())
    await sliding.restart()
    await sliding.ask(ALICE, room_list())
    with pytest.raises(UnknownPos):
        await sliding.ask(ALICE, room_list(), first["pos"])
    await sliding.restart()
    with pytest.raises(UnknownPos):
        await sliding.ask(ALICE, room_list(), first["pos"])


async def test_two_requests_at_once_find_one_connection(sliding):
    sliding.create(ROOM, ALICE)
    first = await sliding.ask(ALICE, room_list())
    await sliding.restart()
    both = await asyncio.gather(*[sliding.ask(ALICE, room_list(), first["pos"]) for _ in range(2)])
    known = 0
    for answer in both:
        try:
            await sliding.ask(ALICE, room_list(), answer["pos"])
        except UnknownPos:
            continue
        known += 1
    assert known == 1, "the one that was overtaken left no trace"
    assert sliding.connections._entries == sliding.connections._connections[1, None].entries


async def test_who_begins_again_meanwhile_is_not_set_back(sliding):
    sliding.create(ROOM, ALICE)
    first = await sliding.ask(ALICE, room_list())
    await sliding.restart()
    late = asyncio.ensure_future(sliding.ask(ALICE, room_list(), first["pos"]))
    await asyncio.sleep(0)  # it looks for the row now
    begun = await sliding.ask(ALICE, room_list())
    with pytest.raises(UnknownPos):
        await late
    assert (await sliding.ask(ALICE, room_list(), begun["pos"]))["rooms"] == {}


async def test_who_asks_on_a_live_connection_reads_and_writes_nothing(sliding):
    sliding.create(ROOM, ALICE)
    pos = (await sliding.ask(ALICE, room_list()))["pos"]
    for _ in range(3):
        sliding.send(ROOM, ALICE, body="hello")
        pos = (await sliding.ask(ALICE, room_list(), pos))["pos"]
    with pytest.raises(UnknownPos):
        await sliding.ask(ALICE, room_list(), "other.1")
    assert (sliding.kept_connections.reads, sliding.kept_connections.rows) == (0, {})


async def test_a_crash_leaves_those_that_rested(sliding):
    sliding.create(ROOM, ALICE)
    moving, resting = room_list() | {"conn_id": "moving"}, room_list() | {"conn_id": "resting"}
    rested = (await sliding.ask(ALICE, resting))["pos"]
    moved = (await sliding.ask(ALICE, moving))["pos"]
    assert await sliding.keeper.sweep() == 0
    moved = (await sliding.ask(ALICE, moving, moved))["pos"]
    assert await sliding.keeper.sweep() == 1
    assert set(sliding.kept_connections.rows) == {(1, "resting")}
    await sliding.start()
    assert (await sliding.ask(ALICE, resting, rested))["rooms"] == {}
    with pytest.raises(UnknownPos):
        await sliding.ask(ALICE, moving, moved)


async def test_what_is_saved_is_not_saved_again_until_it_changes(sliding):
    first = await sliding.ask(ALICE, room_list())
    assert [await sliding.keeper.sweep() for _ in range(3)] == [0, 1, 0]
    await sliding.ask(ALICE, room_list(), first["pos"])
    assert [await sliding.keeper.sweep() for _ in range(3)] == [0, 1, 0]


async def test_a_sweep_saves_a_few_and_the_next_one_goes_on(sliding, monkeypatch):
    monkeypatch.setattr(keeper, "CONNECTIONS_PER_SWEEP_MAX", 2)
    monkeypatch.setattr(keeper, "BYTES_PER_WRITE_MAX", 10)
    for number in range(5):
        await sliding.ask(ALICE, room_list() | {"conn_id": str(number)})
    assert [await sliding.keeper.sweep() for _ in range(5)] == [0, 2, 2, 1, 0]
    assert len(sliding.kept_connections.rows) == 5


async def test_what_has_become_too_large_is_forgotten(sliding):
    sliding.create(ROOM, ALICE)
    pos = (await sliding.ask(ALICE, room_list()))["pos"]
    assert await sliding.keeper.save_all() == 1
    pos = (await sliding.ask(ALICE, room_list(), pos))["pos"]
    large = tuple([f"@user{number}:example.org" for number in range(30_000)])
    sliding.connections.places((1, None))[0].rooms[ROOM] = RoomSent(None, 10, frozenset(), large)
    await sliding.restart()
    assert sliding.kept_connections.rows == {}
    with pytest.raises(UnknownPos):
        await sliding.ask(ALICE, room_list(), pos)


async def test_what_could_not_be_saved_is_saved_later(sliding, monkeypatch):
    pos = (await sliding.ask(ALICE, room_list()))["pos"]

    async def fail(rows, gone, now_ms):
        raise Unavailable("Not now.")

    with monkeypatch.context() as patched:
        patched.setattr(sliding.kept_connections, "save", fail)
        assert await sliding.keeper.save_all() == 0
    assert [type(one) for one in sliding.failures] == [Failure]
    await sliding.restart()
    assert (await sliding.ask(ALICE, room_list(), pos))["rooms"] == {}


async def test_stopping_waits_only_so_long(sliding, monkeypatch):
    monkeypatch.setattr(keeper, "_SAVE_ALL_TIMEOUT_S", 0)
    await sliding.ask(ALICE, room_list())
    assert await sliding.keeper.save_all() == 0
    assert [type(one.error) for one in sliding.failures] == [TimeoutError]
    assert len(sliding.connections.unsaved) == 1


@pytest.mark.parametrize("snapshot", [b"", b"\xff", b"\x96\x01", b"null"])
async def test_a_bad_row_is_as_good_as_none(sliding, snapshot):
    pos = (await sliding.ask(ALICE, room_list()))["pos"]
    await sliding.keeper.save_all()
    sliding.kept_connections.rows[1, None] = ConnectionRow(1, None, (pos, pos), snapshot)
    await sliding.start()
    with pytest.raises(UnknownPos):
        await sliding.ask(ALICE, room_list(), pos)


async def test_a_row_of_other_places_than_it_says_is_as_good_as_none(sliding):
    await sliding.ask(ALICE, room_list())
    await sliding.keeper.save_all()
    row = sliding.kept_connections.rows[1, None]
    sliding.kept_connections.rows[1, None] = ConnectionRow(1, None, ("p.1", "p.1"), row.snapshot)
    await sliding.start()
    with pytest.raises(UnknownPos):
        await sliding.ask(ALICE, room_list(), "p.1")
    assert sliding.connections.places((1, None)) is None


def test_restored_connections_weigh_as_others_do():
    connections = Connections(SystemRandomness(), entries_max=100)
    rooms = {str(number): RoomSent(None, 1, frozenset()) for number in range(60)}
    for session_id in (1, 2):
        place = Place(f"p.{session_id}", SyncToken(), rooms)
        connections.restore(requester(ALICE, session_id), None, place, None)
    assert connections.places((1, None)) is None
    assert connections.places((2, None)) == (place, None)
    assert connections._entries == 61


async def test_a_session_has_a_few_restored_connections_too(sliding):
    asked = [room_list() | {"conn_id": str(number)} for number in range(CONNECTIONS_PER_SESSION_MAX + 1)]
    places = [(each, (await sliding.ask(ALICE, each))["pos"]) for each in asked[:-1]]
    await sliding.restart()
    await sliding.ask(ALICE, asked[-1])
    for each, pos in places:
        await sliding.ask(ALICE, each, pos)
    assert len(sliding.connections._connections) == CONNECTIONS_PER_SESSION_MAX


def test_of_too_many_unsaved_ones_those_that_changed_longest_ago_go():
    unsaved = Unsaved(unsaved_max=3)
    for number in range(3):
        unsaved.note((number, None))
    unsaved.rest()
    unsaved.note((0, None))
    unsaved.note((3, None))
    assert len(unsaved) == 3
    unsaved.note_again([(0, None)])
    unsaved.rest()
    assert unsaved.take_resting(9) == [(2, None), (0, None), (3, None)]


async def test_rows_in_the_database_are_as_many_as_a_session_may_have(database):
    await database.execute("INSERT INTO accounts (user_id, created_ms) VALUES (%b, 0)", ALICE)
    await devices.ensure(database, ALICE, "A", None, 0)
    session_id, _ = await tokens.open_session(database, ALICE, "A", 0)
    kept = StoredConnections(database)
    for number in range(CONNECTIONS_PER_SESSION_MAX + 2):
        await kept.save([ConnectionRow(session_id, str(number), ("p.2", "p.1"), b"x")], (), number)
    await kept.save((), [(session_id, "9")], 99)
    found = [await kept.read((session_id, str(number)), "p.1") for number in range(10)]
    assert found == [None, None, *[b"x"] * 7, None]
