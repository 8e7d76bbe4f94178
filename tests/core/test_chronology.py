"""The order of events of a graph."""

from hypothesis import given
from hypothesis import strategies as st

from homeserver.core.event.chronology import chronological, connected


class Placed:
    def __init__(self, event_id, *prev_events, depth=0, ts=0):
        self.event_id, self.prev_events = event_id, prev_events
        self.depth, self.origin_server_ts = depth, ts

    def __repr__(self):
        return self.event_id


def ids(events):
    return [event.event_id for event in events]


@st.composite
def graphs(draw):
    """Make events of a graph, each after those that it follows, with depths and times that may lie."""
    events = []
    for number in range(draw(st.integers(0, 25))):
        before = draw(st.lists(st.sampled_from(events), max_size=3)) if events else []
        depth, ts = draw(st.integers(0, 4)), draw(st.integers(0, 4))
        events.append(Placed(f"{number}", *ids(before), f"unknown{number}", depth=depth, ts=ts))
    return events


@given(graphs(), st.randoms(use_true_random=False))
def test_each_comes_after_what_it_follows_whatever_depths_say(events, chance):
    shuffled = list(events)
    chance.shuffle(shuffled)
    ordered = chronological(shuffled)

    places = {event.event_id: place for place, event in enumerate(ordered)}
    assert len(places) == len(events)
    for event in events:
        assert all(places[one] < places[event.event_id] for one in event.prev_events if one in places)
    assert ordered == chronological(events), "whatever order they came in"


def test_of_branches_the_events_with_less_depth_come_first_then_the_older_ones():
    events = [Placed("b", "a", depth=2, ts=1), Placed("c", "a", depth=2, ts=0), Placed("a", depth=1, ts=9)]
    events.append(Placed("d", "c", depth=1))
    assert ids(chronological(events)) == ["a", "c", "d", "b"]


def test_what_follows_itself_is_not_told():
    events = [Placed("a"), Placed("b", "c", "a"), Placed("c", "b"), Placed("d", "d")]
    assert ids(chronological(events)) == ["a"]


def test_only_what_leads_up_to_the_latest_is_connected():
    events = [Placed("a"), Placed("b", "a"), Placed("c", "b", "x"), Placed("other"), Placed("late", "c")]
    assert sorted(ids(connected(events, ["c", "unknown"]))) == ["a", "b", "c"]
    loop = [Placed("a", "b"), Placed("b", "a")]
    assert sorted(ids(connected(loop, ["a"]))) == ["a", "b"]
