"""Snapshots of connections: what goes in comes out, what is too much stays out, and nothing odd gets in."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeserver.core.positions import SyncToken, make
from homeserver.sync.sliding.connections import Place, RoomSent
from homeserver.sync.sliding.snapshot import ENTRIES_MAX, SNAPSHOT_BYTES_MAX, pack, unpack

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
POSITIONS = st.builds(make, st.integers(1_760_000_000_000, 1_760_000_000_005), st.integers(0, 3), st.just(0))
TOKENS = st.lists(POSITIONS, max_size=3).map(
    lambda positions: SyncToken({position >> 12 & 1023: position for position in positions})
)
ROOMS = st.builds(
    RoomSent,
    until=st.none() | TOKENS,
    timeline_limit=st.integers(0, 1_000),
    required=st.frozensets(st.tuples(TEXTS, TEXTS), max_size=3),
    lazy=st.lists(TEXTS, max_size=3).map(tuple),
)
UNTILS = st.dictionaries(TEXTS, st.none() | TOKENS, max_size=4)
PLACES = st.builds(
    Place,
    pos=TEXTS,
    token=TOKENS,
    rooms=st.dictionaries(TEXTS, ROOMS, max_size=4),
    account_data=UNTILS,
    receipts=UNTILS,
    sticky=st.none() | st.dictionaries(TEXTS, st.none(), max_size=3),
    device_lists=st.none() | TOKENS,
)
TOKEN = SyncToken({0: make(1_760_000_000_000, 0, 1)})


@given(PLACES, st.none() | PLACES)
def test_what_goes_in_comes_out_in_its_order(newest, acknowledged):
    found = unpack(pack((newest, acknowledged)))
    assert found == (newest, acknowledged)
    assert list(found[0].rooms) == list(newest.rooms)


def test_a_place_that_is_both_is_written_once():
    place = Place("p.1", TOKEN, {f"!{number}:x": RoomSent(None, 1, frozenset()) for number in range(100)})
    assert pack((place, place)) == pack((place, None))
    other = Place("p.2", TOKEN, dict(place.rooms))
    assert len(pack((place, other))) < 1.4 * len(pack((place, None)))


def rooms(count, name_bytes=44):
    return {f"!{number:0{name_bytes}}": RoomSent(None, 1, frozenset()) for number in range(count)}


def test_what_is_too_much_or_nothing_yet_is_not_packed():
    assert len(pack((Place("p.1", TOKEN, rooms(4_000)), None))) < SNAPSHOT_BYTES_MAX
    for told in (rooms(4_000, 80), rooms(ENTRIES_MAX, 1)):
        assert pack((Place("p.1", TOKEN, told), None)) is None
    assert pack((Place(), None)) is None


@given(st.binary(max_size=100))
def test_other_bytes_are_not_made_out(junk):
    assert unpack(junk) is None


@given(st.data())
def test_a_damaged_one_is_not_made_out_or_harmless(data):
    packed = bytearray(pack((Place("p.1", TOKEN, rooms(2), {"": None, "!a": TOKEN}), None)))
    packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    found = unpack(bytes(packed))
    assert found is None or isinstance(found[0], Place)


@pytest.mark.parametrize(
    "changed",
    [(0, 2), (1, []), (2, []), (2, ["s1!"]), (2, ["nonsense"]), (3, []), (4, []), (5, [])],
)
def test_another_version_and_numbers_that_lead_nowhere_are_not_made_out(changed):
    parts = msgspec.msgpack.decode(pack((Place("p.1", TOKEN, rooms(1)), None)))
    assert unpack(msgspec.msgpack.encode(parts)) is not None
    parts[changed[0]] = changed[1]
    assert unpack(msgspec.msgpack.encode(parts)) is None
