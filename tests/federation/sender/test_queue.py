"""What is noted of a queue covers all that a crash would make forgotten."""

import pytest

from federation.sender import queue as module
from federation.sender.queue import Queue, QueuedEvent, Transaction

ROOM = "!r:a.example"


@pytest.fixture
def queue(monkeypatch):
    monkeypatch.setattr(module, "EVENTS_QUEUED_MAX", 2)
    return Queue("b.example")


def add(queue, *positions, room_id=ROOM, is_failing=False):
    for position in positions:
        queue.add_event(QueuedEvent(position, room_id, None), is_failing=is_failing)


def begin(queue, count=1):
    live = queue.next_live(count)
    queue.begin(Transaction("t", b"", live, 0, (), {}, 0), len(live))


def test_what_is_on_its_way_is_held_though_later_events_of_its_room_are_noted(queue):
    add(queue, 1)
    begin(queue)
    add(queue, 2, 3, 4)  # too many: the room falls behind from 2 on
    queue.noted(queue.notes())

    assert queue.behind[ROOM].start == 2
    assert queue.lowest_live == queue.lowest_unnoted() == 1
    queue.fail()
    assert queue.behind[ROOM].start == 1
    assert not queue.behind[ROOM].is_noted


def test_what_was_acknowledged_late_is_not_read_again(queue):
    add(queue, 1, 2)
    begin(queue, 2)
    queue.fail()
    add(queue, 3)
    queue.acknowledge()

    assert queue.behind[ROOM].start == 3
    assert queue.lowest_live is None
    assert queue.lowest_unnoted() == 3


def test_rows_of_rooms_are_deleted_once_the_server_lacks_nothing_there(queue):
    add(queue, 1, is_failing=True)
    queue.noted(queue.notes())
    queue.caught_up(ROOM)
    notes = queue.notes()
    assert notes.rooms_done == {ROOM}
    queue.noted(notes)

    assert queue.is_empty


def test_what_comes_while_a_note_is_on_its_way_is_noted_the_next_time(queue):
    add(queue, 1, is_failing=True)
    notes = queue.notes()
    queue.caught_up(ROOM)
    queue.noted(notes)
    assert queue.notes().rooms_done == {ROOM}

    add(queue, 2, is_failing=True)
    assert queue.notes().rooms == {ROOM: 2}
    assert queue.notes().rooms_done == set()


def test_a_user_whose_devices_change_again_stays_to_be_told(queue):
    queue.add_user("@a:a.example", 1)
    queue.begin(Transaction("t", b"", (), 1, (), {"@a:a.example": 1}, 0), 0)
    queue.add_user("@a:a.example", 2)
    queue.acknowledge()

    assert queue.users == {"@a:a.example": 2}


def test_transactions_become_smaller_until_they_have_one_piece(queue):
    events = [QueuedEvent(n, ROOM, None) for n in range(5)]
    queue.begin(Transaction("t", b"", events, 3, (), {}, 0), 0)
    assert queue.shrink()
    assert queue.pieces_max == 4
    assert queue.in_flight is None
    assert queue.behind[ROOM].start == 0
    queue.begin(Transaction("t", b"", events[:1], 0, (), {}, 0), 0)
    assert not queue.shrink()


def test_a_room_that_falls_behind_again_before_its_row_is_deleted_keeps_the_row(queue):
    add(queue, 1, is_failing=True)
    queue.noted(queue.notes())
    queue.caught_up(ROOM)
    add(queue, 2, is_failing=True)
    assert queue.behind[ROOM].is_noted
    queue.caught_up(ROOM)

    assert queue.notes().rooms_done == {ROOM}


def test_a_row_that_was_just_being_deleted_does_not_count_for_what_came_meanwhile(queue):
    add(queue, 1, is_failing=True)
    queue.add_user("@a:a.example", 1)
    queue.noted(queue.notes())
    queue.caught_up(ROOM)
    queue.user_told("@a:a.example")
    notes = queue.notes()
    add(queue, 2, is_failing=True)
    queue.add_user("@a:a.example", 3)
    queue.noted(notes)

    assert queue.lowest_unnoted() == 2
    assert not queue.is_noted
    assert queue.notes().rooms == {ROOM: 2}
    assert queue.notes().users == {"@a:a.example": 3}
