"""Snowflakes and tokens."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeserver.core.positions import (
    EPHEMERAL_WRITER_OFFSET,
    EPOCH_MS,
    POSITION_MAX,
    SEQUENCE_MAX,
    WRITER_ID_MAX,
    PartialToken,
    SnowflakeClock,
    SyncToken,
    make,
    ms_of,
    pagination_token,
    parse_pagination_token,
    sequence_of,
    writer_of,
)

NOW_MS = 1_732_000_000_000
MOMENTS = st.integers(EPOCH_MS, EPOCH_MS + 2**40)
WRITERS = st.integers(0, WRITER_ID_MAX)
POSITIONS = st.builds(
    make, st.integers(EPOCH_MS + 1, EPOCH_MS + 2**41 - 1), WRITERS, st.integers(0, SEQUENCE_MAX)
)
TOKENS = st.lists(POSITIONS, max_size=6).map(
    lambda positions: SyncToken({writer_of(position): position for position in positions})
)


@given(MOMENTS, WRITERS, st.integers(0, SEQUENCE_MAX))
def test_a_position_tells_what_it_was_made_of(ms, writer_id, sequence):
    position = make(ms, writer_id, sequence)

    assert (ms_of(position), writer_of(position), sequence_of(position)) == (ms, writer_id, sequence)
    assert 0 <= position <= POSITION_MAX


@settings(deadline=None)
@given(WRITERS, st.lists(st.one_of(MOMENTS, POSITIONS.map(lambda position: -position)), max_size=60))
def test_positions_strictly_grow_whatever_the_clock_and_other_writers_do(writer_id, steps):
    clock = SnowflakeClock(writer_id)
    last = 0
    for step in steps:
        if step < 0:
            if ms_of(-step) < EPOCH_MS + 2**41 - 2:
                clock.raise_floor(-step)
                last = max(last, -step)
            continue
        position = clock.next(step)
        assert position > last
        assert writer_of(position) == writer_id
        last = position


def test_a_stopped_clock_is_bridged_beyond_one_millisecond():
    clock = SnowflakeClock(5)
    positions = [clock.next(NOW_MS) for _ in range(2 * SEQUENCE_MAX)]

    assert positions == sorted(set(positions))
    assert ms_of(positions[-1]) == NOW_MS + 1
    assert clock.last == positions[-1]


def test_a_floor_of_another_writer_in_the_future_is_passed():
    clock = SnowflakeClock(0, floor=make(NOW_MS + 60_000, WRITER_ID_MAX, SEQUENCE_MAX))

    assert clock.next(NOW_MS) > make(NOW_MS + 60_000, WRITER_ID_MAX, SEQUENCE_MAX)
    clock.raise_floor(1)
    assert clock.next(NOW_MS + 120_000) == make(NOW_MS + 120_000, 0, 0)


@given(TOKENS)
def test_a_token_reads_back_and_needs_no_quoting(token):
    text = token.encode()

    assert SyncToken.parse(text) == token
    assert hash(SyncToken.parse(text)) == hash(token)
    assert SyncToken.parse(text).encode() == text
    assert re.fullmatch(r"[0-9A-Za-z_-]+", text)


@given(TOKENS, POSITIONS)
def test_advancing_covers_the_position_and_nothing_less_than_before(token, position):
    further = token.advance(position)

    assert further.covers(position)
    assert further.covers_all_of(token)
    assert further.advance(position) is further
    assert token.covers(position) == (further == token)
    assert further.positions[writer_of(position)] == max(
        position, token.positions.get(writer_of(position), 0)
    )
    assert set(further.positions.items()) - set(token.positions.items()) <= {(writer_of(position), position)}


@given(TOKENS, TOKENS)
def test_merging_is_the_same_either_way_and_covers_both(one, other):
    merged = one.merge(other)

    assert merged == other.merge(one)
    assert merged.covers_all_of(one)
    assert merged.covers_all_of(other)
    assert merged.merge(one) == merged
    assert merged.highest == max(one.highest, other.highest)
    assert SyncToken().lowest == SyncToken().highest == 0


@given(TOKENS, POSITIONS, POSITIONS)
def test_a_partial_token_reads_back_and_covers_messages_up_to_its_bound(token, bound, position):
    partial = PartialToken.of(token, bound)

    assert SyncToken.parse(partial.encode()) == partial
    assert partial not in {token, PartialToken.of(token, bound + 1)}
    assert partial.covers_message(position) == (token.covers(position) and position <= bound)
    assert token.covers_message(position) == token.covers(position)
    until = dict(partial.messages_until())
    if writer_of(position) < EPHEMERAL_WRITER_OFFSET:
        assert partial.covers_message(position) == (position <= until.get(writer_of(position), -1))
    if not partial.covers_message(position) and writer_of(position) in until:
        assert position > partial.messages_after
    assert not isinstance(partial.advance(POSITION_MAX), PartialToken)


@pytest.mark.parametrize("text", ["s1~", "s1~x", "~5", "s1~5~5", "s1~-", "s1~05"])
def test_what_is_no_partial_token_is_refused(text):
    with pytest.raises(ValueError, match="token"):
        SyncToken.parse(text)


def test_a_writer_that_was_not_heard_is_new_and_backfill_is_not():
    token = SyncToken().advance(make(NOW_MS, 1, 0))

    assert not token.covers(make(EPOCH_MS, 2, 1))
    assert token.covers(-5)


@pytest.mark.parametrize(
    "text",
    ["", "s", "s1A", "s1AA", "s2", "x", "s1" + "A" * 11, "s1!", "s1AAAAAAAAAAA=", "s1ä", "s1" + "A" * 20_000],
)
def test_what_is_no_token_is_refused(text):
    with pytest.raises(ValueError, match="token"):
        SyncToken.parse(text)


@given(st.text(max_size=40).map("s1".__add__) | st.text(alphabet="ABab09-_", max_size=40).map("s1".__add__))
def test_garbage_is_a_value_error_or_a_token_that_writes_itself(text):
    try:
        token = SyncToken.parse(text)
    except ValueError:
        return
    assert token.encode() == text


@given(st.integers(-POSITION_MAX, POSITION_MAX))
def test_a_pagination_token_reads_back(position):
    assert parse_pagination_token(pagination_token(position)) == position


@pytest.mark.parametrize(
    "text", ["", "p", "p-", "5", "p1.5", "p 5", "p+5", "p-0", "p05", "p1_0", "p\u0663", "p" + "9" * 30]
)
def test_what_is_no_pagination_token_is_refused(text):
    with pytest.raises(ValueError, match="token"):
        parse_pagination_token(text)


def test_a_place_amid_sticky_events_is_written_and_read_whatever_else_is_amid():
    token = SyncToken({0: make(1_760_000_000_000, 0, 3)})
    amid = token.with_sticky_after(77)

    assert amid != token
    assert amid.covers_all_of(token)
    assert SyncToken.parse(amid.encode()) == amid
    assert SyncToken.parse(amid.encode()).sticky_after == 77
    assert SyncToken.parse(token.encode()).sticky_after is None
    assert token.advance(make(1_760_000_000_001, 0, 0)).sticky_after is None
    both = PartialToken.of(token, 5).with_sticky_after(77)
    assert both == PartialToken.of(amid, 5)
    assert SyncToken.parse(both.encode()) == both


@pytest.mark.parametrize(
    "text", ["s1A0F2swAAAAM.", "s1A0F2swAAAAM.x", "s1A0F2swAAAAM.1.2", ".1", "s1A0F2swAAAAM.01"]
)
def test_a_place_amid_sticky_events_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match="token"):
        SyncToken.parse(text)
