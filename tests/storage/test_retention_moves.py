"""Events on the way from one retention class to another: none lost, none doubled, whatever interrupts."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.retention import Moves
from storage.tables.events import add_redaction
from storage.write import Write
from tests.storage.retention_world import DAY, MONTH, ROOM_ID, SECRET, START, WEEK, YEAR, World, holding


@pytest.fixture
async def world(database, journal, make_event, witness):
    return await World(database, journal, make_event, witness).start()


async def test_a_move_takes_the_messages_and_leaves_the_state(world):
    messages = [await world.send(START - number * DAY) for number in (5, 4, 3, 2, 1)]
    state = await world.send(state_key="")
    assert await world.keep(WEEK) is True
    assert await world.keep(WEEK) is False
    await world.move()

    assert await world.stored() == {event.event_id: [1] for event in messages} | {state.event_id: [0]}
    assert await world.shown() == [event.event_id for event in (*messages, state)]
    assert (await world.moves.step(world.nid)).is_done
    assert await world.table.moving(10) == []


async def test_what_is_over_the_new_lifetime_goes_instead_of_moving(world):
    await world.send(START - 8 * DAY)
    kept = await world.send(START - 6 * DAY)
    await world.keep(WEEK)
    moved = await world.moves.step(world.nid)
    assert (moved.events, moved.forgotten, moved.is_done) == (1, 1, True)
    assert await world.stored() == {kept.event_id: [1]}


async def lose_job(database):
    """Fall over with a batch half done."""
    async with database.transaction() as transaction:
        await transaction.execute("UPDATE events SET retention_class = 2 WHERE position > 0")
        raise asyncio.CancelledError


async def test_a_move_goes_on_where_another_was_interrupted(world, database):
    sent = [await world.send(START - number * 1000) for number in range(10, 0, -1)]
    await world.keep(MONTH)
    first = await world.moves.step(world.nid)
    assert (first.events, first.is_done) == (3, False)
    with pytest.raises(asyncio.CancelledError):
        await lose_job(database)
    assert await world.shown() == [event.event_id for event in sent]

    other = Moves(database=database, clock=world.clock, batch_events_max=4)
    steps = [await other.step(world.nid), await other.step(world.nid)]
    assert [step.events for step in steps] == [4, 3]
    assert await world.stored() == {event.event_id: [2] for event in sent}


async def test_nobody_waits_for_a_move(world, database):
    old = await world.send(START - DAY)
    await world.keep(WEEK)
    async with database.transaction() as transaction:
        await transaction.execute("UPDATE events SET retention_class = 1 WHERE event_id = %b", old.event_id)
        async with asyncio.timeout(10):
            new = [await world.send(START + number, retention_class=number) for number in (0, 1)]
            assert await world.shown() == [event.event_id for event in (old, *new)]
        await transaction.execute(
            "UPDATE event_ids SET retention_class = 1 WHERE event_id = %b", old.event_id
        )
    await world.move()
    assert await world.stored() == {event.event_id: [1] for event in (old, *new)}


async def test_an_event_that_moves_can_be_redacted_meanwhile(world, database):
    event = await world.send(START - DAY, body=SECRET.decode())
    redaction = await world.send(START)
    await world.keep(WEEK)
    async with database.transaction() as transaction:
        await transaction.execute("UPDATE events SET retention_class = 1 WHERE event_id = %b", event.event_id)
        await transaction.execute(
            "UPDATE event_ids SET retention_class = 1 WHERE event_id = %b", event.event_id
        )
        write = Write(order_key=ROOM_ID)
        add_redaction(write, event.redacted_by(redaction), redaction.event_id)
        redacted = world.journal.append(write)
        # Only the database knows when the redaction waits.
        while not await database.fetch("SELECT 1 FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110 - as said
            await asyncio.sleep(0)
    await redacted
    await world.move()
    assert await holding(database, SECRET) == []
    assert (await world.events.by_id(event.event_id)).event.content == {}


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(
        st.one_of(
            st.sampled_from([None, WEEK, MONTH, YEAR]),  # the room wants this
            st.integers(1, 4),  # so many batches move
            st.just("send"),
            st.just("crash"),
        ),
        max_size=25,
    )
)
async def test_after_any_moves_every_event_is_there_once(world, actions):
    world.count += 1
    await world.new_room(f"!{world.count}:example.org")
    sent = [await world.send(START - number * 1000) for number in range(8, 0, -1)]
    wanted = 0
    for action in actions:
        if action == "send":
            sent.append(await world.send(START + len(sent), retention_class=wanted))
        elif action == "crash":
            world.moves = Moves(database=world.database, clock=world.clock, batch_events_max=2)
        elif isinstance(action, int) and action <= 4:
            for _ in range(action):
                await world.moves.step(world.nid)
        else:
            await world.keep(action)
            wanted = 0 if action is None else world.class_of[action]
        assert await world.shown() == [event.event_id for event in sent]
        found = await world.events.by_ids([event.event_id for event in sent])
        assert len(found) == len(sent)
    await world.move()
    stored = await world.stored()
    assert {event.event_id: stored[event.event_id] for event in sent} == {
        event.event_id: [wanted] for event in sent
    }
